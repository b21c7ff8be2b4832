"""Pauses of a host on its streams, as a schedule."""

import dataclasses

__all__ = ["Pauses"]


@dataclasses.dataclass(frozen=True)
class Pauses:
    """Pauses of a host before the beats of its streams.

    VALID of an input beat stays low for a number of cycles in which the host has this beat to send,
    READY for a result beat for a number of cycles in which the host expects a packet.

    Parameters
    ----------
    inputs, results : :class:`tuple` of :class:`int`
        Cycles before each beat of a stream; the last is followed by the first.

    Raises
    ------
    ValueError
        If there are none, or one is negative.
    """

    inputs: tuple[int, ...] = (0,)
    results: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name, cycles in dataclasses.asdict(self).items():
            if not cycles or min(cycles) < 0:
                raise ValueError(f"{name} must be one number of cycles or more, each at least 0, "
                                 f"not {cycles}")

    def bound(self, n_inputs: int, n_results: int) -> int:
        """Upper bound in cycles of the pauses before these numbers of beats."""
        return n_inputs * max(self.inputs) + n_results * max(self.results)
