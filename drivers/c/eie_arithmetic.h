/* Arithmetic of operations, on one word of up to 24 bits: in integers, rounded half up once.
 * Arguments `frac` are the fraction bits of an operand, `to` those of a result. Limits of formats
 * are checked when a network is compiled. */
#ifndef EIE_ARITHMETIC_H
#define EIE_ARITHMETIC_H

#include <stddef.h>
#include <stdint.h>

/* Multiply by 2^shift; C leaves the left shift of negative numbers undefined. */
static inline int64_t eie_shift_left(int64_t value, int shift)
{
    return value * ((int64_t)1 << shift);
}

/* Divide by 2^shift, rounding down. */
static inline int64_t eie_shift_right(int64_t value, int shift)
{
    return value < 0 ? ~(~value >> shift) : value >> shift;
}

/* Divide by 2^shift, rounding half up. A shift by 62 bits leaves nothing of a number. */
static inline int64_t eie_round_shift(int64_t value, int shift)
{
    const int most = shift < 62 ? shift : 62;
    return eie_shift_right(value + (((int64_t)1 << most) >> 1), most);
}

/* Divide by a positive number, rounding half up. */
static inline int64_t eie_divide(int64_t value, int64_t by)
{
    const int64_t up = 2 * value + by, quotient = up / (2 * by);
    return quotient - (up % (2 * by) < 0);
}

/* Convert a number to other fraction bits, rounding half up. */
static inline int64_t eie_rescale(int64_t value, int frac, int to)
{
    return to >= frac ? eie_shift_left(value, to - frac) : eie_round_shift(value, frac - to);
}

/* Saturate a result to `width` bits, and count it if it was beyond. */
static inline int32_t eie_saturate(int64_t value, unsigned width, size_t *n_saturated)
{
    const int64_t high = ((int64_t)1 << (width - 1)) - 1, low = -high - 1;
    *n_saturated += value < low || value > high;
    return (int32_t)(value < low ? low : value > high ? high : value);
}

static inline int64_t eie_limit(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Functions of one word. */

static inline int64_t eie_convert(int32_t word, int frac, int to)
{
    return eie_rescale(word, frac, to);
}

static inline int64_t eie_sign(int32_t word, int frac, int to)
{
    (void)frac;
    return eie_rescale((word > 0) - (word < 0), 0, to);
}

static inline int64_t eie_hard_swish(int32_t word, int frac, int to)
{
    /* Coarser words than steps of 4 have no number between 0 and 3, either. */
    const int fine = frac > 0 ? frac : 0, shift = 2 * fine - to;
    const int64_t three = eie_shift_left(3, fine);
    const int64_t x = eie_limit(frac < 0 ? eie_shift_left(eie_limit(word, -4, 4),
                                                          frac > -2 ? -frac : 2) : word,
                                -three, three);
    if (x == three)
        return eie_rescale(word, frac, to);
    return eie_divide(eie_shift_left(x * (x + three), shift < 0 ? -shift : 0),
                      eie_shift_left(6, shift < 0 ? 0 : shift < 56 ? shift : 56));
}

/* tanh(i / 32) with 15 fraction bits. */
static const uint16_t eie_tanh_table[192] = {
    0, 1024, 2045, 3063, 4075, 5079, 6073, 7056, 8025, 8980, 9919, 10840,
    11743, 12625, 13486, 14326, 15143, 15936, 16706, 17452, 18173, 18870, 19542, 20189,
    20813, 21411, 21986, 22538, 23066, 23571, 24054, 24516, 24956, 25376, 25776, 26157,
    26519, 26864, 27191, 27502, 27797, 28076, 28341, 28592, 28830, 29055, 29268, 29470,
    29660, 29840, 30010, 30170, 30322, 30465, 30600, 30727, 30847, 30960, 31067, 31167,
    31262, 31351, 31435, 31515, 31589, 31659, 31726, 31788, 31846, 31901, 31953, 32002,
    32048, 32091, 32132, 32170, 32206, 32240, 32271, 32301, 32329, 32356, 32381, 32404,
    32426, 32447, 32466, 32484, 32501, 32517, 32532, 32547, 32560, 32573, 32584, 32596,
    32606, 32616, 32625, 32634, 32642, 32649, 32657, 32663, 32670, 32676, 32681, 32686,
    32691, 32696, 32700, 32704, 32708, 32712, 32715, 32718, 32721, 32724, 32727, 32729,
    32732, 32734, 32736, 32738, 32740, 32741, 32743, 32745, 32746, 32747, 32749, 32750,
    32751, 32752, 32753, 32754, 32755, 32755, 32756, 32757, 32758, 32758, 32759, 32759,
    32760, 32760, 32761, 32761, 32762, 32762, 32762, 32763, 32763, 32763, 32764, 32764,
    32764, 32764, 32765, 32765, 32765, 32765, 32765, 32766, 32766, 32766, 32766, 32766,
    32766, 32766, 32766, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32768, 32768, 32768,
};

enum { EIE_TANH_FRAC = 23 };

/* tanh of a number of 0 or more, with EIE_TANH_FRAC fraction bits. */
static inline int64_t eie_tanh_of(int64_t magnitude, int frac)
{
    const int64_t last = (191 << 8) - 1;
    const int shift = 13 - frac;
    const int64_t place = shift < 0 ? eie_round_shift(magnitude, -shift)
        : eie_shift_left(magnitude < last ? magnitude : last, shift < 16 ? shift : 16);
    const int64_t position = place < last ? place : last;
    const int64_t here = eie_tanh_table[position >> 8], next = eie_tanh_table[(position >> 8) + 1];
    return here * 256 + (next - here) * (position & 255);
}

static inline int64_t eie_tanh(int32_t word, int frac, int to)
{
    const int64_t x = word;
    const int64_t result = eie_rescale(eie_tanh_of(x < 0 ? -x : x, frac), EIE_TANH_FRAC, to);
    return word < 0 ? -result : result;
}

static inline int64_t eie_sigmoid(int32_t word, int frac, int to)
{
    return eie_shift_left(1, to - 1) + eie_tanh(word, frac + 1, to - 1);
}

/* Functions of two words, of frac[0] and frac[1] fraction bits. */

static inline int64_t eie_sum(int64_t one, int64_t other, const int *frac, int to)
{
    /* The sum is needed to half a step. What is below, and below all bits of the other word, does
     * not change how it rounds. */
    const int least = frac[0] < frac[1] ? frac[0] : frac[1];
    const int finest = least > to + 1 ? least : to + 1;
    const int64_t words[2] = {one, other};
    int64_t sum = 0;
    for (unsigned operand = 0; operand < 2; operand++) {
        const int shift = finest - frac[operand];
        sum += shift >= 0 ? eie_shift_left(words[operand], shift)
                          : eie_shift_right(words[operand], shift > -63 ? -shift : 63);
    }
    return eie_round_shift(sum, finest - to);
}

static inline int64_t eie_difference(int64_t one, int64_t other, const int *frac, int to)
{
    return eie_sum(one, -other, frac, to);
}

static inline int64_t eie_product(int64_t one, int64_t other, const int *frac, int to)
{
    return eie_rescale(one * other, frac[0] + frac[1], to);
}

static inline int64_t eie_maximum(int64_t one, int64_t other, const int *frac, int to)
{
    const int64_t left = eie_rescale(one, frac[0], to), right = eie_rescale(other, frac[1], to);
    return left > right ? left : right;
}

/* Root of a number from 0 to below 2^62, rounded down. */
static inline int64_t eie_floor_root(int64_t square)
{
    int64_t root = 0;
    for (int64_t bit = (int64_t)1 << 30; bit > 0; bit >>= 1)
        if ((root + bit) * (root + bit) <= square)
            root += bit;
    return root;
}

static inline int64_t eie_magnitude(int64_t one, int64_t other, const int *frac, int to)
{
    /* The root is needed to half a step of the result: that of the squares in quarters of its
     * square. What is below, and below all bits of the other square, does not change how it
     * rounds. */
    const int least = frac[0] < frac[1] ? frac[0] : frac[1];
    const int finest = least > to + 1 ? least : to + 1, drop = finest - to - 1;
    const int64_t squares[2] = {one * one, other * other};
    int64_t sum = 0;
    for (unsigned operand = 0; operand < 2; operand++) {
        const int shift = finest - frac[operand];
        sum += shift >= 0 ? eie_shift_left(squares[operand], 2 * shift)
                          : eie_shift_right(squares[operand], shift > -32 ? -2 * shift : 63);
    }
    return (eie_floor_root(eie_shift_right(sum, drop < 32 ? 2 * drop : 63)) + 1) / 2;
}

/* Product with a constant, and sum, for one format of the operand and one of the result. */
struct eie_scaling {
    int32_t multiplier;
    int32_t shift;
    int64_t addend;
};

static inline int64_t eie_scale_word(const struct eie_scaling *by, int32_t word)
{
    return eie_shift_right((int64_t)word * by->multiplier + by->addend, by->shift);
}

/* Divide a sum of words by their number. */
static inline int64_t eie_divide_sum(int64_t sum, int64_t count, int frac, int to)
{
    /* 25 bits further right, a mean rounds to zero. */
    return to >= frac ? eie_divide(eie_shift_left(sum, to - frac), count)
                      : eie_divide(sum, eie_shift_left(count, frac - to < 25 ? frac - to : 25));
}

#endif
