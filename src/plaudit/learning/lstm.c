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

/* What Python passes; `compiled_lstm.py` has the same fields. The texts of one thread. */
struct part {
    const int64_t *begins;   /* (steps,): the row of a step's first text */
    const int32_t *active;   /* (steps,): the texts that have a word then */
    float *gates;            /* (rows, 4 * hidden): sums, then what the gates let through, then the sums' slopes */
    float *cells;            /* (rows, hidden) */
    float *states;           /* (rows, hidden) */
    float *sums;             /* (texts, hidden): of the states; on the way back, the slope of each state's share */
    float *highest;          /* (texts, hidden): their maxima; on the way back, the maxima's slopes */
    int32_t *places;         /* (texts, hidden): the steps that these are of */
    float *carried;          /* (2, texts, hidden): on the way back, the next step's slopes of states and of cells */
    int32_t steps;
    int32_t texts;
    int32_t hidden;          /* a multiple of PANEL */
    int32_t unused;
};

/* Changes with the structure, for a library that was compiled from an older source. */
int plaudit_layout(void) { return (int)sizeof(struct part); }

int plaudit_panel(void) { return PANEL; }

/* Weights (depth, columns), each at weights[row * down + column * right], as (columns / PANEL, depth, PANEL). */
void plaudit_pack(const float *weights, int32_t depth, int32_t columns, int64_t down, int64_t right, float *panels) {
    for (int begin = 0; begin < columns; begin += PANEL)
        for (int row = 0; row < depth; row++)
            for (int column = begin; column < begin + PANEL; column++) *panels++ = weights[row * down + column * right];
}

/* The products of `rows` rows with a panel, added to what is there where they are `added`. */
ALWAYS void tile(int rows, const float *from, int depth, const float *panel, float *to, size_t wide, int added) {
    floats sums[ROWS][COLUMNS];
    for (int row = 0; row < rows; row++)
        for (int at = 0; at < COLUMNS; at++) sums[row][at] = added ? load(to + row * wide + at * UNITS) : all(0);
    for (int k = 0; k < depth; k++, panel += PANEL) {
        floats weights[COLUMNS];
        for (int at = 0; at < COLUMNS; at++) weights[at] = load(panel + at * UNITS);
        for (int row = 0; row < rows; row++) {
            const floats value = all(from[(size_t)row * depth + k]);
            for (int at = 0; at < COLUMNS; at++) sums[row][at] = value * weights[at] + sums[row][at];
        }
    }
    for (int row = 0; row < rows; row++)
        for (int at = 0; at < COLUMNS; at++) store(to + row * wide + at * UNITS, sums[row][at]);
}

#define TILE(count) \
    case count: \
        tile(count, from, depth, panel, to, wide, added); \
        break;

static void tile_of(int rows, const float *from, int depth, const float *panel, float *to, size_t wide, int added) {
    switch (rows) {
        TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if ROWS == 12
        TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif
    }
}

/* The products (rows, wide) of rows (rows, depth) with panels. Rows are dealt out to tiles evenly: where one or two
   are left over, each sum waits for the one before. */
static void multiply(const float *from, int rows, int depth, const float *panels, float *to, int wide, int added) {
    const int tiles = (rows + ROWS - 1) / ROWS;
    for (int begin = 0; begin < wide; begin += PANEL, panels += (size_t)depth * PANEL)
        for (int i = 0; i < tiles; i++) {
            const int row = rows * i / tiles, count = rows * (i + 1) / tiles - row;
            tile_of(count, from + (size_t)row * depth, depth, panels, to + (size_t)row * wide + begin, wide, added);
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
void plaudit_read(const struct part *of, const float *panels) {
    const int hidden = of->hidden, wide = GATES * hidden;
    for (int step = 0; step < of->steps; step++) {
        const int64_t begin = of->begins[step], before = step ? of->begins[step - 1] : 0;
        float *gates = of->gates + begin * wide;
        if (step) multiply(of->states + before * hidden, of->active[step], hidden, panels, gates, wide, 1);
        for (int text = 0; text < of->active[step]; text++, gates += wide)
            for (int unit = 0; unit < hidden; unit += UNITS) {
                const size_t own = (size_t)text * hidden + unit, at = begin * hidden + own;
                const floats in = sigmoid(load(gates + unit)), out = sigmoid(load(gates + 3 * hidden + unit));
                const floats kept = sigmoid(load(gates + hidden + unit));
                const floats fresh = hyperbolic_tangent(load(gates + 2 * hidden + unit));
                const floats cell = in * fresh + (step ? kept * load(of->cells + before * hidden + own) : all(0));
                const floats state = out * hyperbolic_tangent(cell);
                store(gates + unit, in);
                store(gates + hidden + unit, kept);
                store(gates + 2 * hidden + unit, fresh);
                store(gates + 3 * hidden + unit, out);
                store(of->cells + at, cell);
                store(of->states + at, state);
                pool(of, own, step, state);
            }
    }
}

/* The slopes of the gates' sums, in their place, from those of the states' shares in the mean and of the maxima.
   `panels` are of the same weights (4 * hidden, hidden), turned. */
void plaudit_read_back(const struct part *of, const float *panels) {
    const int hidden = of->hidden, wide = GATES * hidden;
    float *of_states = of->carried, *of_cells = of->carried + (size_t)of->texts * hidden;
    memset(of->carried, 0, 2 * sizeof(float) * of->texts * hidden);
    for (int step = of->steps - 1; step >= 0; step--) {
        const int64_t begin = of->begins[step], before = step ? of->begins[step - 1] : 0;
        float *gates = of->gates + begin * wide;
        for (int text = 0; text < of->active[step]; text++, gates += wide)
            for (int unit = 0; unit < hidden; unit += UNITS) {
                const size_t own = (size_t)text * hidden + unit;
                const floats in = load(gates + unit), kept = load(gates + hidden + unit);
                const floats fresh = load(gates + 2 * hidden + unit), out = load(gates + 3 * hidden + unit);
                const wholes here = load_wholes(of->places + own) == step;
                const floats of_highest = chosen(here, load(of->highest + own), all(0));
                const floats of_state = load(of_states + own) + load(of->sums + own) + of_highest;
                const floats bent = hyperbolic_tangent(load(of->cells + begin * hidden + own));
                const floats of_cell = load(of_cells + own) + of_state * out * (1.f - bent * bent);
                const floats last = step ? load(of->cells + before * hidden + own) : all(0);
                store(gates + unit, of_cell * fresh * in * (1.f - in));
                store(gates + hidden + unit, of_cell * last * kept * (1.f - kept));
                store(gates + 2 * hidden + unit, of_cell * in * (1.f - fresh * fresh));
                store(gates + 3 * hidden + unit, of_state * bent * out * (1.f - out));
                store(of_cells + own, of_cell * kept);
            }
        if (step) multiply(of->gates + begin * wide, of->active[step], wide, panels, of_states, hidden, 0);
    }
}
