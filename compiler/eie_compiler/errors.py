"""Errors of compression and compilation."""

__all__ = ["CompileError", "CompressError", "require_words"]


class CompileError(ValueError):
    """Network that the configuration cannot run; the message says what to change."""


class CompressError(ValueError):
    """Weights or options that cannot be compressed; the message names the layer or option."""


def require_words(memory: str, needed: int, available: int, parameter: str, *,
                  where: str = "", instead: str = "", raise_to: int | None = None) -> None:
    """Check that a memory has as many words as the network needs.

    Parameters
    ----------
    where, instead : :class:`str`
        Use of the words, and alternative remedies; inserted into the message verbatim.
    raise_to : :class:`int`, optional
        Required value of a parameter that does not count words.

    Raises
    ------
    CompileError
        If it has fewer; the message names the memory, both numbers and the parameter to raise.
    """
    if needed > available:
        raise CompileError(f"{memory} must have {needed} words{where}, not {available}: "
                           f"raise {parameter} to {raise_to or needed} or more{instead}")
