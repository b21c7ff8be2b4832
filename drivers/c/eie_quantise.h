/* Conversion between floating-point numbers and fixed-point words. */
#ifndef EIE_QUANTISE_H
#define EIE_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

#include "eie_network.h"

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

/* Convert a number to a word of `width` bits: with preprocessing, or if `with` is NULL with `frac`
 * fraction bits. `nonnegative`: saturate at 0 instead of the least word. */
static inline int32_t eie_word(const struct eie_preprocessing *with, int frac, unsigned width,
                               bool nonnegative, double number)
{
    const int32_t word = with
        ? eie_preprocess(with, eie_quantise(number, with->frac, 32), width)
        : eie_quantise(number, frac, width);
    return nonnegative && word < 0 ? 0 : word;
}

/* Return true if a number is beyond the range of its word, from eie_word(), or is none. */
static inline bool eie_saturates(const struct eie_preprocessing *with, int frac, double number,
                                 int32_t word)
{
    const int raw_frac = with ? with->frac : frac;
    const double scaled = number * eie_power(raw_frac);
    const int32_t raw = eie_quantise(number, raw_frac, 32);
    /* Words have fewer than 32 bits, and half a step beyond a limit rounds to it. */
    return !(scaled >= -2147483648.5 && scaled < 2147483647.5)
        || word != (with ? eie_preprocess(with, raw, 32) : raw);
}

/* Convert a number to the word of an element of the model's input, with its preprocessing. */
static inline int32_t eie_input_word(const struct eie_model *model, size_t element, double number)
{
    return eie_word(model->preprocessing ? model->preprocessing + element : NULL,
                    model->input_frac, model->input_width, model->nonnegative_inputs, number);
}

/* Convert the numbers of an input to words as eie_input_word does. Returns how many are beyond the
 * range of the network and saturated, those that are not numbers included. */
static inline size_t eie_input_words(const struct eie_model *model, const double *numbers,
                                     int32_t *words)
{
    size_t n_saturated = 0;
    for (size_t at = 0; at < model->n_inputs; at++) {
        words[at] = eie_input_word(model, at, numbers[at]);
        n_saturated += eie_saturates(model->preprocessing ? model->preprocessing + at : NULL,
                                     model->input_frac, numbers[at], words[at]);
    }
    return n_saturated;
}

/* Convert the numbers of all inputs of a network, concatenated, to words, with their preprocessing.
 * Returns how many are beyond their range and saturated, those that are not numbers included. */
static inline size_t eie_network_words(const struct eie_network *network, const double *numbers,
                                       int32_t *words)
{
    size_t n_saturated = 0;
    for (size_t number = 0; number < network->n_inputs; number++) {
        const struct eie_tensor *tensor = &network->inputs[number];
        for (uint32_t at = 0; at < tensor->n_elements; at++, numbers++, words++) {
            const struct eie_preprocessing *with = tensor->preprocessing
                ? tensor->preprocessing + at / tensor->repeat % tensor->n_preprocessing : NULL;
            *words = eie_word(with, tensor->frac, network->width, tensor->nonnegative, *numbers);
            n_saturated += eie_saturates(with, tensor->frac, *numbers, *words);
        }
    }
    return n_saturated;
}

static inline double eie_dequantise(int32_t word, int frac)
{
    return word * eie_power(-frac);
}

#endif
