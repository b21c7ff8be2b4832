/* Conversion between floating-point numbers and fixed-point words. */
#ifndef EIE_QUANTISE_H
#define EIE_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

#include "eie.h"

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

/* Convert a raw number, of as many fraction bits as its preprocessing says, to a word of `width`
 * bits, in integers. */
static inline int32_t eie_preprocess(const struct eie_preprocessing *with, int32_t raw,
                                     unsigned width)
{
    const int64_t high = ((int64_t)1 << (width - 1)) - 1, low = -high - 1;
    const int64_t product = ((int64_t)raw - with->offset) * with->multiplier
                            + ((int64_t)1 << (with->shift - 1));
    /* C leaves the right shift of negative numbers to the compiler. */
    const int64_t word = product < 0 ? ~(~product >> with->shift) : product >> with->shift;
    return (int32_t)(word < low ? low : word > high ? high : word);
}

/* Convert a number to the word of an element of the model's input, with its preprocessing. */
static inline int32_t eie_input_word(const struct eie_model *model, size_t element, double number)
{
    const struct eie_preprocessing *with = model->preprocessing;
    const int32_t word = with
        ? eie_preprocess(with + element, eie_quantise(number, with[element].frac, 32),
                         model->input_width)
        : eie_quantise(number, model->input_frac, model->input_width);
    return model->nonnegative_inputs && word < 0 ? 0 : word;
}

/* Convert the numbers of an input to words as eie_input_word does. Returns how many are beyond the
 * range of the network and saturated, those that are not numbers included. */
static inline size_t eie_input_words(const struct eie_model *model, const double *numbers,
                                     int32_t *words)
{
    size_t n_saturated = 0;
    for (size_t at = 0; at < model->n_inputs; at++) {
        const struct eie_preprocessing *with = model->preprocessing;
        const int frac = with ? with[at].frac : model->input_frac;
        const double scaled = numbers[at] * eie_power(frac);
        const int32_t raw = eie_quantise(numbers[at], frac, 32);
        words[at] = eie_input_word(model, at, numbers[at]);
        /* Words have fewer than 32 bits, and half a step beyond a limit rounds to it. */
        if (!(scaled >= -2147483648.5 && scaled < 2147483647.5)
            || words[at] != (with ? eie_preprocess(with + at, raw, 32) : raw))
            n_saturated++;
    }
    return n_saturated;
}

static inline double eie_dequantise(int32_t word, int frac)
{
    return word * eie_power(-frac);
}

#endif
