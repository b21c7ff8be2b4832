"""Cells of sky130_fd_sc_hd that the project characterises."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

__all__ = ["CELLS", "FLIPFLOPS", "PREFIX", "Arc", "Cell"]

PREFIX = "sky130_fd_sc_hd__"


@dataclass(frozen=True)
class Arc:
    """Way in which a change of one input changes the output.

    Attributes
    ----------
    pin : :class:`str`
        Input that changes.
    others : :class:`dict` of :class:`str` to :class:`int`
        Values of the other inputs.
    inverts : :class:`bool`
        True if a rise of the input makes the output fall.
    """

    pin: str
    others: Mapping[str, int]
    inverts: bool


@dataclass(frozen=True)
class Cell:
    """A combinational cell.

    Attributes
    ----------
    name : :class:`str`
        Name without the prefix of the library, such as ``nand2_1``.
    inputs : :class:`tuple` of :class:`str`
        Input pins.
    output : :class:`str`
        Output pin.
    function : :class:`str`
        Function of the output, in Liberty's syntax without ``^``.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    function: str

    def evaluate(self, values: Mapping[str, int]) -> int:
        """Compute the output for values of the inputs."""
        text = self.function.replace("!", " not ").replace("&", " and ").replace("|", " or ")
        return int(eval(text, {"__builtins__": {}}, dict(values)))

    def states(self) -> Iterator[dict[str, int]]:
        """Yield all values of the inputs."""
        for bits in itertools.product((0, 1), repeat=len(self.inputs)):
            yield dict(zip(self.inputs, bits))

    @cached_property
    def arcs(self) -> list[Arc]:
        """All ways in which a change of one input changes the output."""
        return [Arc(pin, {name: bit for name, bit in state.items() if name != pin},
                    inverts=bool(low))
                for pin in self.inputs for state in self.states() if not state[pin]
                and (low := self.evaluate(state)) != self.evaluate({**state, pin: 1})]


def _sized(base: str, drives: tuple[int, ...], inputs: str, output: str, function: str
           ) -> list[Cell]:
    return [Cell(f"{base}_{drive}", tuple(inputs.split()), output, function) for drive in drives]


CELLS = {cell.name: cell for cell in (
    *_sized("inv", (1, 2, 4, 8, 16), "A", "Y", "(!A)"),
    *_sized("buf", (1, 2, 4, 8, 16), "A", "X", "(A)"),
    *_sized("nand2", (1, 2, 4), "A B", "Y", "(!(A&B))"),
    *_sized("nand3", (1, 2), "A B C", "Y", "(!(A&B&C))"),
    *_sized("nand4", (1,), "A B C D", "Y", "(!(A&B&C&D))"),
    *_sized("nor2", (1, 2, 4), "A B", "Y", "(!(A|B))"),
    *_sized("nor3", (1, 2), "A B C", "Y", "(!(A|B|C))"),
    *_sized("nor4", (1,), "A B C D", "Y", "(!(A|B|C|D))"),
    *_sized("and2", (1, 2), "A B", "X", "(A&B)"),
    *_sized("and3", (1,), "A B C", "X", "(A&B&C)"),
    *_sized("and4", (1,), "A B C D", "X", "(A&B&C&D)"),
    *_sized("or2", (1, 2), "A B", "X", "(A|B)"),
    *_sized("or3", (1,), "A B C", "X", "(A|B|C)"),
    *_sized("or4", (1,), "A B C D", "X", "(A|B|C|D)"),
    *_sized("nand2b", (1,), "A_N B", "Y", "(!(!A_N&B))"),
    *_sized("nor2b", (1,), "A B_N", "Y", "(!(A|!B_N))"),
    *_sized("xor2", (1, 2), "A B", "X", "((A&!B)|(!A&B))"),
    *_sized("xnor2", (1, 2), "A B", "Y", "((A&B)|(!A&!B))"),
    *_sized("mux2", (1, 2, 4), "A0 A1 S", "X", "((A0&!S)|(A1&S))"),
    *_sized("maj3", (1,), "A B C", "X", "((A&B)|(A&C)|(B&C))"),
    *_sized("a21oi", (1, 2), "A1 A2 B1", "Y", "(!((A1&A2)|B1))"),
    *_sized("o21ai", (1, 2), "A1 A2 B1", "Y", "(!((A1|A2)&B1))"),
    *_sized("a22oi", (1, 2), "A1 A2 B1 B2", "Y", "(!((A1&A2)|(B1&B2)))"),
    *_sized("o22ai", (1,), "A1 A2 B1 B2", "Y", "(!((A1|A2)&(B1|B2)))"),
    *_sized("a31oi", (1,), "A1 A2 A3 B1", "Y", "(!((A1&A2&A3)|B1))"),
    *_sized("a211oi", (1,), "A1 A2 B1 C1", "Y", "(!((A1&A2)|B1|C1))"),
    *_sized("o211ai", (1,), "A1 A2 B1 C1", "Y", "(!((A1|A2)&B1&C1))"),
    *_sized("a21o", (1,), "A1 A2 B1", "X", "((A1&A2)|B1)"),
    *_sized("o21a", (1,), "A1 A2 B1", "X", "((A1|A2)&B1)"),
    *_sized("a22o", (1,), "A1 A2 B1 B2", "X", "((A1&A2)|(B1&B2))"),
    *_sized("a31o", (1,), "A1 A2 A3 B1", "X", "((A1&A2&A3)|B1)"),
)}

#: Flip-flops with the pins CLK, D and Q.
FLIPFLOPS = ("dfxtp_1", "dfxtp_2", "dfxtp_4")
