"""Comparison with a constant."""

from amaranth.hdl import Value, ValueLike

__all__ = ["is_below"]


def is_below(value: ValueLike, limit: int) -> Value:
    """Return whether an unsigned value is less than a constant.

    If the limit is a power of two, this is a matter of the bits from there on. Synthesis tools
    would compare by a carry chain, which is larger, and on an FPGA late.
    """
    value = Value.cast(value)
    if limit.bit_count() == 1:
        return ~value[limit.bit_length() - 1:].any()
    return value < limit
