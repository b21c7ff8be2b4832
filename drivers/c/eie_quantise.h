/* Conversion between floating-point numbers and fixed-point words. */
#ifndef EIE_QUANTISE_H
#define EIE_QUANTISE_H

#include <stdint.h>

/* 2^exponent. */
static inline double eie_power(int exponent)
{
    double power = 1.0;
    for (; exponent > 0; exponent--)
        power *= 2.0;
    for (; exponent < 0; exponent++)
        power /= 2.0;
    return power;
}

/* Convert to `width` bits with `frac` fraction bits, rounding halves up and saturating. NaN becomes
 * the minimum. */
static inline int32_t eie_quantise(double number, int frac, unsigned width)
{
    const int32_t high = (int32_t)(((uint32_t)1 << (width - 1)) - 1), low = -high - 1;
    const double scaled = number * eie_power(frac);
    if (!(scaled > low))
        return low;
    if (scaled >= high)
        return high;
    int32_t word = (int32_t)scaled;
    if (word > scaled)          /* the cast rounds towards zero */
        word--;
    return scaled - word < 0.5 ? word : word + 1;
}

static inline double eie_dequantise(int32_t word, int frac)
{
    return word * eie_power(-frac);
}

#endif
