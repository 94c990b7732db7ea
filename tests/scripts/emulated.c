// Calls functions of the kernels as standard input asks, for `emulated.py`, which says what a call is.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define F(name) void name(void);
FUNCTIONS
#undef F
#define F(name) name,
static void (*const functions[])(void) = {FUNCTIONS};

enum { MOST = 32, WHOLE = -1, FLOAT = -2 };

// Integers and addresses have registers of their own, and stacks slots of 8 bytes: more of them than a function takes
// do no harm. No function has two floats.
typedef int64_t Function(
    int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
    int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
    int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, float
);

static void get(void *to, size_t size) {
    if (fread(to, 1, size, stdin) != size)
        exit(0); // nobody asks any more
}

static int64_t whole(void) {
    int64_t value;
    get(&value, sizeof value);
    return value;
}

int main(void) {
    for (;;) {
        int64_t number = whole(), count = whole(), kind[MOST], a[MOST] = {0};
        float x = 0;
        for (int i = 0; i < count; i++) {
            kind[i] = whole();
            if (kind[i] == WHOLE)
                a[i] = whole();
            else if (kind[i] == FLOAT)
                get(&x, sizeof x);
            else
                get((void *)(a[i] = (int64_t)aligned_alloc(64, (kind[i] + 127) & ~63)), kind[i]);
        }
        // A float leaves no gap among the others.
        int64_t given[MOST] = {0};
        for (int i = 0, place = 0; i < count; i++)
            if (kind[i] != FLOAT)
                given[place++] = a[i];
#define FOUR(i) given[i], given[i + 1], given[i + 2], given[i + 3]
        int64_t result = ((Function *)functions[number])(
            FOUR(0), FOUR(4), FOUR(8), FOUR(12), FOUR(16), FOUR(20), FOUR(24), FOUR(28), x
        );
        fwrite(&result, sizeof result, 1, stdout);
        for (int i = 0; i < count; i++)
            if (kind[i] >= 0) {
                fwrite((void *)a[i], 1, kind[i], stdout);
                free((void *)a[i]);
            }
        fflush(stdout);
    }
}
