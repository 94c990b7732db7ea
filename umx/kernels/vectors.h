// What the kernels share: vectors of four floats, the layout of packed weights and rows, activations.

#pragma once

#include <stdint.h>
#include <wasm_simd128.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

enum {
    BLOCK = 8,  // outputs multiplied at a time; weights are packed in such blocks
    LANES = 4,  // rows multiplied at a time: 8 vectors of sums, 2 of weights and 1 of activations fit 16 registers
    CHUNK = 128,  // rows quantised at a time: they stay in the second-level cache while all weights pass by
};

// Pair: the weights of two inputs for BLOCK outputs. Rows: the same two inputs of LANES rows.
typedef struct { int16_t half[2][8]; } Pair;
typedef struct { int16_t lane[LANES][2]; } Rows;

// Keeps the compiler from adding up one lane after the other. That takes more registers than there are, and a fifth
// more time.
#define KEEP_ORDER(value) __asm__ volatile("" : "+r"(value))

// max(a, b), ignoring a NaN in b.
INLINE float larger(float a, float b) { return b > a ? b : a; }

// Floats: four of them, at any address. Ints: what comparing two Floats gives.
typedef float Floats __attribute__((vector_size(16), aligned(4)));
typedef int Ints __attribute__((vector_size(16)));

// tanh(x) = x p(x^2) / q(x^2), p and q cubic. The coefficients are the minimax fit of that form to |x| <= 7.5: the
// error alternates between equal extremes of 1.5e-6, and is 1.8e-6 at most with float32 rounding.
// Arguments are clamped to +-7.5 first; NaN becomes 7.5.
INLINE Floats tanh_of(Floats x) {
    x = (Floats)wasm_f32x4_pmax(wasm_f32x4_splat(-7.5f), wasm_f32x4_pmin(wasm_f32x4_splat(7.5f), (v128_t)x));
    Floats y = x * x;
    Floats p = ((3.6628765e-06f * y + 2.2186972e-03f) * y + 1.2235865e-01f) * y + 9.9999291e-01f;
    Floats q = ((1.3610181e-04f * y + 2.0797761e-02f) * y + 4.5566860e-01f) * y + 1.0f;
    return x * p / q;
}

// Largest error 9e-7.
INLINE Floats sigmoid_of(Floats x) { return 0.5f * tanh_of(0.5f * x) + 0.5f; }

// The tile that holds a row: LANES rows, two inputs of each in turn.
static Rows *tile_of(Rows *tiles, int row, int depth) { return tiles + row / LANES * (depth / 2); }

// Transpose four vectors of four: rows become columns.
INLINE void transpose(v128_t *row) {
    v128_t a = wasm_i32x4_shuffle(row[0], row[1], 0, 4, 1, 5), b = wasm_i32x4_shuffle(row[2], row[3], 0, 4, 1, 5);
    v128_t c = wasm_i32x4_shuffle(row[0], row[1], 2, 6, 3, 7), d = wasm_i32x4_shuffle(row[2], row[3], 2, 6, 3, 7);
    row[0] = wasm_i64x2_shuffle(a, b, 0, 2);
    row[1] = wasm_i64x2_shuffle(a, b, 1, 3);
    row[2] = wasm_i64x2_shuffle(c, d, 0, 2);
    row[3] = wasm_i64x2_shuffle(c, d, 1, 3);
}
