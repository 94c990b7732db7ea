// The inner loops of HTDemucs: products of strided rows with 16-bit weights, the residual branches of a DConv, attention,
// norms. `htdemucs.py` is the same in numpy and says what the layers are.
//
// Memory: nothing here allocates. Callers pass every array, scratch included, and `htdemucs_simd.py` knows their sizes.
// All numbers of channels are multiples of 8. Arrays are channels last; steps between rows are counted in floats.
// Accuracy: weights are integers of 13 bits and activations of 14, with a scale a row. Sums of FLUSH products are exact.
// Time: products take 70 %, attention 28 %. The rates quoted below were measured in V8 on one core.
// Built by scripts/kernels.py.

#include "vectors.h"

enum {
    LEVELS = 8191, // of activations on either side of zero; weights have 4095
    FLUSH = 64,    // inputs whose products are summed as integers: 8191 * 4095 * 64 < 2^31
    // Vectors of weights and tiles of rows multiplied at a time: as many sums as fit the registers. Outputs come in
    // eights, so vectors of more take one of weights and more rows.
    PARTS = WIDTH == 4 ? 2 : 1,
    TILES = WIDTH / 4,
    BLOCK = PARTS * WIDTH,  // outputs multiplied at a time; weights are packed in such blocks
    ROWS = TILES * LANES,
};

// Callers pad the outputs of packed weights, scales and biases to a multiple of this.
EXPORT int block_size(void) { return BLOCK; }

INLINE float sum_of(Floats x) { return x[0] + x[1] + x[2] + x[3]; }
INLINE float largest_of(Floats x) { return larger(larger(x[0], x[1]), larger(x[2], x[3])); }

// Round to the nearest integer, which is then in the low 16 bits: floats from 2^23 to 2^24 have no fractions.
#define ROUND 12582912.0f // 1.5 * 2^23
INLINE Ints rounded(Floats x) { return (Ints)(x + ROUND); }

// The low 16 bits of eight lanes.
INLINE Ints low_halves(Ints a, Ints b) {
    return (Ints)__builtin_shufflevector((Shorts)a, (Shorts)b, 0, 2, 4, 6, 8, 10, 12, 14);
}

// GELU(x) = x (1 + erf(x / sqrt 2)) / 2, with erf(c / sqrt 2) = c p(c^2) / q(c^2), p and q cubic, and c = x clamped to
// +-4.6. The coefficients are the minimax fit of GELU to |x| <= 4.6: the error alternates between equal extremes of
// 2.9e-6, and is 3.7e-6 at most with float32 rounding. Beyond 4.6 it is 1.5e-6 |x|. NaN becomes NaN.
// Cost: a division and ten multiplications.
INLINE Many gelu_of(Many x) {
    Many c = larger_many(many_of(-4.6f), smaller_many(many_of(4.6f), x));
    Many y = c * c;
    Many p = ((6.5512069e-05f * y + 7.6341264e-03f) * y + 5.5346590e-02f) * y + 7.9785064e-01f;
    Many q = ((1.1542068e-03f * y + 2.3914521e-02f) * y + 2.3596867e-01f) * y + 1.0f;
    return 0.5f * x + 0.5f * x * (c * p / q);
}

// 2^x for x from -126 to 127: the whole part becomes the exponent, a polynomial of degree 4 does the rest. The
// coefficients are its minimax fit to [0, 1]: the relative error alternates between equal extremes of 2.6e-6, and is
// 2.7e-6 at most with float32 rounding.
INLINE Many power_of_two(Many x) {
    Many whole = __builtin_elementwise_floor(x), f = x - whole;
    Many y = (((1.3533963e-02f * f + 5.2011576e-02f) * f + 2.4144291e-01f) * f + 6.9300374e-01f) * f + 1.0000026f;
    return (Many)((Integers)y + ((Integers)(whole + ROUND) << 23));
}

// ---- Products

// Rows of an array: row r starts at x + r / inner * outer_step + r % inner * inner_step and consists of `pieces` of
// `piece` floats, which lie `piece_step` apart.
typedef struct {
    const float *x;
    int inner, outer_step, inner_step, pieces, piece_step, piece;
} View;

INLINE const float *row_of(const View *v, int row) {
    return v->x + row / v->inner * v->outer_step + row % v->inner * v->inner_step;
}

// Quantise four rows to integers of `levels`, into a tile. Rows from `count` on repeat the last one.
// NaN becomes 0; a row of denormals or zeros becomes all 0.
// Cost: 0.24 ns a float.
static void quantize_four(const View *v, int row, int count, int levels, Rows *tile, float *steps) {
    const float *from[LANES];
    Floats factor[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        from[lane] = row_of(v, row + (lane < count ? lane : count - 1));
        Floats peaks = splat(0), more = peaks;
        for (int p = 0; p < v->pieces; p++) {
            const float *x = from[lane] + p * v->piece_step;
            for (int i = 0; i < v->piece; i += 8) {
                peaks = larger_of(peaks, magnitude_of(floats_at(x + i)));
                more = larger_of(more, magnitude_of(floats_at(x + i + 4)));
            }
        }
        float peak = largest_of(larger_of(peaks, more));
        steps[lane] = peak / (float)levels;
        factor[lane] = splat(peak > 1e-30f ? (float)levels / peak : 0);
    }
    for (int p = 0; p < v->pieces; p++)
        for (int i = 0; i < v->piece; i += 8, tile += 4) {
            Ints rows[LANES];
            for (int lane = 0; lane < LANES; lane++) {
                const float *x = from[lane] + p * v->piece_step + i;
                rows[lane] = low_halves(
                    rounded(floats_at(x) * factor[lane]), rounded(floats_at(x + 4) * factor[lane])
                );
            }
            transpose(rows);
            for (int k = 0; k < 4; k++)
                *(Ints *)(tile + k) = rows[k];
        }
}

// Add the products of BLOCK outputs and TILES tiles of rows, `step` apart, to sums of 32 bits, for `depth` inputs.
// Cost: in WebAssembly two inputs take 2 loads of weights and, for each lane, 1 load, 2 dot products and 2 additions; 47
// to 50 G multiply-adds a second.
INLINE void dot(const int16_t *w, const Rows *tile, int step, int depth, Sums sums[ROWS][PARTS]) {
#pragma clang loop unroll_count(2)
    for (int i = 0; i < depth; i += 2, w += 2 * BLOCK, tile++) {
        KEEP_ORDER(w);
        KEEP_ORDER(tile);
        Weights weights[PARTS];
        for (int part = 0; part < PARTS; part++)
            weights[part] = *(const Weights *)(w + 2 * WIDTH * part);
        UNROLL
        for (int row = 0; row < ROWS; row++) {
            Inputs x = inputs_at(tile[row / LANES * step].lane[row % LANES]);
            UNROLL
            for (int part = 0; part < PARTS; part++)
                sums[row][part] = plus_products(sums[row][part], weights[part], x);
            UNROLL
            for (int part = 0; part < PARTS; part++)
                KEEP_ORDER(sums[row][part]);
        }
    }
}

// What is done with a block of a row's outputs, see `htdemucs.py`. For GLU, the first half of a block is of the first
// half of all outputs and the second half of the second, and half a block is written. GLU_ADD ends a DConv: GLU, times
// a factor for each output, is added.
typedef enum { WRITE, GELU, GLU, ADD, GELU_ADD, GLU_ADD } Then;

// some: how many outputs are left, a multiple of 8.
INLINE void finish(Then then, Many y[PARTS], int some, const float *factor, float *to) {
    if (then == GLU || then == GLU_ADD) {
        Many gate[PARTS];
        for (int part = PARTS / 2; part < PARTS; part++)
            gate[part] = sigmoid_of(y[part]);
        for (int k = 0; k < BLOCK / 8; k++) {
            Floats a = ((Floats *)y)[k], b = ((Floats *)gate)[k + BLOCK / 8], *out = (Floats *)to + k;
            if (then == GLU)
                *out = a * b;
            else
                *out += floats_at(factor + 4 * k) * a * b;
        }
        return;
    }
    if (then == GELU || then == GELU_ADD)
        for (int part = 0; part < PARTS; part++)
            y[part] = gelu_of(y[part]);
    const int add = then == ADD || then == GELU_ADD;
    if (WIDTH <= 8 || some >= BLOCK)
        for (int part = 0; part < PARTS; part++)
            *((Many *)to + part) = add ? *((Many *)to + part) + y[part] : y[part];
    else
        for (int k = 0; k < 2; k++)
            *((Floats *)to + k) = add ? *((Floats *)to + k) + ((Floats *)y)[k] : ((Floats *)y)[k];
}

typedef struct {
    const int16_t *weight; // packed: BLOCK outputs at a time, two inputs of each side by side
    const float *scale, *bias;
    int outputs, depth;
} Matrix;

// Where the outputs of a row go, as View says it of inputs. factor: of GLU_ADD.
typedef struct {
    float *out;
    int outer_step, inner_step;
    const float *factor;
} Target;

// One block of outputs for `count` quantised rows, from row `start` on.
INLINE void block_times_rows(
    const Matrix *m, int block, const Rows *tiles, const float *steps, int start, int count, int inner, Then then,
    const Target *target
) {
    const int depth = m->depth, gated = then == GLU || then == GLU_ADD, column = gated ? block / 2 : block;
    const int16_t *w = m->weight + block * depth;
    Many scale[PARTS], bias[PARTS];
    for (int part = 0; part < PARTS; part++) {
        scale[part] = *(const Many *)(m->scale + block + WIDTH * part);
        bias[part] = *(const Many *)(m->bias + block + WIDTH * part);
    }
    int o = start / inner, n = start % inner;
    for (int row = 0; row < count; row += ROWS, tiles += TILES * (depth / 2)) {
        Many total[ROWS][PARTS];
        for (int lane = 0; lane < ROWS; lane++)
            for (int part = 0; part < PARTS; part++)
                total[lane][part] = (Many){0};
        for (int i = 0; i < depth; i += FLUSH) {
            Sums sums[ROWS][PARTS];
            UNROLL
            for (int lane = 0; lane < ROWS; lane++)
                for (int part = 0; part < PARTS; part++)
                    sums[lane][part] = (Sums){0};
            dot(w + i * BLOCK, tiles + i / 2, depth / 2, depth - i < FLUSH ? depth - i : FLUSH, sums);
            UNROLL
            for (int lane = 0; lane < ROWS; lane++)
                for (int part = 0; part < PARTS; part++)
                    total[lane][part] += totals_of(sums[lane][part]);
        }
        for (int lane = 0; lane < ROWS && row + lane < count; lane++) {
            float *to = target->out + o * target->outer_step + n * target->inner_step + column;
            Many y[PARTS];
            for (int part = 0; part < PARTS; part++)
                y[part] = total[lane][part] * (scale[part] * steps[row + lane]) + bias[part];
            finish(then, y, m->outputs - block, target->factor + column, to);
            if (++n == inner)
                n = 0, o++;
        }
    }
}

// All outputs for all rows of a view. tiles: scratch of CHUNK * depth 16-bit integers.
static void multiply(const View *v, int rows, const Matrix *m, Then then, const Target *target, Rows *tiles) {
    float steps[CHUNK];
    for (int start = 0; start < rows; start += CHUNK) {
        int count = rows - start < CHUNK ? rows - start : CHUNK;
        for (int i = 0; i < count; i += LANES)
            quantize_four(v, start + i, count - i, LEVELS, tile_of(tiles, i, m->depth), steps + i);
        for (int block = 0; block < m->outputs; block += BLOCK)
            // Each is compiled by itself: what comes after a product is then free of branches.
            switch (then) {
#define CASE(THEN) \
    case THEN: block_times_rows(m, block, tiles, steps, start, count, v->inner, THEN, target); break
                CASE(WRITE);
                CASE(GELU);
                CASE(GLU);
                CASE(ADD);
                CASE(GELU_ADD);
                CASE(GLU_ADD);
#undef CASE
            }
    }
}

// then(scale * (rows @ weight.T) + bias). outputs: a multiple of 8. Weight, scale and bias go on to whole blocks.
EXPORT void product(
    const float *x, int outer, int inner, int outer_step, int inner_step, int pieces, int piece_step, int piece,
    const int16_t *weight, const float *scale, const float *bias, int outputs, Then then, float *out,
    int out_outer_step, int out_inner_step, Rows *tiles
) {
    View v = {x, inner, outer_step, inner_step, pieces, piece_step, piece};
    Matrix m = {weight, scale, bias, outputs, pieces * piece};
    Target target = {out, out_outer_step, out_inner_step, 0};
    multiply(&v, outer * inner, &m, then, &target, tiles);
}

// ---- DConv

// Mean and inverse deviation from sums over `count` numbers.
typedef struct { float mean, inverse; } Moments;
static Moments moments_of(double sum, double square, double count) {
    double mean = sum / count, variance = square / count - mean * mean;
    return (Moments){(float)mean, 1 / __builtin_sqrtf((float)(variance > 0 ? variance : 0) + 1e-5f)};
}

// Sums and squares over (rows, width); each row is summed up in floats, rows in doubles. Cost: x is read once.
static Moments moments_over(const float *x, int rows, int width, double count) {
    double sum = 0, square = 0;
    for (int r = 0; r < rows; r++, x += width) {
        Floats s = splat(0), q = s;
        for (int i = 0; i < width; i += 4) {
            Floats y = floats_at(x + i);
            s += y;
            q += y * y;
        }
        sum += sum_of(s);
        square += sum_of(q);
    }
    return moments_of(sum, square, count);
}

enum { SUMMED = 128 }; // rows whose products are summed in floats

// Mean and deviation of y = expand(h) over all frames and outputs, without y: h has few channels, so its sum s and its
// products G = h' h are cheap, and with W and b, the matrix and its bias,
//   sum y = (sum W) s + frames sum b,    sum y^2 = tr(G W'W) + 2 (b'W) s + frames b'b
// h: (frames, width). known: W'W (width, width), sum W, b'W (width each), sum b, b'b.
// So the norm becomes part of the product's scale and bias, and y, which would be the largest array of all, is never
// in memory. Cost: width / 2 products for each of h, where y would take `outputs`.
static Moments moments_of_product(const float *h, int frames, int width, const float *known, int outputs) {
    const float *sums = known + width * width, *mixed = sums + width, *biases = mixed + width;
    double sum = (double)frames * biases[0], square = (double)frames * biases[1];
    for (int start = 0; start < frames; start += SUMMED) {
        int count = frames - start < SUMMED ? frames - start : SUMMED;
        const float *rows = h + start * width;
        for (int i = 0; i < width; i++) {
            float total = 0;
            for (int r = 0; r < count; r++)
                total += rows[r * width + i];
            sum += (double)total * sums[i];
            square += 2 * (double)total * mixed[i];
            for (int j = i & ~3; j < width; j += 4) { // G is symmetric
                Floats g = splat(0);
                for (int r = 0; r < count; r++)
                    g += rows[r * width + i] * floats_at(rows + r * width + j);
                Floats part = g * floats_at(known + i * width + j);
                for (int k = 0; k < 4; k++)
                    square += j + k < i ? 0 : j + k == i ? (double)part[k] : 2 * (double)part[k];
            }
        }
    }
    return moments_of(sum, square, (double)frames * outputs);
}

// One residual branch, in place: x += layer_scale * GLU(norm(W2 GELU(norm(W1 x)))). Norms are over a signal.
// x: `signals` of 2 + `frames` + 2 rows of `width`; the first and last two are zeros.
// squeezed: channels in between, `inner` padded to a multiple of 8; the padding's scale, bias, gain and offset are 0.
// W2's outputs take turns, half a block of GLU's first half and half a block of its second, and so do their gain and
// offset.
// group: signals done at a time. h: scratch of group * frames * inner floats; folded: of 4 * width floats;
// tiles: of CHUNK * max(3 * width, inner) 16-bit integers.
// Cost: a third each for the two products, and for GELU and GLU.
EXPORT void dconv(
    float *x, int signals, int frames, int signal_step, int frame_step, int width, int reach, const int16_t *squeeze,
    const float *squeeze_scale, const float *squeeze_bias, const float *squeeze_gain, const float *squeeze_offset,
    int squeezed, int inner, const int16_t *expand, const float *expand_scale, const float *expand_bias,
    const float *expand_gain, const float *expand_offset, const float *layer_scale, const float *known, int group,
    float *h, float *folded, Rows *tiles
) {
    int outputs = 2 * width;
    for (int first = 0; first < signals; first += group) {
        int some = signals - first < group ? signals - first : group;
        float *here = x + first * signal_step + 2 * frame_step;
        // Neighbouring signals together, since their rows lie side by side: h is (signals, frames, inner).
        View taps = {here - reach * frame_step, some, frame_step, signal_step, 3, reach * frame_step, width};
        Matrix narrow = {squeeze, squeeze_scale, squeeze_bias, inner, 3 * width};
        Target hidden = {h, inner, frames * inner, 0};
        multiply(&taps, frames * some, &narrow, WRITE, &hidden, tiles);
        for (int s = 0; s < some; s++) {
            float *rows = h + s * frames * inner;
            Moments m = moments_over(rows, frames, inner, (double)frames * squeezed);
            // Two rows are as long as some vectors, so gains and offsets are repeated once.
            float *gain = folded, *offset = folded + 2 * inner;
            for (int i = 0; i < 2 * inner; i++) {
                gain[i] = m.inverse * squeeze_gain[i % inner];
                offset[i] = squeeze_offset[i % inner] - m.mean * gain[i];
            }
            for (int t = 0; t < frames; t += 2) {
                float *pair = rows + t * inner;
                int some = frames - t < 2 ? inner : 2 * inner;
                for (int i = 0; i < some; i += WIDTH)
                    put(gelu_of(take(pair + i, some - i) * many_at(gain + i) + many_at(offset + i)), pair + i, some - i);
            }
            m = moments_of_product(rows, frames, inner, known, outputs);
            for (int i = 0; i < outputs; i += 4) {
                Floats gain = m.inverse * floats_at(expand_gain + i);
                *(Floats *)(folded + i) = floats_at(expand_scale + i) * gain;
                *(Floats *)(folded + outputs + i) =
                    (floats_at(expand_bias + i) - m.mean) * gain + floats_at(expand_offset + i);
            }
            View view = {rows, frames, 0, inner, 1, 0, inner};
            Matrix wide = {expand, folded, folded + outputs, outputs, inner};
            Target target = {here + s * signal_step, 0, frame_step, layer_scale};
            multiply(&view, frames, &wide, GLU_ADD, &target, tiles);
        }
    }
}

// ---- Norms

// Normalise every row of (rows, width). x and out may be the same.
// Cost: three passes over a row, which stays in the first-level cache. Norms are what products and attention leave: 2 %.
EXPORT void layer_norm(const float *x, int rows, int width, const float *gain, const float *bias, float *out) {
    for (int r = 0; r < rows; r++, x += width, out += width) {
        Floats sum = splat(0), square = sum;
        for (int i = 0; i < width; i += 4)
            sum += floats_at(x + i);
        float mean = sum_of(sum) / (float)width;
        for (int i = 0; i < width; i += 4) {
            Floats d = floats_at(x + i) - mean;
            square += d * d;
        }
        float inverse = 1 / __builtin_sqrtf(sum_of(square) / (float)width + 1e-5f);
        for (int i = 0; i < width; i += 4)
            *(Floats *)(out + i) =
                (floats_at(x + i) - mean) * inverse * floats_at(gain + i) + floats_at(bias + i);
    }
}

// Normalise (rows, width) as a whole, in place. Cost: two passes over all of it.
EXPORT void group_norm(float *x, int rows, int width, const float *gain, const float *bias) {
    Moments m = moments_over(x, rows, width, (double)rows * width);
    for (int r = 0; r < rows; r++, x += width)
        for (int i = 0; i < width; i += 4)
            *(Floats *)(x + i) = (floats_at(x + i) - m.mean) * m.inverse * floats_at(gain + i) + floats_at(bias + i);
}

// ---- Attention

enum {
    KEYS = 128,      // keys whose probabilities have a scale of their own
    QUERIES = 16,    // queries at a time: their scores stay in the second-level cache
    VALUES = 2047,   // levels of values
    TOGETHER = WIDTH == 16 ? 16 : 8, // keys whose probabilities are computed at a time
    CERTAIN = 8191,  // the probability of 1, as an integer; 128 * 2047 * 8191 < 2^31
};
#define LOG_CERTAIN 12.9998239f
#define LOG_E 1.44269504f

// Keys of one head as a matrix of integers, packed in blocks of keys; scale: their steps, 0 beyond the last key.
// Cost: two passes, as for values, once for all queries.
static void pack_keys(const float *k, int keys, int step, int width, int levels, int16_t *packed, float *scale) {
    for (int block = 0; block < keys; block += BLOCK)
        for (int key = block; key < block + BLOCK; key++) {
            int16_t *to = packed + block * width + (key - block) * 2;
            Floats peaks = splat(0);
            const float *x = k + (key < keys ? key : 0) * step;
            for (int i = 0; i < width; i += 4)
                peaks = larger_of(peaks, magnitude_of(floats_at(x + i)));
            float peak = key < keys ? largest_of(peaks) : 0;
            scale[key] = peak / (float)levels;
            Floats factor = splat(peak > 1e-30f ? (float)levels / peak : 0);
            for (int i = 0; i < width; i += 4) {
                Ints y = rounded(floats_at(x + i) * factor);
                to[i * BLOCK] = (int16_t)y[0];
                to[i * BLOCK + 1] = (int16_t)y[1];
                to[(i + 2) * BLOCK] = (int16_t)y[2];
                to[(i + 2) * BLOCK + 1] = (int16_t)y[3];
            }
        }
}

// Channels of a head, padded to whole blocks.
static int columns_of(int width) { return (width + BLOCK - 1) & ~(BLOCK - 1); }

// Values of one head, for each KEYS keys transposed: blocks of channels, two keys side by side. Zeros fill the last
// KEYS; what fills the last block of channels is arbitrary. scale: steps, (blocks of keys, columns).
static void pack_values(const float *v, int keys, int step, int width, int16_t *packed, float *scale) {
    const int columns = columns_of(width);
    for (int start = 0; start < keys; start += KEYS, packed += KEYS * columns, scale += columns) {
        const float *x = v + start * step;
        int count = keys - start < KEYS ? keys - start : KEYS;
        for (int i = 0; i < width; i += 4) {
            Floats peaks = splat(1e-30f), zero = splat(0);
            for (int j = 0; j < count; j++)
                peaks = larger_of(peaks, magnitude_of(floats_at(x + j * step + i)));
            *(Floats *)(scale + i) = peaks / (float)VALUES;
            Floats factor = (float)VALUES / peaks;
            int16_t *to = packed + (i & ~(BLOCK - 1)) * KEYS + (i & (BLOCK - 1)) * 2;
            for (int j = 0; j < KEYS; j += 2) {
                Shorts a = (Shorts)rounded(j < count ? floats_at(x + j * step + i) * factor : zero);
                Shorts b = (Shorts)rounded(j + 1 < count ? floats_at(x + (j + 1) * step + i) * factor : zero);
                *(Shorts *)(to + j * BLOCK) = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
            }
        }
    }
}

// The sum of each two 16-bit integers.
#if defined(__wasm_simd128__)
INLINE Ints pairs_of(Ints x) { return (Ints)wasm_i32x4_dot_i16x8((v128_t)x, wasm_i16x8_splat(1)); }
#else
INLINE Ints pairs_of(Ints x) { return (x << 16 >> 16) + (x >> 16); }
#endif

// Scores of four queries become integers, relative to the largest of their block of keys, for which CERTAIN stands.
// One scale for a whole row would lose its many small probabilities beside a large one.
// scores: four rows of `blocks` * KEYS floats. p: tile for all keys. factor: what each block has to be multiplied with,
// in the end, for all to be relative to the row's largest. Returns the sums over all keys, so multiplied.
// Cost: 2^x at 2.7 G a second, so a quarter of the attention.
INLINE Floats probabilities(float *scores, int blocks, int count, Rows *p, Floats *factor) {
    const int step = blocks * KEYS;
    Floats highest = splat(-1e30f), sum = splat(0);
    for (int block = 0; block < blocks; block++, scores += KEYS) {
        Ints totals[LANES];
        for (int lane = 0; lane < LANES; lane++) {
            float *s = scores + lane * step;
            for (int j = count - block * KEYS; j < KEYS; j++)
                s[j] = -1e30f;
            Floats a = floats_at(s), b = floats_at(s + 4);
            for (int j = 8; j < KEYS; j += 8) {
                a = larger_of(a, floats_at(s + j));
                b = larger_of(b, floats_at(s + j + 4));
            }
            factor[block][lane] = largest_of(larger_of(a, b));
            totals[lane] = (Ints){0};
        }
        highest = larger_of(highest, factor[block]);
        Floats shift = LOG_CERTAIN - factor[block];
        for (int j = 0; j < KEYS; j += TOGETHER) {
            Many power[LANES][TOGETHER / WIDTH];
            for (int lane = 0; lane < LANES; lane++)
                for (int k = 0; k < TOGETHER / WIDTH; k++) {
                    Many s = many_at(scores + lane * step + j + k * WIDTH) + shift[lane];
                    power[lane][k] = power_of_two(larger_many(many_of(-2), s)); // a quarter, which becomes 0
                }
            for (int k = 0; k < TOGETHER / 4; k += 2, p += 4) {
                Ints rows[LANES];
                for (int lane = 0; lane < LANES; lane++) {
                    const Floats *four = (const Floats *)power[lane] + k;
                    rows[lane] = low_halves(rounded(four[0]), rounded(four[1]));
                    totals[lane] += pairs_of(rows[lane]);
                }
                transpose(rows);
                for (int i = 0; i < 4; i++)
                    *(Ints *)(p + i) = rows[i];
            }
        }
        Floats counted;
        for (int lane = 0; lane < LANES; lane++)
            counted[lane] = sum_of(float_of(totals[lane]));
        factor[blocks + block] = counted;
    }
    for (int block = 0; block < blocks; block++) {
        float relative[WIDTH] = {0};
        *(Floats *)relative = larger_of(splat(-126), factor[block] - highest);
        Many power = power_of_two(many_at(relative));
        factor[block] = *(Floats *)&power;
        sum += factor[block] * factor[blocks + block];
    }
    return sum;
}

// softmax(q k' scale) v of one head.
// q: (queries, width), out: the same; k, v: (keys, width); all with steps from row to row.
// With P for keys padded to KEYS, and C for `width` padded to whole blocks, scratch: packed_keys and packed_values,
// P * width and P * C 16-bit integers; key_scale, P floats; value_scale, P / KEYS * C floats; scores, QUERIES * P floats;
// p, QUERIES * P and tiles, QUERIES * width 16-bit integers; factor, QUERIES / LANES * 2 * P / KEYS vectors.
// Cost: 37 G multiply-adds a second in WebAssembly, softmax included.
EXPORT void attend(
    const float *q, int queries, int q_step, const float *k, const float *v, int keys, int step, int width, float scale,
    float *out, int out_step, int16_t *packed_keys, float *key_scale, int16_t *packed_values, float *value_scale,
    float *scores, Rows *p, Rows *tiles, Floats *factor
) {
    // Largest product of a query and a key: levels^2 * width < 2^31.
    const int levels = (int)__builtin_sqrt(2147483647.0 / width);
    const int blocks = (keys + KEYS - 1) / KEYS, padded = blocks * KEYS, columns = columns_of(width);
    pack_keys(k, keys, step, width, levels, packed_keys, key_scale);
    pack_values(v, keys, step, width, packed_values, value_scale);
    for (int start = 0; start < queries; start += QUERIES) {
        int count = queries - start < QUERIES ? queries - start : QUERIES;
        float steps[QUERIES];
        View view = {q + start * q_step, count, 0, q_step, 1, 0, width};
        for (int i = 0; i < count; i += LANES)
            quantize_four(&view, i, count - i, levels, tile_of(tiles, i, width), steps + i);
        for (int block = 0; block < keys; block += BLOCK)
            for (int i = 0; i < count; i += ROWS) {
                Sums sums[ROWS][PARTS];
                UNROLL
                for (int row = 0; row < ROWS; row++)
                    for (int part = 0; part < PARTS; part++)
                        sums[row][part] = (Sums){0};
                dot(packed_keys + block * width, tile_of(tiles, i, width), width / 2, width, sums);
                UNROLL
                for (int row = 0; row < ROWS; row++)
                    for (int part = 0; part < PARTS; part++) {
                        int key = block + WIDTH * part;
                        Many by = *(const Many *)(key_scale + key) * (steps[i + row] * scale * LOG_E);
                        *(Many *)(scores + (i + row) * padded + key) = totals_of(sums[row][part]) * by;
                    }
            }
        for (int i = 0; i < count; i += ROWS) {
            Floats over[TILES];
            for (int tile = 0; tile < TILES; tile++)
                over[tile] = 1 / probabilities(
                    scores + (i + tile * LANES) * padded, blocks, keys, tile_of(p, tile * LANES, padded),
                    factor + tile * 2 * blocks
                );
            for (int channel = 0; channel < width; channel += BLOCK) {
                Many total[ROWS][PARTS];
                for (int row = 0; row < ROWS; row++)
                    for (int part = 0; part < PARTS; part++)
                        total[row][part] = (Many){0};
                for (int block = 0; block < blocks; block++) {
                    Sums sums[ROWS][PARTS];
                    UNROLL
                    for (int row = 0; row < ROWS; row++)
                        for (int part = 0; part < PARTS; part++)
                            sums[row][part] = (Sums){0};
                    const int16_t *values = packed_values + block * KEYS * columns + channel * KEYS;
                    dot(values, p + block * KEYS / 2, padded / 2, KEYS, sums);
                    for (int part = 0; part < PARTS; part++) {
                        Many by = *(const Many *)(value_scale + block * columns + channel + WIDTH * part);
                        UNROLL
                        for (int row = 0; row < ROWS; row++)
                            total[row][part] += totals_of(sums[row][part]) *
                                (by * factor[row / LANES * 2 * blocks + block][row % LANES]);
                    }
                }
                for (int row = 0; row < ROWS && i + row < count; row++)
                    for (int k = 0; k < BLOCK && channel + k < width; k += 4)
                        *(Floats *)(out + (start + i + row) * out_step + channel + k) =
                            ((Floats *)total[row])[k / 4] * over[row / LANES][row % LANES];
            }
        }
    }
}
