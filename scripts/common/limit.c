// The most products of integers that a processor can do with the kernels' instructions: on registers alone.

#include "vectors.h"

enum { SUMS = WIDTH == 16 ? 20 : 8, ROUNDS = 1 << 16 };

#if defined(__x86_64__)
#define KEEP(sums) __asm__ volatile("" : "+v"(sums))
#elif defined(__aarch64__)
#define KEEP(sums) __asm__ volatile("" : "+w"(sums.low), "+w"(sums.high))
#else
#define KEEP(sums)
#endif

// Returns how many multiply-adds it has done; `out` keeps the compiler from leaving them out.
EXPORT int limit(const Weights *weights, float *out) {
    Weights w = *weights;
    Inputs x = inputs_at((const void *)weights);
    Sums sums[SUMS];
    UNROLL
    for (int k = 0; k < SUMS; k++)
        sums[k] = (Sums){0};
    for (int round = 0; round < ROUNDS; round++) {
        UNROLL
        for (int k = 0; k < SUMS; k++) {
            sums[k] = plus_products(sums[k], w, x);
            KEEP(sums[k]);
        }
    }
    Many total = {0};
    for (int k = 0; k < SUMS; k++)
        total += totals_of(sums[k]);
    out[0] = total[0];
    return ROUNDS * SUMS * WIDTH * SIDE;
}
