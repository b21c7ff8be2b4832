/* Operations between layers, on words of up to 24 bits in integers.
 *
 * Each computes the words that its definition in Python computes, in
 * compiler/eie_compiler/graph/operations, which docs/operations.md describes. Arguments `frac` are
 * the fraction bits of operands, `to` those of a result, and `width` is the bits of a word of it.
 * Limits of formats are checked when a network is compiled. Constants are the integers that Python
 * chose. Functions on arrays return the number of results that saturated; a result may replace its
 * operand where both have the same elements in the same order. */
#ifndef EIE_OPERATIONS_H
#define EIE_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eie_arithmetic.h"

/* Elements one after another. */

/* Compute a function of eie_arithmetic.h, such as eie_tanh, for each word. */
static inline size_t eie_map(int64_t (*function)(int32_t word, int frac, int to),
                             const int32_t *words, int32_t *results, size_t n, int frac, int to,
                             unsigned width)
{
    size_t n_saturated = 0;
    for (size_t at = 0; at < n; at++)
        results[at] = eie_saturate(function(words[at], frac, to), width, &n_saturated);
    return n_saturated;
}

/* Clip: limits are words of the result. */
static inline size_t eie_clip(const int32_t *words, int32_t *results, size_t n, int frac, int to,
                              int64_t low, int64_t high, unsigned width)
{
    size_t n_saturated = 0;
    for (size_t at = 0; at < n; at++)
        results[at] = eie_saturate(eie_limit(eie_rescale(words[at], frac, to), low, high), width,
                                   &n_saturated);
    return n_saturated;
}

/* Elements of two operands. */

enum { EIE_MAX_RANK = 8 };

/* Elements of a result, in its order, and of two others. */
struct eie_elements {
    unsigned rank;                      /* at most EIE_MAX_RANK */
    const size_t *sizes;                /* elements along each axis */
    const ptrdiff_t *strides[2];        /* elements of an operand from one to the next along each
                                           axis; 0 where it is broadcast */
};

struct eie_place {
    size_t at[EIE_MAX_RANK];
    ptrdiff_t of[2];                    /* place of the element in each operand */
};

/* Go to the next element. Returns false after the last. */
static inline bool eie_next(const struct eie_elements *all, struct eie_place *place)
{
    for (unsigned axis = all->rank; axis-- > 0;) {
        const bool ends = ++place->at[axis] == all->sizes[axis];
        for (unsigned operand = 0; operand < 2; operand++)
            place->of[operand] += all->strides[operand][axis]
                                  * (ends ? 1 - (ptrdiff_t)all->sizes[axis] : 1);
        if (!ends)
            return true;
        place->at[axis] = 0;
    }
    return false;
}

/* Copy elements from the places of operand 0 to those of operand 1: a transpose, a slice, a part of
 * a concatenation, the inside of a padded tensor. */
static inline void eie_move(const struct eie_elements *all, const int32_t *from, int32_t *to)
{
    struct eie_place place = {{0}, {0}};
    do
        to[place.of[1]] = from[place.of[0]];
    while (eie_next(all, &place));
}

/* Compute a function of eie_arithmetic.h, such as eie_sum, for each pair of words. */
static inline size_t eie_combine(int64_t (*function)(int64_t, int64_t, const int *frac, int to),
                                 const struct eie_elements *all, const int32_t *one,
                                 const int32_t *other, int32_t *results, const int frac[2], int to,
                                 unsigned width)
{
    struct eie_place place = {{0}, {0}};
    size_t n_saturated = 0;
    do
        *results++ = eie_saturate(function(one[place.of[0]], other[place.of[1]], frac, to), width,
                                  &n_saturated);
    while (eie_next(all, &place));
    return n_saturated;
}

/* Affine, and hard sigmoid by its limits. Operand 1 are the constants. */
static inline size_t eie_scale(const struct eie_elements *all, const int32_t *words,
                               const struct eie_scaling *by, int32_t *results, int64_t low,
                               int64_t high, unsigned width)
{
    struct eie_place place = {{0}, {0}};
    size_t n_saturated = 0;
    do {
        const int64_t exact = eie_scale_word(by + place.of[1], words[place.of[0]]);
        *results++ = eie_saturate(eie_limit(exact, low, high), width, &n_saturated);
    } while (eie_next(all, &place));
    return n_saturated;
}

/* Leaky ReLU. Operand 1 are the slopes. */
static inline size_t eie_leaky_relu(const struct eie_elements *all, const int32_t *words,
                                    const struct eie_scaling *slopes, int32_t *results, int frac,
                                    int to, unsigned width)
{
    struct eie_place place = {{0}, {0}};
    size_t n_saturated = 0;
    do {
        const int32_t word = words[place.of[0]];
        *results++ = eie_saturate(word < 0 ? eie_scale_word(slopes + place.of[1], word)
                                           : eie_rescale(word, frac, to), width, &n_saturated);
    } while (eie_next(all, &place));
    return n_saturated;
}

/* Quantise: limits are integers. Operand 1 are the scales. */
static inline size_t eie_to_integers(const struct eie_elements *all, const int32_t *words,
                                     const struct eie_scaling *by, int32_t *results, int to,
                                     int64_t low, int64_t high, unsigned width)
{
    struct eie_place place = {{0}, {0}};
    size_t n_saturated = 0;
    do {
        const int64_t exact = eie_scale_word(by + place.of[1], words[place.of[0]]);
        *results++ = eie_saturate(eie_rescale(eie_limit(exact, low, high), 0, to), width,
                                  &n_saturated);
    } while (eie_next(all, &place));
    return n_saturated;
}

/* Reductions. */

/* Means of `count` words each, one after another. */
static inline size_t eie_mean(const int32_t *words, int32_t *results, size_t n, size_t count,
                              int frac, int to, unsigned width)
{
    size_t n_saturated = 0;
    for (size_t at = 0; at < n; at++) {
        int64_t sum = 0;
        for (size_t one = 0; one < count; one++)
            sum += *words++;
        results[at] = eie_saturate(eie_divide_sum(sum, (int64_t)count, frac, to), width,
                                   &n_saturated);
    }
    return n_saturated;
}

/* Windows of images (channels, height, width). */
struct eie_pool {
    int channels, height, width;
    int kernel[2], stride[2];           /* along height and width */
    int padding[4];                     /* top, left, bottom, right */
    bool count_padding;                 /* an average counts the padding as zeros ... */
    int uncounted[2];                   /* ... but for these rows and columns at the end */
};

/* A window along one axis: its elements of the image, and how many an average counts. */
struct eie_window {
    int begin, end, count;
};

static inline struct eie_window eie_window(const struct eie_pool *pool, int axis, int at)
{
    const int size = axis ? pool->width : pool->height, start = at * pool->stride[axis]
                                                                - pool->padding[axis];
    const int stop = start + pool->kernel[axis];
    const int counted = size + pool->padding[axis + 2] - pool->uncounted[axis];
    struct eie_window window = {start < 0 ? 0 : start, stop > size ? size : stop, 0};
    window.count = pool->count_padding ? (stop > counted ? counted : stop) - start
                                       : window.end - window.begin;
    return window;
}

static inline int eie_pooled_size(const struct eie_pool *pool, int axis)
{
    const int size = axis ? pool->width : pool->height;
    return (pool->padding[axis] + size + pool->padding[axis + 2] - pool->kernel[axis])
           / pool->stride[axis] + 1;
}

static inline void eie_max_pool(const struct eie_pool *pool, const int32_t *images,
                                int32_t *results)
{
    for (int channel = 0; channel < pool->channels; channel++, images += pool->height * pool->width)
        for (int row = 0; row < eie_pooled_size(pool, 0); row++)
            for (int column = 0; column < eie_pooled_size(pool, 1); column++) {
                const struct eie_window rows = eie_window(pool, 0, row);
                const struct eie_window columns = eie_window(pool, 1, column);
                int32_t greatest = INT32_MIN;
                for (int y = rows.begin; y < rows.end; y++)
                    for (int x = columns.begin; x < columns.end; x++)
                        if (images[y * pool->width + x] > greatest)
                            greatest = images[y * pool->width + x];
                *results++ = greatest;
            }
}

static inline size_t eie_average_pool(const struct eie_pool *pool, const int32_t *images,
                                      int32_t *results, int frac, int to, unsigned width)
{
    size_t n_saturated = 0;
    for (int channel = 0; channel < pool->channels; channel++, images += pool->height * pool->width)
        for (int row = 0; row < eie_pooled_size(pool, 0); row++)
            for (int column = 0; column < eie_pooled_size(pool, 1); column++) {
                const struct eie_window rows = eie_window(pool, 0, row);
                const struct eie_window columns = eie_window(pool, 1, column);
                int64_t sum = 0;
                for (int y = rows.begin; y < rows.end; y++)
                    for (int x = columns.begin; x < columns.end; x++)
                        sum += images[y * pool->width + x];
                *results++ = eie_saturate(
                    eie_divide_sum(sum, (int64_t)rows.count * columns.count, frac, to), width,
                    &n_saturated);
            }
    return n_saturated;
}

#endif
