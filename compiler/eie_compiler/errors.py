"""What is said when weights make no network, or a network does not fit a machine."""

__all__ = ["CompileError", "CompressError", "require_words"]


class CompileError(ValueError):
    """A network that this configuration cannot run; the message says what to change."""


class CompressError(ValueError):
    """Weights or options that make no compressed network; the message names layer or option."""


def require_words(memory: str, needed: int, available: int, parameter: str, *,
                  where: str = "", instead: str = "", raise_to: int | None = None) -> None:
    """Check that a memory has the words that the network needs of it.

    Parameters
    ----------
    where, instead : :class:`str`
        What the words are for, and what else would help; added to the message as they are.
    raise_to : :class:`int`, or None
        What the parameter must be, if it does not count words.

    Raises
    ------
    CompileError
        If it has fewer. The message names the memory, both numbers and the parameter to raise.
    """
    if needed > available:
        raise CompileError(f"{memory} must have {needed} words{where}, not {available}: "
                           f"raise {parameter} to {raise_to or needed} or more{instead}")
