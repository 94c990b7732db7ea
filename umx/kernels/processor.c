// Whether this processor, and its system, have the instructions that a variant of the kernels is compiled for. This file
// itself is compiled for any processor of the architecture.

#include "vectors.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { SSE4, AVX2, AVX_VNNI, AVX512 };

static int has(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

EXPORT int supported(void) {
    unsigned a, b, c, d, features = 0, extended = 0, more = 0, narrow = 0, state = 0;
    if (!__get_cpuid(1, &a, &b, &features, &d))
        return 0;
    if (__get_cpuid_count(7, 0, &a, &extended, &more, &d) && a > 0)
        __get_cpuid_count(7, 1, &narrow, &b, &c, &d);
    if (has(features, bit_OSXSAVE))
        __asm__("xgetbv" : "=a"(state) : "c"(0) : "edx"); // registers that the system keeps
    int sse4 = has(features, bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT);
    int avx2 = sse4 && has(features, bit_AVX | bit_FMA | bit_F16C) && has(extended, bit_AVX2) && has(state, 0x6);
    unsigned foundation = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    switch (VARIANT) {
    case SSE4: return sse4;
    case AVX2: return avx2;
    case AVX_VNNI: return avx2 && has(narrow, 1 << 4);
    case AVX512: return avx2 && has(extended, foundation) && has(more, bit_AVX512VNNI) && has(state, 0xe6);
    }
    return 0;
}
#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
// Bit 20 of the processor's capabilities, as Linux lists them.
static int dot_products(void) { return getauxval(AT_HWCAP) >> 20 & 1; }
#elif defined(_WIN32)
// Declared here, since <windows.h> takes such names as DOTPROD. 43: PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE.
__declspec(dllimport) int __stdcall IsProcessorFeaturePresent(unsigned long feature);
static int dot_products(void) { return IsProcessorFeaturePresent(43); }
#else
static int dot_products(void) { return 1; } // every Mac's processor has them
#endif

enum { NEON, DOTPROD };

EXPORT int supported(void) { return VARIANT == NEON || dot_products(); }
#else
EXPORT int supported(void) { return 1; } // plain C
#endif
