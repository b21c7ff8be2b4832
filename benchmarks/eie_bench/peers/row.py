"""Figures of one design for one network."""

from typing import Any, NamedTuple

__all__ = ["Row"]


class Row(NamedTuple):
    """Figures of a design, per inference; None where a figure does not apply.

    Attributes
    ----------
    network, design : :class:`str`
        Network, and the design that runs it.
    accuracy : :class:`float`
        Share of the test images that are recognised, all designs with the same weights.
    dense_accuracy : :class:`float`, optional
        The same with the weights before pruning.
    products : :class:`float`
        Multiplications of a weight and an activation.
    cycles : :class:`float`, optional
        Cycles of an inference, many back to back.
    latency, net : :class:`float`, optional
        Cycles of an inference alone, with the transfer of its input and results and without it.
    seconds : :class:`float`, optional
        Time of an inference on a processor.
    multipliers : :class:`int`, optional
        Multipliers of weights and activations.
    external_bits : :class:`int`, optional
        Bits of weights that are read from external memory in each inference.
    used_bits : :class:`int`, optional
        Bits of the design's memories that the network occupies.
    compared, differences : :class:`int`
        Results of the Verilog that were compared with the software model of the same design, and
        how many of them differ.
    cells : mapping of :class:`str` to :class:`int`, optional
        Size of the design, as :class:`eie_flows.cells.Cells` names its parts.
    """

    network: str
    design: str
    accuracy: float
    dense_accuracy: float | None
    products: float
    cycles: float | None = None
    latency: float | None = None
    net: float | None = None
    seconds: float | None = None
    multipliers: int | None = None
    external_bits: int | None = None
    used_bits: int | None = None
    compared: int = 0
    differences: int = 0
    cells: dict[str, int] | None = None

    @property
    def work(self) -> float | None:
        """Cycles times multipliers."""
        return self.cycles * self.multipliers if self.cycles and self.multipliers else None

    def summary(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {**self._asdict(), "cycles_times_multipliers": self.work}
