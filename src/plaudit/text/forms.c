/* Numbers of the words between spaces: a table from a word to a number that grows as words are met. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 23 /* a longer word has no place: whoever asks finds its number each time */

struct slot {
    char word[LONGEST];
    uint8_t length; /* 0: the slot is free */
    int32_t number;
    uint32_t hash;
};

struct forms {
    struct slot *slots;
    uint32_t mask; /* the number of slots, a power of two, less one */
    uint32_t used, most;
};

struct forms *plaudit_forms(uint32_t most) {
    struct forms *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    made->mask = 4095;
    made->most = most;
    made->slots = calloc(made->mask + 1, sizeof *made->slots);
    if (made->slots) return made;
    free(made);
    return NULL;
}

void plaudit_forget(struct forms *forms) {
    free(forms->slots);
    free(forms);
}

/* FNV-1a. */
static inline uint32_t mixed(uint32_t hash, char letter) { return (hash ^ (uint8_t)letter) * 16777619u; }

static struct slot *place(const struct forms *forms, const char *word, size_t length, uint32_t hash) {
    uint32_t at = (hash ^ hash >> 15) & forms->mask;
    for (;; at = (at + 1) & forms->mask) {
        struct slot *slot = forms->slots + at;
        if (!slot->length) return slot;
        if (slot->hash == hash && slot->length == length && !memcmp(slot->word, word, length)) return slot;
    }
}

static int grow(struct forms *forms) {
    struct forms wider = *forms;
    wider.mask = 2 * forms->mask + 1;
    wider.slots = calloc((size_t)wider.mask + 1, sizeof *wider.slots);
    if (!wider.slots) return -1;
    for (uint32_t i = 0; i <= forms->mask; i++) {
        const struct slot *slot = forms->slots + i;
        if (slot->length) *place(&wider, slot->word, slot->length, slot->hash) = *slot;
    }
    free(forms->slots);
    *forms = wider;
    return 0;
}

/* Keeps a word's number, unless the word is too long, or there are as many as may be, or memory has run out. */
void plaudit_keep(struct forms *forms, const char *word, int32_t length, int32_t number) {
    if (length < 1 || length > LONGEST || forms->used >= forms->most) return;
    if (2 * forms->used >= forms->mask && grow(forms)) return;
    uint32_t hash = 2166136261u;
    for (int32_t i = 0; i < length; i++) hash = mixed(hash, word[i]);
    struct slot *slot = place(forms, word, (size_t)length, hash);
    forms->used += !slot->length;
    memcpy(slot->word, word, (size_t)length);
    slot->length = (uint8_t)length;
    slot->number = number;
    slot->hash = hash;
}

/* Writes the numbers, but for 0, of a text's words. `state[0]` is where it goes on in the text and `state[1]` how many
   numbers there are; they follow. Returns 0 at the text's end, else the length of a word there that is not kept. */
int32_t plaudit_numbers(const struct forms *forms, const char *text, int32_t length, int32_t *state) {
    int32_t at = state[0], *next = state + 2 + state[1], letters = 0;
    for (;;) {
        while (at < length && text[at] == ' ') at++;
        if (at == length) break;
        const int32_t begin = at;
        uint32_t hash = 2166136261u;
        for (; at < length && text[at] != ' '; at++) hash = mixed(hash, text[at]);
        letters = at - begin;
        const struct slot *slot = letters > LONGEST ? NULL : place(forms, text + begin, (size_t)letters, hash);
        if (!slot || !slot->length) {
            at = begin;
            break;
        }
        *next = slot->number;
        next += slot->number != 0;
        letters = 0;
    }
    state[0] = at;
    state[1] = (int32_t)(next - state - 2);
    return letters;
}
