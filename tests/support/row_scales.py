"""Scales of rows in exact integers of Python, as docs/architecture.md defines them."""

__all__ = ["draw_entry", "exceeds_range", "make_entry", "scale_row", "split_entry"]


def scale_row(config, acc, word, *, shift, relu, rounding, zero):
    """Return the result of an accumulator, before a function, with the scale `word` of its row."""
    w = config.act_width
    r = min(rounding, w - 1)
    whole, factor = split_scale(config, acc, word, shift)
    places = w - 3 + r
    rounded = (clamp(whole, w + 2) * factor + 2 ** (places - 1)) // 2 ** places * 2 ** r
    if r == 0:
        return clamp(max(rounded, 0) if relu else rounded, w)
    offset = zero * 2 ** (w - 8)
    rounded += offset
    quantised = clamp(max(rounded, 0) if relu else rounded, w) // 2 ** r * 2 ** r
    result, rest = divmod(quantised - offset, 2)
    assert rest == 0 and result == clamp(result, w)
    return result


def exceeds_range(config, acc, word, *, shift, relu):
    """Return whether a result of which no bits are rounded away is beyond `act_width` bits."""
    w = config.act_width
    whole, factor = split_scale(config, acc, word, shift)
    rounded = (whole * factor + 2 ** (w - 4)) // 2 ** (w - 3)
    rounded = max(rounded, 0) if relu else rounded
    return rounded != clamp(rounded, w)


def split_scale(config, acc, word, shift):
    """Return an accumulator in quarters of a result, and the factor of its row."""
    w = config.act_width
    exponent, fraction = word % 16, (word >> 4) % 2 ** (w - 5)
    factor = fraction + 2 ** (w - 5) if word >= 0 else fraction - 2 ** (w - 4)
    return 4 * acc // 2 ** ((shift + exponent) % (config.max_shift + 1)), factor


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
