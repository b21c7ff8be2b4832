"""Scales of rows in exact integers of Python, as docs/architecture.md defines them."""

import numpy as np

__all__ = ["draw_entry", "exceeds_range", "interleave", "make_entry", "scale_row", "split_entry"]


def scale_row(config, acc, fraction, exponent, *, shift, relu, rounding, zero):
    """Return the result of an accumulator, before a function, with two words for its row."""
    w = config.act_width
    r = min(rounding, w - 1)
    whole, factor = split_scale(config, acc, fraction, exponent, shift)
    places = w + 2 + r
    rounded = (clamp(whole, w + 2) * factor + 2 ** (places - 1)) // 2 ** places * 2 ** r
    if r == 0:
        return clamp(max(rounded, 0) if relu else rounded, w)
    offset = zero * 2 ** (w - 9)
    rounded += offset
    kept = clamp(max(rounded, 0) if relu else rounded, w - 1) // 2 ** r * 2 ** r
    result = kept - offset
    if r < w - 1:    # else no bit but the sign is left, and a word can wrap
        assert result == clamp(result, w)
    return (result + 2 ** (w - 1)) % 2 ** w - 2 ** (w - 1)


def exceeds_range(config, acc, fraction, exponent, *, shift, relu):
    """Return whether a result of which no bits are rounded away is beyond `act_width` bits."""
    w = config.act_width
    whole, factor = split_scale(config, acc, fraction, exponent, shift)
    rounded = (whole * factor + 2 ** (w + 1)) // 2 ** (w + 2)
    rounded = max(rounded, 0) if relu else rounded
    return rounded != clamp(rounded, w)


def split_scale(config, acc, fraction, exponent, shift):
    """Return an accumulator in quarters of a result, and the factor of its row."""
    w = config.act_width
    return (4 * acc // 2 ** ((shift + exponent % 16) % (config.max_shift + 1)),
            2 ** w + fraction % 2 ** w)


def interleave(config, fractions, shifts):
    """Return activations with the words of rows, by column number: four slots of each in turn."""
    group = 4 * config.n_pe
    padded = [np.append(words, np.zeros(-len(words) % group, np.int64)).reshape(-1, group)
              for words in (fractions, shifts)]
    return np.stack(padded, axis=1).ravel()


def clamp(number, width):
    """Saturate to `width` bits."""
    return min(max(number, -2 ** (width - 1)), 2 ** (width - 1) - 1)


def rounding_width(config):
    """Bits of the field `rounding` of entry 0 of a codebook."""
    return (config.act_width - 1).bit_length()


def make_entry(config, rounding, zero, above=0):
    """Return entry 0 of a codebook, with the bits `above` those that it uses, as a weight."""
    bits = (above << 8 | zero % 256) << rounding_width(config) | rounding
    limit = 1 << config.codebook_width - 1
    return (bits + limit) % (2 * limit) - limit


def split_entry(config, entry):
    """Return the fields `rounding` and `zero` of entry 0 of a codebook."""
    width = rounding_width(config)
    return {"rounding": entry % 2 ** width, "zero": (entry // 2 ** width + 128) % 256 - 128}


def draw_entry(config, draw):
    """Make a random entry 0, from a function that draws a number from `low` to `high`.

    One of three rounds no bits away, and one of three half of them.
    """
    rounding = [0, config.act_width // 2, draw(0, 2 ** rounding_width(config) - 1)][draw(0, 2)]
    zero = [-128, 127, 0, draw(-128, 127)][draw(0, 3)]
    return make_entry(config, rounding, zero, draw(0, 1))
