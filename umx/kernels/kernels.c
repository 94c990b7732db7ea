// The inner loops: products of 8-bit weights and 16-bit activations, LSTM layers, magnitudes, the Wiener filter, Fourier
// transforms, 16-bit samples and peaks, for WebAssembly SIMD128 (baseline, not relaxed) and for the processors that
// `vectors.h` names. `reference.py` is the same in numpy.
//
// Memory: nothing here allocates. Callers pass every array, scratch included, and `simd.py` knows their sizes.
// Products are exact: an activation has as many levels as keep the sum over a row within 32 bits.
// Time: products, LSTM layers included, take 95 % of it for UMX-L's shapes. The rates quoted below were measured in V8
// on one core, see docs/benchmark.md.
// Built by scripts/kernels.py.

#include "vectors.h"

enum {
    GATES = 4,  // of an LSTM: input, forget, cell, output
    // Vectors of weights multiplied at a time. With 4 rows, 8 vectors of sums, 2 of weights and 1 of activations fit 16
    // registers. AVX-512 has 32, and is busy from 10 sums on.
    PARTS = WIDTH == 16 ? 4 : 2,
    BLOCK = PARTS * WIDTH,  // outputs multiplied at a time; weights are packed in such blocks
};

// Callers pad the outputs of packed weights, scales and biases to a multiple of this.
EXPORT int block_size(void) { return BLOCK; }

typedef enum { NONE, TANH, RELU } Activation;

// Number of inputs, padded to whole vectors of 16-bit integers.
static int depth_of(int inputs) { return (inputs + 7) & ~7; }

// Pack int8 (outputs, inputs) into blocks of outputs: for every SIDE inputs all outputs of a block in turn, each with these
// inputs side by side, as i32x4.dot_i16x8_s wants two of them. Zeros fill the last block and the last inputs.
// Cost: byte by byte, once when a model is loaded.
EXPORT void pack(const int8_t *weight, int outputs, int inputs, int8_t *packed) {
    int depth = depth_of(inputs);
    for (int block = 0; block < outputs; block += BLOCK)
        for (int i = 0; i < depth; i += SIDE)
            for (int row = block; row < block + BLOCK; row++)
                for (int k = i; k < i + SIDE; k++)
                    *packed++ = row < outputs && k < inputs ? weight[row * inputs + k] : 0;
}

// Quantise one row to 16-bit integers, as lane `lane` of a tile. Returns the step size.
// NaN becomes 0; a row of denormals or zeros becomes all 0.
// Cost: two passes over the row, paid once for all outputs; a product reads it outputs / BLOCK times.
static float quantize(const float *x, int inputs, int lane, Rows *tile) {
    int depth = depth_of(inputs);
    Floats peaks = splat(0);
    int i = 0;
    for (; i + 4 <= inputs; i += 4)
        peaks = larger_of(peaks, magnitude_of(floats_at(x + i)));
    float peak = 0;
    for (int k = 0; k < 4; k++)
        peak = larger(peak, peaks[k]);
    for (; i < inputs; i++)
        peak = larger(peak, x[i] < 0 ? -x[i] : x[i]);
    // 128 * levels * depth stays below 2^31, so that no sum overflows.
    int levels = 0x7fffffff / (128 * depth);
    levels = levels < MOST ? levels : MOST;
    float step = peak / (float)levels;
    float inverse = peak > 1e-30f ? (float)levels / peak : 0;

    for (i = 0; i < depth; i += 8, tile += 8 / SIDE) {
        float rest[8] = {0};
        const float *from = x + i;
        if (i + 8 > inputs) {
            for (int k = 0; i + k < inputs; k++)
                rest[k] = from[k];
            from = rest;
        }
        put_eight(whole_of(floats_at(from) * inverse, floats_at(from + 4) * inverse), tile, lane);
    }
    return step;
}

typedef struct {
    const int8_t *weight; // packed
    const float *scale;   // (outputs,), as `bias` padded to whole blocks
    const float *bias;
    int outputs, inputs;
} Matrix;

// Packed weights as the inner loop reads them, once per block for CHUNK rows; once per 64 rows it would be 3 % of a
// product. wide: scratch of `count` 16-bit integers.
typedef int8_t Bytes __attribute__((vector_size(8), aligned(1)));
static const Stored *stored(const int8_t *packed, int count, int16_t *wide) {
    if (sizeof(Stored) == 1)
        return (const Stored *)packed;
    for (int i = 0; i < count; i += 8)
        *(Shorts *)(wide + i) = __builtin_convertvector(*(const Bytes *)(packed + i), Shorts);
    return (const Stored *)wide;
}

typedef int8_t Narrow __attribute__((vector_size(SIDE * WIDTH), aligned(1)));
INLINE Weights weights_at(const Stored *w) {
    return sizeof(Stored) == 1 ? __builtin_convertvector(*(const Narrow *)w, Weights) : *(const Weights *)w;
}

// One block of outputs for the first `lanes` rows of a tile: out = activation(scale * step * sum + bias), or with `add`
// out += scale * step * sum.
// w: the block's weights.
// Cost: the inner loop is most of the engine's time. In WebAssembly two inputs take 2 loads of weights and, for each
// lane, 1 load, 2 dot products and 2 additions: with four lanes 64 multiply-adds in 22 instructions, 43 G multiply-adds
// a second. AVX-512 does 512 in 24.
INLINE void block_times_tile(
    const Matrix *m, int block, const Stored *w, const Rows *tile, const float *steps, int lanes, Activation activation,
    int add, float *out, int stride
) {
    const int depth = depth_of(m->inputs);
    Sums sums[LANES][PARTS];
    for (int lane = 0; lane < lanes; lane++)
        for (int part = 0; part < PARTS; part++)
            sums[lane][part] = (Sums){0};
#pragma clang loop unroll_count(2)
    for (int i = 0; i < depth; i += SIDE, w += SIDE * BLOCK, tile++) {
        KEEP_ORDER(w);
        KEEP_ORDER(tile);
        Weights weights[PARTS];
        for (int part = 0; part < PARTS; part++)
            weights[part] = weights_at(w + SIDE * WIDTH * part);
        for (int lane = 0; lane < lanes; lane++) {
            Inputs x = inputs_at(tile->lane[lane]);
            for (int part = 0; part < PARTS; part++)
                sums[lane][part] = plus_products(sums[lane][part], weights[part], x);
            for (int part = 0; part < PARTS; part++)
                KEEP_ORDER(sums[lane][part]);
        }
    }
    for (int lane = 0; lane < lanes; lane++, out += stride)
        for (int part = 0; part < PARTS; part++) {
            int first = block + WIDTH * part, some = m->outputs - first;
            Many y = totals_of(sums[lane][part]) * (many_at(m->scale + first) * steps[lane]);
            if (add) {
                // Only gates are added to. Their number is a multiple of 4, so vectors of four are always whole.
                if (WIDTH > 4)
                    put(take(out + first, some) + y, out + first, some);
                else if (some > 0)
                    *(Many *)(out + first) += y;
                continue;
            }
            y += many_at(m->bias + first);
            if (activation == RELU)
                y = larger_many(many_of(0), y);
            if (activation == TANH)
                y = tanh_of(y);
            put(y, out + first, some);
        }
}

// One block of outputs for rows in tiles of 4.
static void block_times_rows(
    const Matrix *m, int block, const Stored *w, Rows *tiles, const float *steps, int rows, Activation activation,
    int add, float *out, int stride
) {
    for (int row = 0; row < rows; row += LANES) {
        const Rows *tile = tile_of(tiles, row, depth_of(m->inputs));
        const float *step = steps + row;
        float *place = out + row * stride;
        // Each number of lanes is compiled by itself: its sums stay in registers only if the loops over lanes unroll.
        switch (rows - row) {
        case 1: block_times_tile(m, block, w, tile, step, 1, activation, add, place, stride); break;
        case 2: block_times_tile(m, block, w, tile, step, 2, activation, add, place, stride); break;
        case 3: block_times_tile(m, block, w, tile, step, 3, activation, add, place, stride); break;
        default: block_times_tile(m, block, w, tile, step, 4, activation, add, place, stride);
        }
    }
}

// All outputs for rows in tiles of 4. wide: scratch of BLOCK * depth 16-bit integers.
static void multiply(
    const Matrix *m, Rows *tiles, const float *steps, int rows, Activation activation, float *out, int16_t *wide
) {
    int depth = depth_of(m->inputs);
    for (int block = 0; block < m->outputs; block += BLOCK) {
        const Stored *w = stored(m->weight + block * depth, BLOCK * depth, wide);
        block_times_rows(m, block, w, tiles, steps, rows, activation, 0, out, m->outputs);
    }
}

// activation(scale * (x @ weight.T) + bias): float (rows, inputs) to (rows, outputs).
// tiles, wide: scratch of CHUNK * depth and BLOCK * depth 16-bit integers.
EXPORT void linear(
    const float *x, int rows, int inputs, const int8_t *weight, const float *scale, const float *bias, int outputs,
    Activation activation, float *out, Rows *tiles, int16_t *wide
) {
    Matrix m = {weight, scale, bias, outputs, inputs};
    float steps[CHUNK];
    for (int start = 0; start < rows; start += CHUNK) {
        int count = rows - start < CHUNK ? rows - start : CHUNK;
        for (int i = 0; i < count; i++)
            steps[i] = quantize(x + (start + i) * inputs, inputs, i % LANES, tile_of(tiles, i, depth_of(inputs)));
        multiply(&m, tiles, steps, count, activation, out + start * outputs, wide);
    }
}

// One direction of an LSTM layer over B sequences in lockstep, B from 1 to CHUNK. With gates in torch's order:
//   i, f, g, o = W x(t) + b + R h(t-1)
//   c(t) = sigmoid(f) c(t-1) + sigmoid(i) tanh(g)
//   h(t) = sigmoid(o) tanh(c(t))
// Cost: W x is done CHUNK rows at a time, at a product's full rate. R h reads all of R for every frame, whatever B is
// up to LANES, so few sequences waste it. R is made ready once per call. The gates of a unit take five divisions, little
// beside the 4 * width products of its R h.
// x: float (B, frames, inputs); h, c: float (B, width), the state, replaced by the new one.
// out: float (B, frames, width), `stride` floats from frame to frame.
// gates: scratch of CHUNK * 4 * width floats; tiles, wide, wide_recurrent: of CHUNK * depth, BLOCK * depth and
// 4 * width * depth_of(width) 16-bit integers.
EXPORT void lstm(
    const float *x, int sequences, int frames, int inputs, int width, const int8_t *weight, const float *scale,
    const float *bias, const int8_t *recurrent, const float *recurrent_scale, int reverse, float *h, float *c,
    float *out, int stride, float *gates, Rows *tiles, int16_t *wide, int16_t *wide_recurrent
) {
    Matrix projection = {weight, scale, bias, GATES * width, inputs};
    Matrix recurrence = {recurrent, recurrent_scale, 0, GATES * width, width};
    int depth = depth_of(width), blocks = (GATES * width + BLOCK - 1) / BLOCK;
    const Stored *every = stored(recurrent, blocks * BLOCK * depth, wide_recurrent);
    float steps[CHUNK];
    int together = CHUNK / sequences; // frames projected at a time
    for (int start = 0; start < frames; start += together) {
        int count = frames - start < together ? frames - start : together;
        for (int i = 0; i < count * sequences; i++) {
            int t = start + i / sequences, frame = reverse ? frames - 1 - t : t;
            const float *row = x + (i % sequences * frames + frame) * inputs;
            steps[i] = quantize(row, inputs, i % LANES, tile_of(tiles, i, depth_of(inputs)));
        }
        multiply(&projection, tiles, steps, count * sequences, NONE, gates, wide);

        for (int i = 0; i < count; i++) {
            int t = start + i, frame = reverse ? frames - 1 - t : t;
            float *now = gates + i * sequences * GATES * width;
            for (int s = 0; s < sequences; s++)
                steps[s] = quantize(h + s * width, width, s % LANES, tile_of(tiles, s, depth));
            for (int block = 0; block < GATES * width; block += BLOCK) {
                const Stored *w = every + block * depth;
                block_times_rows(&recurrence, block, w, tiles, steps, sequences, NONE, 1, now, GATES * width);
            }
            for (int s = 0; s < sequences; s++) {
                const float *restrict gate = now + s * GATES * width;
                float *restrict cell = c + s * width, *restrict hidden = h + s * width;
                float *restrict to = out + (s * frames + frame) * stride;
                for (int k = 0; k < width; k += WIDTH) {
                    int some = width - k;
                    Many in = take(gate + k, some), forget = take(gate + width + k, some);
                    Many update = take(gate + 2 * width + k, some), open = take(gate + 3 * width + k, some);
                    Many state = sigmoid_of(forget) * take(cell + k, some) + sigmoid_of(in) * tanh_of(update);
                    put(state, cell + k, some);
                    Many y = sigmoid_of(open) * tanh_of(state);
                    put(y, hidden + k, some);
                    put(y, to + k, some);
                }
            }
        }
    }
}

// |z| of `count` complex numbers. Cost: a square root each, 0.1 ms for a second of music.
EXPORT void magnitude(const float *restrict z, int count, float *restrict out) {
    for (int i = 0; i < count; i++)
        out[i] = __builtin_sqrtf(z[2 * i] * z[2 * i] + z[2 * i + 1] * z[2 * i + 1]);
}

// The multichannel Wiener filter: one iteration of expectation-maximisation for stereo on one window of frames, in two
// parts. reference.py is the same in numpy; wiener.py names the paper. A bin of the mixture is x(t), two channels; m_j(t)
// are the masks of source j. `wiener_model` computes for each source
//   y_j(t) = m_j(t) x(t) / level                             first estimate, channel by channel
//   v_j(t) = (|y_j1(t)|^2 + |y_j2(t)|^2) / 2                 power
//   R_j = sum_t y_j(t) y_j(t)' / (sum_t v_j(t) + 1e-10)      covariance, 2 x 2 and Hermitian
// and `wiener_filter` the new estimates
//   C(t) = sum_j v_j(t) R_j + 1e-5 I                         covariance of the mixture as the model has it
//   z_j(t) = v_j(t) R_j C(t)^-1 x(t)
// and where the estimates are to be `complete`, channel by channel,
//   z_j(t) += (m_j(t) + 1e-6) / sum_k (m_k(t) + 1e-6) (x(t) - sum_k z_k(t))
// The level is a tenth of the window's largest magnitude, and at least 1: the constants are small beside it.
// masks: float (targets, frames, 2, bins); mixture: complex (frames, 2, bins).
// complete: 0 or 1, whether the estimates are to sum to the mixture. One more source takes part then, the residual, whose
// mask is 1 minus the sum of the others'.
// model: (sources * 4 * bins + 1) floats, sources being targets + complete: R_j by its left, its right, and the re and im
// of its upper right element; the last float is the level.

enum { COVARIANCE = 4 };  // left, right, re, im

INLINE Floats even(const Floats *x) { return __builtin_shufflevector(x[0], x[1], 0, 2, 4, 6); }
INLINE Floats odd(const Floats *x) { return __builtin_shufflevector(x[0], x[1], 1, 3, 5, 7); }
INLINE void interleave(Floats re, Floats im, Floats *to) {
    to[0] = __builtin_shufflevector(re, im, 0, 4, 1, 5);
    to[1] = __builtin_shufflevector(re, im, 2, 6, 3, 7);
}

// Add to a source's covariance in four bins, for masks a and b of the left x and the right y.
INLINE void add_covariance(Floats a, Floats b, const Floats *x, const Floats *y, Ints fresh, float *model, int bins) {
    Floats xr = even(x), xi = odd(x), yr = even(y), yi = odd(y);
    a = (Floats)((Ints)a & fresh);
    b = (Floats)((Ints)b & fresh);
    Floats both = a * b;
    *(Floats *)model += a * a * (xr * xr + xi * xi);
    *(Floats *)(model + bins) += b * b * (yr * yr + yi * yi);
    *(Floats *)(model + 2 * bins) += both * (xr * yr + xi * yi);
    *(Floats *)(model + 3 * bins) += both * (xi * yr - xr * yi);
}

// R_j for each source. bins: 4 or more.
// Cost: masks, mixture and R_j pass once for each source. Both parts take 2.4 ms for a second of music and four targets.
EXPORT void wiener_model(
    const float *masks, const float *mixture, int targets, int complete, int frames, int bins, float *model
) {
    const float epsilon = 1e-10f;
    int sources = targets + complete;
    Floats peaks = splat(0);
    for (int i = 0; i < sources * COVARIANCE * bins; i++)
        model[i] = 0;
    for (int source = 0; source < sources; source++)
        for (int t = 0; t < frames; t++)
            for (int block = 0; block < bins; block += 4) {
                // Some of the last bins come twice; they are added once.
                int f = block + 4 <= bins ? block : bins - 4;
                Ints fresh = (Ints){0, 1, 2, 3} >= block - f;
                const Floats *x = (const Floats *)(mixture + t * 4 * bins + 2 * f);
                const Floats *y = (const Floats *)(mixture + (t * 2 + 1) * 2 * bins + 2 * f);
                const float *mask = masks + (source * frames + t) * 2 * bins + f;
                Floats a, b;
                if (source < targets) {
                    a = *(const Floats *)mask;
                    b = *(const Floats *)(mask + bins);
                } else {
                    a = b = splat(1);
                    for (int j = 0; j < targets; j++) {
                        mask -= frames * 2 * bins;
                        a -= *(const Floats *)mask;
                        b -= *(const Floats *)(mask + bins);
                    }
                }
                add_covariance(a, b, x, y, fresh, model + source * COVARIANCE * bins + f, bins);
            }
    for (int i = 0; i < frames * 2; i++)
        for (int block = 0; block < bins; block += 4) {
            const Floats *x = (const Floats *)(mixture + i * 2 * bins + 2 * (block + 4 <= bins ? block : bins - 4));
            Floats re = even(x), im = odd(x);
            peaks = larger_of(peaks, re * re + im * im);
        }
    float peak = 0;
    for (int lane = 0; lane < 4; lane++)
        peak = larger(peak, peaks[lane]);
    float level = larger(1, __builtin_sqrtf(peak) / 10), inverse = 1 / level;
    model[sources * COVARIANCE * bins] = level;
    for (int source = 0; source < sources; source++) {
        float *restrict left = model + source * COVARIANCE * bins, *restrict right = left + bins;
        float *restrict re = right + bins, *restrict im = re + bins;
        for (int f = 0; f < bins; f++) {
            float over = inverse * inverse / (0.5f * inverse * inverse * (left[f] + right[f]) + epsilon);
            left[f] *= over;
            right[f] *= over;
            re[f] *= over;
            im[f] *= over;
        }
    }
}

// 1 where both are zero.
INLINE Floats one_at_zero(Floats re, Floats im) { return (Floats)((re == 0) & (im == 0) & (Ints)splat(1)); }

// Add a source of a power to the mixture's covariance in four bins.
INLINE void add_source(Floats power, const float *s, int bins, Floats *left, Floats *right, Floats *re, Floats *im) {
    *left += power * *(const Floats *)s;
    *right += power * *(const Floats *)(s + bins);
    *re += power * *(const Floats *)(s + 2 * bins);
    *im += power * *(const Floats *)(s + 3 * bins);
}

// z_j of `count` of the frames, from `start` on. out: complex (targets, count, 2, bins); bins: 4 or more.
// Cost: R_j passes twice for each frame. C(t) is inverted once for all sources, with 2 divisions on 4 bins; `complete`
// takes 2 more, and reads and writes the estimates again.
EXPORT void wiener_filter(
    const float *masks, const float *mixture, int targets, int complete, int frames, int bins, const float *model,
    int start, int count, float *out
) {
    const float root_epsilon = 1e-5f, trace = 1e-6f;
    float level = model[(targets + complete) * COVARIANCE * bins], inverse = 1 / level;
    for (int i = 0; i < count; i++)
        for (int block = 0; block < bins; block += 4) {
            int t = start + i, f = block + 4 <= bins ? block : bins - 4; // some of the last bins are done twice
            const Floats *x = (const Floats *)(mixture + t * 4 * bins + 2 * f);
            const Floats *y = (const Floats *)(mixture + (t * 2 + 1) * 2 * bins + 2 * f);
            Floats xr = even(x), xi = odd(x), yr = even(y), yi = odd(y);
            Floats l = 0.5f * inverse * inverse * (xr * xr + xi * xi);
            Floats r = 0.5f * inverse * inverse * (yr * yr + yi * yi);
            // The mixture's covariance as the model has it: [[left, re + i im], [re - i im, right]]
            Floats left = splat(root_epsilon), right = left, re = left - left, im = re;
            Floats a_sum = re, b_sum = re;
            for (int j = 0; j < targets; j++) {
                const float *mask = masks + (j * frames + t) * 2 * bins + f, *s = model + j * COVARIANCE * bins + f;
                Floats a = *(const Floats *)mask, b = *(const Floats *)(mask + bins);
                add_source(a * a * l + b * b * r, s, bins, &left, &right, &re, &im);
                a_sum += a;
                b_sum += b;
            }
            if (complete) {
                const float *s = model + targets * COVARIANCE * bins + f;
                Floats a = 1 - a_sum, b = 1 - b_sum;
                add_source(a * a * l + b * b * r, s, bins, &left, &right, &re, &im);
            }
            // openunmix.filtering.atan2 writes 1 into the mixture where it is exactly zero, and filters that.
            Floats fr = xr + one_at_zero(xr, xi), gr = yr + one_at_zero(yr, yi);
            // C^-1 x by elimination, and not with the determinant: see reference.py. (u, v) is C^-1 x, left and right.
            Floats over = 1 / left, pr = re * over, pi = im * over;
            Floats rest = right - pr * re - pi * im, least = root_epsilon * (1 + (right - root_epsilon) * over);
            Floats under = 1 / larger_of(least, rest);
            Floats vr = under * (gr - pr * fr - pi * xi), vi = under * (yi - pr * xi + pi * fr);
            Floats ur = over * (fr - re * vr + im * vi), ui = over * (xi - re * vi - im * vr);
            for (int j = 0; j < targets; j++) {
                const float *mask = masks + (j * frames + t) * 2 * bins + f, *s = model + j * COVARIANCE * bins + f;
                Floats a = *(const Floats *)mask, b = *(const Floats *)(mask + bins);
                Floats power = a * a * l + b * b * r;
                Floats c = *(const Floats *)s, d = *(const Floats *)(s + bins);
                Floats er = *(const Floats *)(s + 2 * bins), ei = *(const Floats *)(s + 3 * bins);
                Floats zr = power * (c * ur + er * vr - ei * vi), zi = power * (c * ui + er * vi + ei * vr);
                Floats wr = power * (d * vr + er * ur + ei * ui), wi = power * (d * vi + er * ui - ei * ur);
                interleave(zr, zi, (Floats *)(out + (j * count + i) * 4 * bins + 2 * f));
                interleave(wr, wi, (Floats *)(out + ((j * count + i) * 2 + 1) * 2 * bins + 2 * f));
                xr -= zr;
                xi -= zi;
                yr -= wr;
                yi -= wi;
            }
            if (!complete)
                continue;
            // What the estimates leave is added to them in proportion to their masks, or alike where all masks are zero.
            Floats a_over = 1 / (a_sum + targets * trace), b_over = 1 / (b_sum + targets * trace);
            xr *= a_over;
            xi *= a_over;
            yr *= b_over;
            yi *= b_over;
            for (int j = 0; j < targets; j++) {
                const float *mask = masks + (j * frames + t) * 2 * bins + f;
                Floats a = *(const Floats *)mask + trace, b = *(const Floats *)(mask + bins) + trace;
                Floats *z = (Floats *)(out + (j * count + i) * 4 * bins + 2 * f);
                Floats *w = (Floats *)(out + ((j * count + i) * 2 + 1) * 2 * bins + 2 * f);
                interleave(even(z) + a * xr, odd(z) + a * xi, z);
                interleave(even(w) + b * yr, odd(w) + b * yi, w);
            }
        }
}

// Four signals are transformed in lockstep, one per lane: a vector holds the same sample of all four.
typedef struct { Floats re, im; } Complex;

INLINE Complex plus(Complex a, Complex b) { return (Complex){a.re + b.re, a.im + b.im}; }
INLINE Complex minus(Complex a, Complex b) { return (Complex){a.re - b.re, a.im - b.im}; }
INLINE Complex times(Complex a, const float *w) {
    return (Complex){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

// Two floats, of the last bin.
typedef float Two __attribute__((vector_size(8), aligned(4)));
INLINE Two two_of(Floats x) { return __builtin_shufflevector(x, x, 0, 1); }
INLINE Floats two_at(const float *from) { return __builtin_shufflevector(*(const Two *)from, (Two){0}, 0, 1, 2, 3); }

// Fourier transform by Stockham's algorithm: radix 4, with a last step of radix 2 where log2(n) is odd. Each step
// writes to the other buffer, in order, so no bits are reversed.
// n: a power of two; roots: exp(-2 pi i k / n) for all k. Returns the buffer that holds the result.
// Cost: log4(n) passes over both buffers; with its window about 5 us per channel and frame for n = 4096.
static Complex *fourier(Complex *x, Complex *y, int n, const float *roots) {
    int stride = 1;
    for (; n >= 4; n /= 4, stride *= 4) {
        int quarter = n / 4;
        for (int p = 0; p < quarter; p++) {
            const float *w = roots + 2 * p * stride, *w2 = roots + 4 * p * stride, *w3 = roots + 6 * p * stride;
            for (int q = 0; q < stride; q++) {
                const Complex *from = x + q + stride * p;
                Complex *to = y + q + stride * 4 * p;
                Complex a = from[0], b = from[stride * quarter];
                Complex c = from[stride * 2 * quarter], d = from[stride * 3 * quarter];
                Complex even = plus(a, c), odd = minus(a, c), sum = plus(b, d), difference = minus(b, d);
                Complex turned = {difference.im, -difference.re}; // times -i
                to[0] = plus(even, sum);
                to[stride] = times(plus(odd, turned), w);
                to[2 * stride] = times(minus(even, sum), w2);
                to[3 * stride] = times(minus(odd, turned), w3);
            }
        }
        Complex *swap = x;
        x = y;
        y = swap;
    }
    if (n == 2) {
        for (int q = 0; q < stride; q++) {
            y[q] = plus(x[q], x[q + stride]);
            y[q + stride] = minus(x[q], x[q + stride]);
        }
        return y;
    }
    return x;
}

// Windowed spectra of stereo. Left and right are transformed as the real and imaginary part of one signal z, and told
// apart by symmetry: L(k) = (Z(k) + conj Z(n-k)) / 2, R(k) = (Z(k) - conj Z(n-k)) / 2i.
// audio: float (2, samples), `samples` floats from left to right; out: complex (frames, 2, n / 2 + 1).
// n: a power of two from 8 on; work: scratch of 4 * 4 * n floats.
// Cost: 0.5 ms for a second of music, nearly all in the transforms.
EXPORT void spectrum(
    const float *audio, int samples, int frames, int n, int hop, const float *window, const float *roots, float *out,
    Complex *work
) {
    int bins = n / 2 + 1;
    for (int t = 0; t < frames; t += 4) {
        int lanes = frames - t < 4 ? frames - t : 4;
        Complex *x = work;
        for (int i = 0; i < n; i += 4) {
            Floats w = floats_at(window + i), left[4], right[4];
            for (int lane = 0; lane < 4; lane++) {
                // Lanes without a frame repeat the last one; they aren't written.
                const float *from = audio + (t + (lane < lanes ? lane : lanes - 1)) * hop + i;
                left[lane] = floats_at(from) * w;
                right[lane] = floats_at(from + samples) * w;
            }
            transpose((Ints *)left);
            transpose((Ints *)right);
            for (int k = 0; k < 4; k++)
                x[i + k] = (Complex){left[k], right[k]};
        }
        Complex *z = fourier(x, work + n, n, roots);
        for (int k = 0; k < bins; k += 2) {
            Floats left[4], right[4];
            for (int i = 0; i < 2; i++) {
                Complex a = z[(k + i) & (n - 1)], b = z[(n - k - i) & (n - 1)];
                left[2 * i] = 0.5f * (a.re + b.re);
                left[2 * i + 1] = 0.5f * (a.im - b.im);
                right[2 * i] = 0.5f * (a.im + b.im);
                right[2 * i + 1] = 0.5f * (b.re - a.re);
            }
            transpose((Ints *)left);
            transpose((Ints *)right);
            for (int lane = 0; lane < lanes; lane++) {
                float *to = out + ((t + lane) * 2 * bins + k) * 2;
                if (k + 1 < bins) {
                    *(Floats *)to = left[lane];
                    *(Floats *)(to + 2 * bins) = right[lane];
                } else {
                    *(Two *)to = two_of(left[lane]);
                    *(Two *)(to + 2 * bins) = two_of(right[lane]);
                }
            }
        }
    }
}

// Adds the windowed inverse transforms of stereo spectra to a signal; the reverse of `spectrum`.
// spectra: complex (frames, 2, n / 2 + 1); audio: float (2, samples), to which frame t is added from sample t * hop on.
// Cost: 0.6 ms for a second of one target's music.
EXPORT void overlap_add(
    const float *spectra, int frames, int n, int hop, const float *window, const float *roots, float *audio,
    int samples, Complex *work
) {
    int bins = n / 2 + 1;
    float scale = 1 / (float)n;
    for (int t = 0; t < frames; t += 4) {
        int lanes = frames - t < 4 ? frames - t : 4;
        Complex *x = work;
        for (int k = 0; k < bins; k += 2) {
            Floats left[4], right[4];
            for (int lane = 0; lane < 4; lane++) {
                const float *from = spectra + ((t + (lane < lanes ? lane : lanes - 1)) * 2 * bins + k) * 2;
                int whole = k + 1 < bins;
                left[lane] = whole ? floats_at(from) : two_at(from);
                right[lane] = whole ? floats_at(from + 2 * bins) : two_at(from + 2 * bins);
            }
            transpose((Ints *)left);
            transpose((Ints *)right);
            for (int i = 0; i < 2 && k + i < bins; i++) {
                Complex l = {left[2 * i], left[2 * i + 1]}, r = {right[2 * i], right[2 * i + 1]};
                if (k + i == 0 || k + i == n / 2)
                    l.im = r.im = splat(0); // a real signal's spectrum is real there
                // Real and imaginary part are swapped, before and after: that turns the transform into its inverse.
                x[k + i] = (Complex){l.im + r.re, l.re - r.im};
                if (k + i > 0 && k + i < n / 2)
                    x[n - k - i] = (Complex){r.re - l.im, l.re + r.im};
            }
        }
        Complex *z = fourier(x, work + n, n, roots);
        for (int i = 0; i < n; i += 4) {
            Floats w = scale * floats_at(window + i), left[4], right[4];
            for (int k = 0; k < 4; k++) {
                left[k] = z[i + k].im;
                right[k] = z[i + k].re;
            }
            transpose((Ints *)left);
            transpose((Ints *)right);
            for (int lane = 0; lane < lanes; lane++) {
                float *to = audio + (t + lane) * hop + i;
                *(Floats *)to += left[lane] * w;
                to += samples;
                *(Floats *)to += right[lane] * w;
            }
        }
    }
}

// Load of up to four floats, filled up with zeros.
INLINE Floats four_at(const float *from, int count) {
    if (count >= 4)
        return floats_at(from);
    Floats x = {0};
    for (int k = 0; k < count; k++)
        x[k] = from[k];
    return x;
}

// Stereo to interleaved 16-bit samples. Returns how many exceed full scale; NaN becomes 0.
// Cost: two loads and a store for 4 frames; with `peaks` less than 1 ms for a second of all stems.
// audio: float (2, samples), `stride` floats from left to right.
EXPORT int to_int16(const float *audio, int stride, int samples, int16_t *out) {
    Floats full = splat(32768);
    Ints loud = {0};
    for (int i = 0; i < samples; i += 4, out += 8) {
        int some = samples - i;
        Floats left = __builtin_elementwise_roundeven(four_at(audio + i, some) * full);
        Floats right = __builtin_elementwise_roundeven(four_at(audio + stride + i, some) * full);
        loud -= ((left > full) | (left < -full)) + ((right > full) | (right < -full));
        Shorts both = whole_of(left, right);
        both = __builtin_shufflevector(both, both, 0, 4, 1, 5, 2, 6, 3, 7);
        if (some >= 4) {
            *(Shorts *)out = both;
            continue;
        }
        for (int k = 0; k < 2 * some; k++)
            out[k] = both[k];
    }
    return loud[0] + loud[1] + loud[2] + loud[3];
}

// The largest magnitude of every `step` samples over both channels, ignoring NaN.
EXPORT void peaks(const float *audio, int stride, int samples, int step, float *out) {
    for (int start = 0; start < samples; start += step) {
        int end = samples - start < step ? samples : start + step;
        Floats peak = splat(0);
        for (int i = start; i < end; i += 4) {
            peak = larger_of(peak, magnitude_of(four_at(audio + i, end - i)));
            peak = larger_of(peak, magnitude_of(four_at(audio + stride + i, end - i)));
        }
        *out++ = larger(larger(peak[0], peak[1]), larger(peak[2], peak[3]));
    }
}
