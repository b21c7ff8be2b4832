"""Errors of compression and compilation."""

__all__ = ["CompileError", "CompressError", "describe_shortage"]


class CompileError(ValueError):
    """Network that the configuration cannot run; the message says what to change."""


class CompressError(ValueError):
    """Weights or options that cannot be compressed; the message names the layer or option."""


def describe_shortage(memory: str, needed: int, available: int, parameter: str, *,
                      where: str = "", instead: str = "", raise_to: int | None = None) -> str:
    """Describe what is missing if a memory has fewer words than a network needs.

    Parameters
    ----------
    where, instead : :class:`str`
        Use of the words, and alternative remedies; inserted into the message verbatim.
    raise_to : :class:`int`, optional
        Required value of a parameter that does not count words.

    Returns
    -------
    :class:`str`
        Memory, both numbers and the parameter to raise. Empty if the words suffice.
    """
    return "" if needed <= available else (
        f"{memory} must have {needed} words{where}, not {available}: "
        f"raise {parameter} to {raise_to or needed} or more{instead}")
