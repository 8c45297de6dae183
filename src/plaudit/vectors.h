/* A processor's vectors of floats: the widest of those that a library is compiled for. Included once by each. */

#ifndef PLAUDIT_VECTORS_H
#define PLAUDIT_VECTORS_H

#include <stdint.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

/* Floats of a vector. */
#if defined(__AVX512VNNI__)
#define UNITS 16
#elif defined(__AVX2__)
#define UNITS 8
#else
#define UNITS 4
#endif
#define ALWAYS static inline __attribute__((always_inline, unused))

typedef float floats __attribute__((vector_size(4 * UNITS)));
typedef int32_t wholes __attribute__((vector_size(4 * UNITS)));
typedef float floats_anywhere __attribute__((vector_size(4 * UNITS), aligned(4), may_alias));
typedef int32_t wholes_anywhere __attribute__((vector_size(4 * UNITS), aligned(4), may_alias));

ALWAYS floats load(const float *from) { return (floats)*(const floats_anywhere *)from; }
ALWAYS wholes load_wholes(const void *from) { return (wholes)*(const wholes_anywhere *)from; }
ALWAYS void store(float *to, floats values) { *(floats_anywhere *)to = (floats_anywhere)values; }
ALWAYS void store_wholes(int32_t *to, wholes values) { *(wholes_anywhere *)to = (wholes_anywhere)values; }
ALWAYS floats all(float value) { return value - (floats){0}; }
ALWAYS floats chosen(wholes mask, floats yes, floats no) {
    return (floats)((mask & (wholes)yes) | (~mask & (wholes)no));
}

int plaudit_supported(void) {
#if defined(__AVX512VNNI__)
    __builtin_cpu_init();
#ifdef __AVX512BF16__
    if (!__builtin_cpu_supports("avx512bf16")) return 0;
#endif
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
#elif defined(__AVX2__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

#ifdef __AVX512VNNI__
ALWAYS floats nearest(floats x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
ALWAYS floats shifted(floats x, floats whole) { return _mm512_scalef_ps(x, whole); }
ALWAYS floats inverse(floats x) {
    const floats near = _mm512_rcp14_ps(x); /* and a step of Newton's: a quarter of a division's time */
    return near * (2.f - x * near);
}
#else
/* Of floats below 2 to the 22: that and half as much has no bits left for what is behind the point. */
ALWAYS floats nearest(floats x) { return (x + 12582912.f) - 12582912.f; }
ALWAYS floats shifted(floats x, floats whole) {
    return x * (floats)((__builtin_convertvector(whole, wholes) + 127) << 23);
}
ALWAYS floats inverse(floats x) { return 1.f / x; }
#endif

/* e to the x to 2e-7, as 2 to a whole number times a polynomial; no more and no less than 2 to the 64. */
ALWAYS floats exponential(floats x) {
    const float parts[] = {1.5403530e-4f, 1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.f};
    floats power = x * 1.44269504f;
    power = chosen(power < -64.f, all(-64.f), power); /* what is no number stays so */
    power = chosen(power > 64.f, all(64.f), power);
    const floats whole = nearest(power), rest = power - whole;
    floats sum = all(parts[0]);
    for (int i = 1; i < 7; i++) sum = sum * rest + parts[i];
    return shifted(sum, whole);
}

ALWAYS floats sigmoid(floats x) { return inverse(1.f + exponential(-x)); }
ALWAYS floats hyperbolic_tangent(floats x) { return sigmoid(x + x) * 2.f - 1.f; }

#endif
