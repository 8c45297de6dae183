/* From words' ids to their evidence through an LSTM, several texts at once, in float32, and in int8 where there is
   AVX2. `network.py` in learning says what the network is.

   A step reads every weight once, so one text alone is bound by the cache that holds them, and several texts share
   each read. Weights lie as blocks of as many units as a vector has floats: for one input (four inputs, in int8)
   the weights of 16 input gates, 16 forget gates, 16 cells and 16 output gates, with AVX-512, so that what comes out
   of a block is all that its units need for their next state. Texts come with the longest first: those that still
   have words are the first ones. A text's states are the same to the bit whichever texts are beside it. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../vectors.h"

/* Texts whose sums fit into the registers beside the weights. */
#if UNITS == 8
#define TOGETHER 2
#else
#define TOGETHER 4
#endif
#ifdef __AVX2__
#define INT8 1
#else
#define INT8 0
#endif
#define GATES 4
#define UNKNOWN_ID 1
#define BLOCK (UNITS * GATES)
#define FOUR 4       /* inputs that one instruction multiplies in int8 */
#define STEPS 128    /* steps of texts whose inputs are multiplied at once: what they take stays in the cache */

/* What Python passes; `compiled_kernel.py` has the same fields. Offsets and scales are in the order of the blocks. */
struct product {
    const void *weights;
    const float *scales;     /* of each gate's sum, in int8 */
    const int32_t *offsets;  /* where each gate's sum begins, in int8 */
    float range;             /* inputs lie from -range to range, in int8 */
    int32_t inputs;          /* a multiple of UNITS */
};

struct layer {
    struct product inward, inner;
    const float *biases;
    int32_t hidden;          /* a multiple of UNITS */
    int32_t int8;
};

struct network {
    const void *table;       /* (words, inputs) floats; int8 where there are scales */
    const float *scales;     /* a word's, or NULL */
    int64_t words;
    int32_t inputs;
    int32_t units;           /* of evidence */
    struct {                 /* forward, backward */
        const struct layer *layers;
        const float *dense;    /* (units, hidden): reads the last states, or their mean */
        const float *highest;  /* (units, hidden): reads their maxima; NULL where the last states are read */
        int32_t count;
        int32_t unused;
    } ways[2];
    const float *bias;       /* (units,), or NULL */
};

/* Changes with the structures, for a library that was compiled from an older source. */
int plaudit_layout(void) { return (int)(1000 * sizeof(struct network) + sizeof(struct layer)); }

int plaudit_units(void) { return UNITS; }
int plaudit_int8(void) { return INT8; }

/* A block's sums for `rows` texts, added to what `sums` begins with. */
ALWAYS void block_float(int rows, const struct product *by, int block, const float *const *x, floats sums[][GATES]) {
    const float *weights = (const float *)by->weights + (size_t)block * BLOCK * by->inputs;
    for (int k = 0; k < by->inputs; k++, weights += BLOCK)
        for (int gate = 0; gate < GATES; gate++) {
            const floats weight = load(weights + gate * UNITS);
            for (int row = 0; row < rows; row++)
                sums[row][gate] = weight * all(x[row][k]) + sums[row][gate];
        }
}

#if INT8
/* Floats from -range to range as 0 to 255, rounded as ONNX Runtime does it. */
ALWAYS void quantise(floats values, float inverse, uint8_t *out) {
#ifdef __AVX512VNNI__
    const __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(values * inverse), _mm512_set1_epi32(128));
    _mm_storeu_si128((__m128i *)out, _mm512_cvtusepi32_epi8(_mm512_max_epi32(whole, _mm512_setzero_si512())));
#else
    const __m256i whole = _mm256_add_epi32(_mm256_cvtps_epi32(values * inverse), _mm256_set1_epi32(128));
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i *)out, _mm_packus_epi16(halves, halves));
#endif
}

/* Adds four products each to as many sums as a vector has. */
#ifdef __AVX512VNNI__
ALWAYS wholes beginning(const int32_t *offsets) { return load_wholes(offsets); }
ALWAYS void add_products(wholes *sums, wholes inputs, wholes weights) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sums) : "v"(inputs), "v"(weights)); /* GCC 12's own copies each sum twice */
}
#else
/* Inputs are made -128 to 127, which needs no offsets, and their signs the weights': two products fit into 16 bits. */
ALWAYS wholes beginning(const int32_t *offsets) {
    (void)offsets;
    return (wholes){0};
}
ALWAYS void add_products(wholes *sums, wholes inputs, wholes weights) {
    const __m256i x = _mm256_xor_si256((__m256i)inputs, _mm256_set1_epi8(-128));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8((__m256i)weights, x));
    *sums += (wholes)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#endif

ALWAYS void block_int8(int rows, const struct product *by, int block, const uint8_t *const *x, floats sums[][GATES]) {
    const int8_t *weights = (const int8_t *)by->weights + (size_t)block * BLOCK * by->inputs;
    wholes whole[TOGETHER][GATES];
    for (int row = 0; row < rows; row++)
        for (int gate = 0; gate < GATES; gate++)
            whole[row][gate] = beginning(by->offsets + block * BLOCK + gate * UNITS);
    for (int k = 0; k < by->inputs; k += FOUR, weights += FOUR * BLOCK) {
        wholes four[TOGETHER];
        for (int row = 0; row < rows; row++) {
            int32_t bytes;
            memcpy(&bytes, x[row] + k, FOUR);
            four[row] = bytes - (wholes){0};
        }
        for (int gate = 0; gate < GATES; gate++) {
            const wholes weight = load_wholes(weights + gate * FOUR * UNITS);
            for (int row = 0; row < rows; row++) add_products(&whole[row][gate], four[row], weight);
        }
    }
    for (int gate = 0; gate < GATES; gate++) {
        const floats scale = load(by->scales + block * BLOCK + gate * UNITS);
        for (int row = 0; row < rows; row++)
            sums[row][gate] = __builtin_convertvector(whole[row][gate], floats) * scale + sums[row][gate];
    }
}
#else /* never called: no layer is int8 where plaudit_int8 is 0 */
#define quantise(values, inverse, out) (void)(inverse)
#define block_int8(rows, by, block, x, sums) (void)(x)
#endif

/* The buffers of one call. */
struct run {
    const struct layer *layer;
    float *gates;            /* (texts, steps, 4 * hidden): biases and inputs' products */
    float *cells;            /* (texts, hidden) */
    uint8_t *states[2];      /* (texts, hidden): the last state and the next, in int8 */
    uint8_t *inputs;         /* (steps, inputs): one text's inputs, in int8 */
    float *nothing;          /* (hidden,): the state before the first word */
};

ALWAYS void inward_rows(int rows, const struct run *run, int block, const void *x, float *gates) {
    const struct product *by = &run->layer->inward;
    const int wide = GATES * run->layer->hidden;
    floats sums[TOGETHER][GATES];
    for (int row = 0; row < rows; row++)
        for (int gate = 0; gate < GATES; gate++)
            sums[row][gate] = load(run->layer->biases + block * BLOCK + gate * UNITS);
    if (run->layer->int8) {
        const uint8_t *of[TOGETHER];
        for (int row = 0; row < rows; row++) of[row] = (const uint8_t *)x + (size_t)row * by->inputs;
        block_int8(rows, by, block, of, sums);
    } else {
        const float *of[TOGETHER];
        for (int row = 0; row < rows; row++) of[row] = (const float *)x + (size_t)row * by->inputs;
        block_float(rows, by, block, of, sums);
    }
    for (int row = 0; row < rows; row++)
        for (int gate = 0; gate < GATES; gate++)
            store(gates + (size_t)row * wide + block * BLOCK + gate * UNITS, sums[row][gate]);
}

/* The products of `words` words of one text with the inputs' weights, and the biases. */
static void inward(const struct run *run, const float *x, int words, float *gates) {
    const struct product *by = &run->layer->inward;
    const int wide = GATES * run->layer->hidden;
    const char *rows = (const char *)x;
    size_t size = sizeof(float) * by->inputs;
    if (run->layer->int8) {
        const int count = words * by->inputs;
        const float inverse = 127.5f / by->range;
        for (int i = 0; i < count; i += UNITS) quantise(load(x + i), inverse, run->inputs + i);
        rows = (const char *)run->inputs;
        size = by->inputs;
    }
    for (int block = 0; block < run->layer->hidden / UNITS; block++) {
        int word = 0;
        for (; word + TOGETHER <= words; word += TOGETHER)
            inward_rows(TOGETHER, run, block, rows + word * size, gates + (size_t)word * wide);
        for (; word < words; word++) inward_rows(1, run, block, rows + word * size, gates + (size_t)word * wide);
    }
}

/* The next states of `rows` texts' units of one block. `last` are their states before, where they are floats. */
ALWAYS void step_rows(int rows, const struct run *run, int block, int text, const float *const *gates,
                      const float *const *last, float *const *states) {
    const int hidden = run->layer->hidden, unit = block * UNITS;
    floats sums[TOGETHER][GATES];
    for (int row = 0; row < rows; row++)
        for (int gate = 0; gate < GATES; gate++)
            sums[row][gate] = load(gates[row] + block * BLOCK + gate * UNITS);
    if (run->layer->int8) {
        const uint8_t *of[TOGETHER];
        for (int row = 0; row < rows; row++) of[row] = run->states[0] + (size_t)(text + row) * hidden;
        block_int8(rows, &run->layer->inner, block, of, sums);
    } else {
        block_float(rows, &run->layer->inner, block, last, sums);
    }
    for (int row = 0; row < rows; row++) {
        float *cell = run->cells + (size_t)(text + row) * hidden + unit;
        const floats kept = sigmoid(sums[row][1]) * load(cell);
        const floats next = sigmoid(sums[row][0]) * hyperbolic_tangent(sums[row][2]) + kept;
        const floats state = sigmoid(sums[row][3]) * hyperbolic_tangent(next);
        store(cell, next);
        store(states[row] + unit, state);
        if (run->layer->int8) quantise(state, 127.5f, run->states[1] + (size_t)(text + row) * hidden + unit);
    }
}

static void step(struct run *run, int texts, const float *const *gates, const float *const *last, float *const *states) {
    for (int block = 0; block < run->layer->hidden / UNITS; block++) {
        int text = 0;
        for (; text + TOGETHER <= texts; text += TOGETHER)
            step_rows(TOGETHER, run, block, text, gates + text, last + text, states + text);
        for (; text < texts; text++) step_rows(1, run, block, text, gates + text, last + text, states + text);
    }
    uint8_t *before = run->states[0];
    run->states[0] = run->states[1];
    run->states[1] = before;
}

static void walk(struct run *run, int chunk, const float *inputs, const int64_t *starts, int texts, int backward,
                 float *states, const float **gates, const float **last, float **next) {
    const int hidden = run->layer->hidden, wide = GATES * hidden, longest = (int)(starts[1] - starts[0]);
    const int chunks = (longest + chunk - 1) / chunk;
    for (int turn = 0; turn < chunks; turn++) {
        const int begin = (backward ? chunks - 1 - turn : turn) * chunk;
        int end = begin + chunk < longest ? begin + chunk : longest;
        for (int text = 0; text < texts; text++) {
            const int length = (int)(starts[text + 1] - starts[text]), words = (length < end ? length : end) - begin;
            if (words > 0)
                inward(run, inputs + (starts[text] + begin) * run->layer->inward.inputs, words,
                       run->gates + (size_t)text * chunk * wide);
        }
        for (int at = 0; at < end - begin; at++) {
            const int word = backward ? end - 1 - at : begin + at;
            int active = 0;
            while (active < texts && starts[active + 1] - starts[active] > word) {
                const int64_t place = starts[active] + word;
                const int first = backward ? place + 1 == starts[active + 1] : word == 0;
                gates[active] = run->gates + ((size_t)active * chunk + word - begin) * wide;
                next[active] = states + place * hidden;
                last[active] = first ? run->nothing : states + (backward ? place + 1 : place - 1) * hidden;
                active++;
            }
            step(run, active, gates, last, next);
        }
    }
}

/* Memory comes from the caller, who keeps it: what malloc gives and takes back costs a page's fault each 4 kB. */
static size_t whole_lines(size_t size) { return (size + 63) / 64 * 64; }

enum { GATE_SUMS, CELLS, STATES, NEXT_STATES, INPUTS, NOTHING, POINTERS, BUFFERS };

static int steps_at_once(int texts) { return texts < STEPS ? STEPS / texts : 1; }

/* The bytes that a layer's steps take, and each buffer's. */
static size_t sizes_of(const struct layer *layer, int texts, size_t *sizes) {
    const size_t hidden = layer->hidden, chunk = steps_at_once(texts);
    size_t total = 0;
    sizes[GATE_SUMS] = sizeof(float) * texts * chunk * GATES * hidden;
    sizes[CELLS] = sizeof(float) * texts * hidden;
    sizes[STATES] = sizes[NEXT_STATES] = texts * hidden;
    sizes[INPUTS] = chunk * layer->inward.inputs;
    sizes[NOTHING] = sizeof(float) * hidden;
    sizes[POINTERS] = 3 * sizeof(void *) * texts;
    for (int i = 0; i < BUFFERS; i++) total += whole_lines(sizes[i]);
    return total;
}

/* The states (words of all texts, hidden) of a layer whose inputs are (words of all texts, inputs). */
static void lstm(const struct layer *layer, const float *inputs, const int64_t *starts, int texts, int backward,
                 float *states, char *memory) {
    size_t sizes[BUFFERS];
    char *parts[BUFFERS];
    sizes_of(layer, texts, sizes);
    for (int i = 0; i < BUFFERS; i++) {
        parts[i] = memory;
        memory += whole_lines(sizes[i]);
    }
    struct run run = {layer, (float *)parts[GATE_SUMS], (float *)parts[CELLS],
                      {(uint8_t *)parts[STATES], (uint8_t *)parts[NEXT_STATES]}, (uint8_t *)parts[INPUTS],
                      (float *)parts[NOTHING]};
    memset(run.cells, 0, sizes[CELLS]);
    memset(run.states[0], 128, sizes[STATES]); /* nothing, from 0 to 255 */
    memset(run.states[1], 128, sizes[NEXT_STATES]);
    memset(run.nothing, 0, sizes[NOTHING]);
    const float **pointers = (const float **)parts[POINTERS];
    walk(&run, steps_at_once(texts), inputs, starts, texts, backward, states, pointers, pointers + texts,
         (float **)(pointers + 2 * texts));
}

/* The vectors of words, up to whole units. Returns UNKNOWN_ID for an id that the table does not hold. */
static int look_up(const struct network *network, const int64_t *ids, int64_t words, int wide, float *vectors) {
    const int inputs = network->inputs;
    for (int64_t word = 0; word < words; word++, vectors += wide) {
        const int64_t id = ids[word];
        if (id < 0 || id >= network->words) return UNKNOWN_ID;
        if (network->scales) {
            const int8_t *row = (const int8_t *)network->table + id * inputs;
            for (int i = 0; i < inputs; i++) vectors[i] = (float)row[i] * network->scales[id];
        } else {
            memcpy(vectors, (const float *)network->table + id * inputs, sizeof(float) * inputs);
        }
        for (int i = inputs; i < wide; i++) vectors[i] = 0;
    }
    return 0;
}

/* Adds the products (words, units) of states (words, hidden) with weights (units, hidden), each by `share`. */
static void project(const float *states, int64_t words, int hidden, const float *weights, int units, float share,
                    float *products) {
    for (int64_t word = 0; word < words; word++, states += hidden)
        for (int unit = 0; unit < units; unit++) {
            floats sums = all(0);
            float sum = 0;
            for (int i = 0; i < hidden; i += UNITS)
                sums = load(states + i) * load(weights + (size_t)unit * hidden + i) + sums;
            for (int i = 0; i < UNITS; i++) sum += sums[i];
            *products++ += sum * share;
        }
}

/* Adds what each of the states' maxima counts to the first word that holds it. */
static void spread(const float *states, int64_t words, int hidden, const float *weights, int units, float *evidence) {
    for (int begin = 0; begin < hidden; begin += UNITS) {
        floats highest = load(states + begin);
        wholes place = {0};
        for (int64_t word = 1; word < words; word++) {
            const floats value = load(states + word * hidden + begin);
            const wholes more = value > highest;
            highest = chosen(more, value, highest);
            place = (more & (int32_t)word) | (~more & place);
        }
        for (int i = 0; i < UNITS; i++)
            for (int unit = 0; unit < units; unit++)
                evidence[(size_t)place[i] * units + unit] += highest[i] * weights[(size_t)unit * hidden + begin + i];
    }
}

/* Adds to each text's evidence what the states of one way say. */
static void read_states(const struct network *network, int way, const float *states, const int64_t *starts, int texts,
                        float *evidence) {
    const int hidden = network->ways[way].layers[network->ways[way].count - 1].hidden, units = network->units;
    for (int text = 0; text < texts; text++) {
        const int64_t words = starts[text + 1] - starts[text];
        const float *own = states + starts[text] * hidden, *highest = network->ways[way].highest;
        float *of = evidence + starts[text] * units;
        if (!words) continue;
        project(own, words, hidden, network->ways[way].dense, units, highest ? 1.f / (float)words : 1.f, of);
        if (highest) spread(own, words, hidden, highest, units, of);
    }
}

/* A word's evidence is the score after it less the score before it. */
static void differences(const struct network *network, const int64_t *starts, int texts, float *scores) {
    for (int text = 0; text < texts; text++)
        for (int64_t word = starts[text + 1] - 1; word >= starts[text]; word--)
            for (int unit = 0; unit < network->units; unit++) {
                float *score = scores + word * network->units + unit;
                *score = word == starts[text] ? *score + network->bias[unit] : *score - score[-network->units];
            }
}

/* The bytes of a layer's inputs, of all words. */
static size_t inputs_size(const struct network *network, int64_t words) {
    int widest = 0;
    for (int way = 0; way < 2; way++)
        for (int i = 0; i < network->ways[way].count; i++) {
            const struct layer *layer = network->ways[way].layers + i;
            if (layer->hidden > widest) widest = layer->hidden;
            if (layer->inward.inputs > widest) widest = layer->inward.inputs;
        }
    return whole_lines(sizeof(float) * words * widest);
}

/* The bytes of memory that `plaudit_evidence` wants. */
int64_t plaudit_room(const struct network *network, const int64_t *starts, int32_t texts) {
    size_t most = 0, sizes[BUFFERS];
    for (int way = 0; way < 2; way++)
        for (int i = 0; i < network->ways[way].count; i++) {
            const size_t size = sizes_of(network->ways[way].layers + i, texts, sizes);
            if (size > most) most = size;
        }
    return (int64_t)(64 + 2 * inputs_size(network, starts[texts]) + most);
}

/* The evidence (words of all texts, units) of words' ids. Text i's words are those from starts[i] to starts[i + 1]; the
   longest text is first. `memory` is what it writes to besides. Returns 0, or UNKNOWN_ID for one that the table
   does not hold. */
int plaudit_evidence(const struct network *network, const int64_t *ids, const int64_t *starts, int32_t texts,
                     float *evidence, char *memory) {
    const int64_t words = starts[texts];
    const size_t size = inputs_size(network, words);
    memory += -(uintptr_t)memory % 64;
    memset(evidence, 0, sizeof(float) * words * network->units);
    for (int way = 0; way < 2; way++) {
        const struct layer *layers = network->ways[way].layers;
        if (!network->ways[way].count) continue;
        float *from = (float *)memory, *to = (float *)(memory + size);
        if (look_up(network, ids, words, layers[0].inward.inputs, from)) return UNKNOWN_ID;
        for (int i = 0; i < network->ways[way].count; i++) {
            lstm(layers + i, from, starts, texts, way, to, memory + 2 * size);
            float *read = from;
            from = to;
            to = read;
        }
        read_states(network, way, from, starts, texts, evidence);
    }
    if (network->bias) differences(network, starts, texts, evidence);
    return 0;
}
