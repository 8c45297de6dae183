/* An LSTM's states over a batch of texts, their mean and their maximum, and the way back: what of the gates' sums
   changes them. `compiled_lstm.py` says what comes before and after.

   No text is padded. Rows are the texts' words: all first words, then all second ones, and so on, each time those of
   the texts that still have one, the longest text first. What a step takes lies side by side, so it is one product
   of a few rows with all weights of the states. Each thread has texts of its own, and waits for no other. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../vectors.h"

#define GATES 4 /* input, forget, cell, output: as torch has them */
#define COLUMNS 2
#define PANEL (COLUMNS * UNITS) /* weights lie as panels of so many columns, each of which stays in the first cache */
#if UNITS == 16
#define ROWS 12 /* rows whose sums of a panel fit into the registers beside its weights */
#else
#define ROWS 6
#endif

/* What goes into products, and what is kept of them for the way back: floats, or bfloat16 where the processor
   multiplies two of them as fast as one float. Products are added up, and cells kept, as floats. */
#ifdef __AVX512BF16__
#define DEEP 2 /* inputs that one instruction multiplies; they lie side by side in a panel */
typedef uint16_t number;
ALWAYS floats taken(const number *from) {
    return (floats)_mm512_cvtpbh_ps((__m256bh)_mm256_loadu_si256((const __m256i_u *)from));
}
ALWAYS void keep(number *to, floats values) {
    _mm256_storeu_si256((__m256i_u *)to, (__m256i)_mm512_cvtneps_pbh((__m512)values));
}
ALWAYS wholes repeated(const number *from) {
    int32_t both;
    memcpy(&both, from, sizeof both);
    return (wholes)_mm512_set1_epi32(both);
}
ALWAYS floats plus_product(floats sum, wholes inputs, wholes weights) {
    return (floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)inputs, (__m512bh)weights);
}
#else
#define DEEP 1
typedef float number;
ALWAYS floats taken(const number *from) { return load(from); }
ALWAYS void keep(number *to, floats values) { store(to, values); }
ALWAYS wholes repeated(const number *from) { return (wholes)all(*from); }
ALWAYS floats plus_product(floats sum, wholes inputs, wholes weights) { return (floats)inputs * (floats)weights + sum; }
#endif

/* What Python passes; `compiled_lstm.py` has the same fields. The texts of one thread. */
struct part {
    const int64_t *begins;      /* (steps,): the row of a step's first text */
    const int32_t *active;      /* (steps,): the texts that have a word then */
    number *gates;              /* (rows, 4 * hidden): sums, then what the gates let through, then the sums' slopes */
    float *cells;               /* (rows, hidden) */
    number *states;             /* (rows, hidden) */
    const number *first_states; /* (texts, hidden), before the first word; or nothing, as are the next */
    const float *first_cells;
    const number *slopes;       /* (rows, hidden): on the way back, those of the states; or nothing */
    float *sums;                /* (texts, hidden): of the states; on the way back, the slope of each state's share;
                                   or nothing, as are the next two */
    float *highest;             /* (texts, hidden): their maxima; on the way back, the maxima's slopes */
    int32_t *places;            /* (texts, hidden): the steps that these are of */
    float *carried;             /* (2, texts, hidden): on the way back, the next step's slopes of states and of cells */
    float *products;            /* (texts, 4 * hidden): of a step */
    int32_t steps;
    int32_t texts;
    int32_t hidden;             /* a multiple of PANEL */
    int32_t unused;
};

/* Changes with the structure, for a library that was compiled from an older source. */
int plaudit_layout(void) { return (int)sizeof(struct part); }

int plaudit_panel(void) { return PANEL; }

/* Weights (depth, columns), each at weights[row * down + column * right], as (columns / PANEL, depth / DEEP, PANEL,
   DEEP). */
void plaudit_pack(const float *weights, int32_t depth, int32_t columns, int64_t down, int64_t right, number *panels) {
    for (int begin = 0; begin < columns; begin += PANEL)
        for (int row = 0; row < depth; row += DEEP)
            for (int at = 0; at < PANEL; at += UNITS, panels += UNITS * DEEP) {
                number packed[DEEP][UNITS];
                for (int deep = 0; deep < DEEP; deep++) {
                    float values[UNITS];
                    for (int unit = 0; unit < UNITS; unit++)
                        values[unit] = weights[(row + deep) * down + (begin + at + unit) * right];
                    keep(packed[deep], load(values));
                }
                for (int unit = 0; unit < UNITS; unit++)
                    for (int deep = 0; deep < DEEP; deep++) panels[unit * DEEP + deep] = packed[deep][unit];
            }
}

/* The products of `rows` rows with a panel. */
ALWAYS void tile(int rows, const number *from, int depth, const number *panel, float *to, size_t wide) {
    floats sums[ROWS][COLUMNS];
    for (int row = 0; row < rows; row++)
        for (int at = 0; at < COLUMNS; at++) sums[row][at] = all(0);
    for (int k = 0; k < depth; k += DEEP, panel += PANEL * DEEP) {
        wholes weights[COLUMNS];
        for (int at = 0; at < COLUMNS; at++) weights[at] = load_wholes(panel + at * UNITS * DEEP);
        for (int row = 0; row < rows; row++) {
            const wholes inputs = repeated(from + (size_t)row * depth + k);
            for (int at = 0; at < COLUMNS; at++) sums[row][at] = plus_product(sums[row][at], inputs, weights[at]);
        }
    }
    for (int row = 0; row < rows; row++)
        for (int at = 0; at < COLUMNS; at++) store(to + row * wide + at * UNITS, sums[row][at]);
}

#define TILE(count) \
    case count: \
        tile(count, from, depth, panel, to, wide); \
        break;

static void tile_of(int rows, const number *from, int depth, const number *panel, float *to, size_t wide) {
    switch (rows) {
        TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if ROWS == 12
        TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif
    }
}

/* The products (rows, wide) of rows (rows, depth) with panels. Rows are dealt out to tiles evenly: where one or two
   are left over, each sum waits for the one before. */
static void multiply(const number *from, int rows, int depth, const number *panels, float *to, int wide) {
    const int tiles = (rows + ROWS - 1) / ROWS;
    for (int begin = 0; begin < wide; begin += PANEL, panels += (size_t)depth * PANEL)
        for (int i = 0; i < tiles; i++) {
            const int row = rows * i / tiles, count = rows * (i + 1) / tiles - row;
            tile_of(count, from + (size_t)row * depth, depth, panels, to + (size_t)row * wide + begin, wide);
        }
}

/* Takes one state into its text's sum and maximum. */
ALWAYS void pool(const struct part *of, size_t at, int step, floats state) {
    if (!step) {
        store(of->sums + at, state);
        store(of->highest + at, state);
        store_wholes(of->places + at, (wholes){0});
        return;
    }
    const floats before = load(of->highest + at);
    const wholes more = state > before;
    store(of->sums + at, load(of->sums + at) + state);
    store(of->highest + at, chosen(more, state, before));
    store_wholes(of->places + at, (more & step) | (~more & load_wholes(of->places + at)));
}

/* The part's cells and states, what its gates let through, and its texts' sums, maxima and places. `panels` are of the
   weights (hidden, 4 * hidden) that a state has for the next one's gates. */
void plaudit_read(const struct part *of, const number *panels) {
    const int hidden = of->hidden, wide = GATES * hidden;
    const number *states = of->first_states;
    const float *cells = of->first_cells;
    for (int step = 0; step < of->steps; step++) {
        const int64_t begin = of->begins[step];
        number *gates = of->gates + begin * wide;
        const float *products = of->products;
        if (states) multiply(states, of->active[step], hidden, panels, of->products, wide);
        for (int text = 0; text < of->active[step]; text++, gates += wide, products += wide)
            for (int unit = 0; unit < hidden; unit += UNITS) {
                const size_t own = (size_t)text * hidden + unit, at = begin * hidden + own;
                floats sums[GATES];
                for (int gate = 0; gate < GATES; gate++) {
                    sums[gate] = taken(gates + gate * hidden + unit);
                    if (states) sums[gate] += load(products + gate * hidden + unit);
                }
                const floats in = sigmoid(sums[0]), kept = sigmoid(sums[1]);
                const floats fresh = hyperbolic_tangent(sums[2]), out = sigmoid(sums[3]);
                const floats cell = in * fresh + (cells ? kept * load(cells + own) : all(0));
                const floats state = out * hyperbolic_tangent(cell);
                keep(gates + unit, in);
                keep(gates + hidden + unit, kept);
                keep(gates + 2 * hidden + unit, fresh);
                keep(gates + 3 * hidden + unit, out);
                store(of->cells + at, cell);
                keep(of->states + at, state);
                if (of->sums) pool(of, own, step, state);
            }
        states = of->states + begin * hidden;
        cells = of->cells + begin * hidden;
    }
}

/* The slope of a state at `at` of all rows and `own` of the texts, but for what the next step adds. */
ALWAYS floats slope(const struct part *of, size_t at, size_t own, int step) {
    floats found = of->slopes ? taken(of->slopes + at) : all(0);
    if (of->sums) {
        const wholes here = load_wholes(of->places + own) == step;
        found += load(of->sums + own) + chosen(here, load(of->highest + own), all(0));
    }
    return found;
}

/* The slopes of the gates' sums, in their place, from those of the states, of their shares in the mean and of the
   maxima. `panels` are of the same weights (4 * hidden, hidden), turned. */
void plaudit_read_back(const struct part *of, const number *panels) {
    const int hidden = of->hidden, wide = GATES * hidden;
    float *of_states = of->carried, *of_cells = of->carried + (size_t)of->texts * hidden;
    memset(of->carried, 0, 2 * sizeof(float) * of->texts * hidden);
    for (int step = of->steps - 1; step >= 0; step--) {
        const int64_t begin = of->begins[step];
        const float *cells = step ? of->cells + of->begins[step - 1] * hidden : of->first_cells;
        number *gates = of->gates + begin * wide;
        for (int text = 0; text < of->active[step]; text++, gates += wide)
            for (int unit = 0; unit < hidden; unit += UNITS) {
                const size_t own = (size_t)text * hidden + unit, at = begin * hidden + own;
                const floats in = taken(gates + unit), kept = taken(gates + hidden + unit);
                const floats fresh = taken(gates + 2 * hidden + unit), out = taken(gates + 3 * hidden + unit);
                const floats of_state = load(of_states + own) + slope(of, at, own, step);
                const floats bent = hyperbolic_tangent(load(of->cells + at));
                const floats of_cell = load(of_cells + own) + of_state * out * (1.f - bent * bent);
                const floats last = cells ? load(cells + own) : all(0);
                keep(gates + unit, of_cell * fresh * in * (1.f - in));
                keep(gates + hidden + unit, of_cell * last * kept * (1.f - kept));
                keep(gates + 2 * hidden + unit, of_cell * in * (1.f - fresh * fresh));
                keep(gates + 3 * hidden + unit, of_state * bent * out * (1.f - out));
                store(of_cells + own, of_cell * kept);
            }
        if (step) multiply(of->gates + begin * wide, of->active[step], wide, panels, of_states, hidden);
    }
}
