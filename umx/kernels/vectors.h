// What the kernels share: vectors, the layout of packed weights and rows, products of integers, activations.
//
// One source for WebAssembly SIMD128, x86-64 (SSE4.2, AVX2, AVX-VNNI, AVX-512 VNNI), ARM's NEON with and without dot
// products, and anything else that clang compiles for. All of them give the same bits: sums of integers are exact, and
// sums of floats are four lanes wide whatever a target's vectors hold. No multiplication is fused with an addition,
// which would round once less.

#pragma once

#include <stdint.h>

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))
// Before a loop over sums: they stay in registers only if it unrolls.
#define UNROLL _Pragma("clang loop unroll(full)")

// ---- Vectors

// Floats: four of them, at any address. Ints: what comparing two Floats gives. Shorts: eight 16-bit integers.
typedef float Floats __attribute__((vector_size(16), aligned(4)));
typedef int32_t Ints __attribute__((vector_size(16), aligned(4)));
typedef int16_t Shorts __attribute__((vector_size(16), aligned(2)));

INLINE Floats splat(float x) { return (Floats){x, x, x, x}; }
INLINE Floats floats_at(const float *x) { return *(const Floats *)x; }
INLINE Floats magnitude_of(Floats x) { return __builtin_elementwise_abs(x); }
INLINE Floats float_of(Ints x) { return __builtin_convertvector(x, Floats); }

// larger_of and smaller_of give a where b is NaN. whole_of: integers of 16 bits nearest to eight floats; those beyond
// become the first or the last one, NaN becomes 0.
#if defined(__wasm_simd128__)
INLINE Floats larger_of(Floats a, Floats b) { return (Floats)wasm_f32x4_pmax((v128_t)a, (v128_t)b); }
INLINE Floats smaller_of(Floats a, Floats b) { return (Floats)wasm_f32x4_pmin((v128_t)a, (v128_t)b); }
INLINE Shorts whole_of(Floats low, Floats high) {
    v128_t first = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest((v128_t)low));
    v128_t second = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest((v128_t)high));
    return (Shorts)wasm_i16x8_narrow_i32x4(first, second);
}
#else
#if defined(__x86_64__)
// The processor's maximum gives its second operand where one is NaN.
INLINE Floats larger_of(Floats a, Floats b) { return (Floats)_mm_max_ps((__m128)b, (__m128)a); }
INLINE Floats smaller_of(Floats a, Floats b) { return (Floats)_mm_min_ps((__m128)b, (__m128)a); }
#else
INLINE Floats chosen(Ints where, Floats a, Floats b) { return (Floats)((where & (Ints)a) | (~where & (Ints)b)); }
INLINE Floats larger_of(Floats a, Floats b) { return chosen(b > a, b, a); }
INLINE Floats smaller_of(Floats a, Floats b) { return chosen(b < a, b, a); }
#endif
INLINE Ints bounded(Floats x) {
    x = (Floats)((Ints)x & (x == x));
    x = larger_of(splat(-32768), smaller_of(splat(32767), x));
    return __builtin_convertvector(__builtin_elementwise_roundeven(x), Ints);
}
INLINE Shorts whole_of(Floats low, Floats high) {
    Shorts a = (Shorts)bounded(low), b = (Shorts)bounded(high);
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}
#endif

// max(a, b), ignoring a NaN in b.
INLINE float larger(float a, float b) { return b > a ? b : a; }

// Transpose four vectors of four: rows become columns.
INLINE void transpose(Ints *row) {
    Ints a = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5), b = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    Ints c = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7), d = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    row[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    row[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    row[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    row[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// ---- Products of integers

enum {
    LANES = 4,  // rows of a tile
    CHUNK = 128,  // rows quantised at a time: they stay in the second-level cache while all weights pass by
};

// Factor: what the inner loop multiplies, SIDE inputs at a time. Rows: the same SIDE inputs of LANES rows.
// ARM's dot product multiplies bytes, so an input is 256 high + low there, both of them signed. That takes two products
// with each weight, and still 43 instructions instead of 116. MOST is the largest input whose high fits a byte: other
// targets keep to it as well, to give the same bits. Weights of 16 bits would need four products, so htdemucs.c isn't
// compiled so.
#if defined(__ARM_FEATURE_DOTPROD)
typedef int8_t Factor;
enum { SIDE = 4, BYTES = 2 }; // high of all four, then low
#else
typedef int16_t Factor;
enum { SIDE = 2, BYTES = 1 };
#endif
enum { MOST = 127 * 256 + 127 };
typedef struct { Factor lane[LANES][BYTES * SIDE]; } Rows;
typedef int32_t Pair __attribute__((may_alias, aligned(2)));

// The tile that holds a row: LANES rows, SIDE inputs of each in turn.
static Rows *tile_of(Rows *tiles, int row, int depth) { return tiles + row / LANES * (depth / SIDE); }

// Write eight inputs of a row to a lane of a tile.
INLINE void put_eight(Shorts x, Rows *tile, int lane) {
#if defined(__ARM_FEATURE_DOTPROD)
    // The shift rounds, so that low is from -128 to 127.
    int32x2_t high = vreinterpret_s32_s8(vrshrn_n_s16((int16x8_t)x, 8));
    int32x2_t low = vreinterpret_s32_s8(vmovn_s16((int16x8_t)x));
    vst1_s32((int32_t *)tile[0].lane[lane], vzip1_s32(high, low));
    vst1_s32((int32_t *)tile[1].lane[lane], vzip2_s32(high, low));
#else
    for (int k = 0; k < 4; k++)
        *(Pair *)tile[k].lane[lane] = ((Ints)x)[k];
#endif
}

// Weights: those of SIDE inputs side by side, for WIDTH outputs. Many: as many floats, at any address.
// Sums: what the products are added to. plus_products adds the products with a row's SIDE inputs, `totals_of` ends it.
// Stored: 8-bit weights as inner loops read them. For vectors of 16 bytes they are widened to 16 bits before the loop:
// inside, that would take as long as the multiply. Wider vectors wait for memory, so weights stay narrow there.
#if defined(__AVX512VNNI__)
enum { WIDTH = 16 };
typedef int8_t Stored;
#elif defined(__AVX2__)
enum { WIDTH = 8 };
typedef int8_t Stored;
#else
enum { WIDTH = 4 };
typedef Factor Stored;
#endif
typedef Factor Weights __attribute__((vector_size(4 * WIDTH), aligned(sizeof(Factor))));
typedef int32_t Integers __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef float Many __attribute__((vector_size(4 * WIDTH), aligned(4)));

#if defined(__ARM_FEATURE_DOTPROD)
typedef struct { int32x4_t high, low; } Sums;
typedef int8x8_t Inputs;
#define KEEP_ORDER(value)
INLINE Inputs inputs_at(const int8_t *four) { return vld1_s8(four); }
INLINE Sums plus_products(Sums sums, Weights w, Inputs x) {
    sums.high = vdotq_lane_s32(sums.high, (int8x16_t)w, x, 0);
    sums.low = vdotq_lane_s32(sums.low, (int8x16_t)w, x, 1);
    return sums;
}
INLINE Many totals_of(Sums sums) { return (Many)vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(sums.high, 8), sums.low)); }
#elif defined(__aarch64__)
// Both products of an output are summed apart: that takes one instruction for four products, and none to add them up.
typedef struct { int32x4_t low, high; } Sums;
typedef int16x8_t Inputs;
#define KEEP_ORDER(value)
INLINE Inputs inputs_at(const int16_t *two) { return vreinterpretq_s16_s32(vdupq_n_s32(*(const Pair *)two)); }
INLINE Sums plus_products(Sums sums, Weights w, Inputs x) {
    sums.low = vmlal_s16(sums.low, vget_low_s16((int16x8_t)w), vget_low_s16(x));
    sums.high = vmlal_high_s16(sums.high, (int16x8_t)w, x);
    return sums;
}
INLINE Many totals_of(Sums sums) { return (Many)vcvtq_f32_s32(vpaddq_s32(sums.low, sums.high)); }
#else
typedef Integers Sums;
typedef Weights Inputs;
INLINE Many totals_of(Sums sums) { return __builtin_convertvector(sums, Many); }
#if defined(__AVX512VNNI__)
#define KEEP_ORDER(value)
INLINE Inputs inputs_at(const int16_t *two) { return (Inputs)_mm512_set1_epi32(*(const Pair *)two); }
INLINE Sums plus_products(Sums sums, Weights w, Inputs x) {
    return (Sums)_mm512_dpwssd_epi32((__m512i)sums, (__m512i)w, (__m512i)x);
}
#elif defined(__AVX2__)
#define KEEP_ORDER(value)
INLINE Inputs inputs_at(const int16_t *two) { return (Inputs)_mm256_set1_epi32(*(const Pair *)two); }
INLINE Sums plus_products(Sums sums, Weights w, Inputs x) {
#if defined(__AVXVNNI__)
    return (Sums)_mm256_dpwssd_avx_epi32((__m256i)sums, (__m256i)w, (__m256i)x);
#else
    return sums + (Sums)_mm256_madd_epi16((__m256i)w, (__m256i)x);
#endif
}
#elif defined(__x86_64__)
#define KEEP_ORDER(value)
INLINE Inputs inputs_at(const int16_t *two) { return (Inputs)_mm_set1_epi32(*(const Pair *)two); }
INLINE Sums plus_products(Sums sums, Weights w, Inputs x) { return sums + (Sums)_mm_madd_epi16((__m128i)w, (__m128i)x); }
#elif defined(__wasm_simd128__)
// Keeps the compiler from adding up one lane after the other. That takes more registers than there are, and a fifth
// more time.
#define KEEP_ORDER(value) __asm__ volatile("" : "+r"(value))
INLINE Inputs inputs_at(const int16_t *two) { return (Inputs)wasm_v128_load32_splat(two); }
INLINE Sums plus_products(Sums sums, Weights w, Inputs x) {
    return (Sums)wasm_i32x4_add((v128_t)sums, wasm_i32x4_dot_i16x8((v128_t)w, (v128_t)x));
}
#else
#define KEEP_ORDER(value)
INLINE Inputs inputs_at(const int16_t *two) {
    return (Inputs){two[0], two[1], two[0], two[1], two[0], two[1], two[0], two[1]};
}
INLINE Sums plus_products(Sums sums, Weights w, Inputs x) {
    for (int k = 0; k < WIDTH; k++)
        sums[k] += w[2 * k] * x[2 * k] + w[2 * k + 1] * x[2 * k + 1];
    return sums;
}
#endif
#endif

// ---- Many floats

INLINE Many many_of(float x) { return x - (Many){0}; }
INLINE Many many_at(const float *x) { return *(const Many *)x; }

// As larger_of and smaller_of.
#if defined(__AVX512VNNI__)
INLINE Many larger_many(Many a, Many b) { return (Many)_mm512_max_ps((__m512)b, (__m512)a); }
INLINE Many smaller_many(Many a, Many b) { return (Many)_mm512_min_ps((__m512)b, (__m512)a); }
#elif defined(__AVX2__)
INLINE Many larger_many(Many a, Many b) { return (Many)_mm256_max_ps((__m256)b, (__m256)a); }
INLINE Many smaller_many(Many a, Many b) { return (Many)_mm256_min_ps((__m256)b, (__m256)a); }
#else
INLINE Many larger_many(Many a, Many b) { return larger_of(a, b); }
INLINE Many smaller_many(Many a, Many b) { return smaller_of(a, b); }
#endif

// Load and store of up to WIDTH floats; `take` fills up with zeros.
INLINE Many take(const float *from, int count) {
    if (count >= WIDTH)
        return many_at(from);
    Many x = {0};
    for (int k = 0; k < count; k++)
        x[k] = from[k];
    return x;
}
INLINE void put(Many x, float *to, int count) {
    if (count >= WIDTH)
        *(Many *)to = x;
    else
        for (int k = 0; k < count; k++)
            to[k] = x[k];
}

// ---- Activations

// tanh(x) = x p(x^2) / q(x^2), p and q cubic. The coefficients are the minimax fit of that form to |x| <= 7.5: the
// error alternates between equal extremes of 1.5e-6, and is 1.8e-6 at most with float32 rounding.
// Arguments are clamped to +-7.5 first; NaN becomes 7.5. Cost: a division and eight multiplications.
INLINE Many tanh_of(Many x) {
    x = larger_many(many_of(-7.5f), smaller_many(many_of(7.5f), x));
    Many y = x * x;
    Many p = ((3.6628765e-06f * y + 2.2186972e-03f) * y + 1.2235865e-01f) * y + 9.9999291e-01f;
    Many q = ((1.3610181e-04f * y + 2.0797761e-02f) * y + 4.5566860e-01f) * y + 1.0f;
    return x * p / q;
}

// Largest error 9e-7.
INLINE Many sigmoid_of(Many x) { return 0.5f * tanh_of(0.5f * x) + 0.5f; }
