"""Memory that networks need, alone or together in one load."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..errors import CompileError, describe_shortage

__all__ = ["Needs", "Shortage", "find_spmat_shortage"]


class Shortage(NamedTuple):
    """Memory that is too small.

    Attributes
    ----------
    excess : :class:`float`
        Words needed, relative to those available.
    message : :class:`str`
        What is missing, and the parameters to raise.
    """

    excess: float
    message: str


@dataclasses.dataclass(frozen=True, eq=False)
class Needs:
    """Memory that the programs of one load need.

    Attributes
    ----------
    descriptors : :class:`int`
        Descriptors of all programs.
    pointers : :class:`int`
        Pointers of all tiles, without the one after the last column.
    entries : int64 (n_pe,)
        Entries of each PE.
    codebooks : frozenset of :class:`bytes`
        Distinct codebooks.
    biases, vectors : :class:`int`
        Rows of the activation SRAM: of all biases, and of the vectors of a program, at least.
    widest : :class:`str`
        Layer whose inputs and outputs need the most rows.
    """

    descriptors: int
    pointers: int
    entries: NDArray[np.int64]
    codebooks: frozenset[bytes]
    biases: int
    vectors: int
    widest: str

    def __or__(self, other: "Needs") -> "Needs":
        """Join with the programs of another load; vectors share their rows."""
        widest = max(self, other, key=lambda needs: needs.vectors)
        return Needs(self.descriptors + other.descriptors, self.pointers + other.pointers,
                     self.entries + other.entries, self.codebooks | other.codebooks,
                     self.biases + other.biases, widest.vectors, widest.widest)

    @property
    def pointer_words(self) -> int:
        """Words in each of the two pointer SRAMs of a PE."""
        return -(-(self.pointers + 1) // 2)    # tiles share the pointer between them

    def require_fit(self, config: EIEConfig) -> None:
        """Check that the memories of a machine suffice.

        Raises
        ------
        CompileError
            If not; the message names all memories that are too small.
        """
        if shortages := self.find_shortages(config):
            raise CompileError("; ".join(shortage.message for shortage in shortages.values()))

    def find_shortages(self, config: EIEConfig) -> dict[str, Shortage]:
        """Find the memories of a machine that are too small, by parameter."""
        rows, size = self.biases + self.vectors, 1 << config.v_width
        n_codebooks = len(self.codebooks)
        found: dict[str, Shortage] = {}

        def check(memory: str, needed: int, available: int, parameter: str, **texts: Any) -> None:
            if message := describe_shortage(memory, needed, available, parameter, **texts):
                found[parameter] = Shortage(needed / available, message)

        check("activation SRAM", rows, config.act_depth, "act_depth",
              where=f" ({self.biases} of biases, {self.vectors} of inputs and outputs of layer "
                    f"{self.widest!r})", instead=", or n_pe")
        check("each of the two pointer SRAMs of a PE", self.pointer_words, config.ptr_depth,
              "ptr_depth", where=f" for {self.pointers + 1} pointers, one for each column of each "
                                 "tile", instead=", or acc_depth or n_pe for fewer tiles")
        if message := find_spmat_shortage(config, self.entries):
            found["spmat_depth"] = Shortage(int(self.entries.max()) / config.n_entries, message)
        check("codebook memory", n_codebooks * size, config.n_codebooks * size, "n_codebooks",
              where=f" for {n_codebooks} codebooks of {size}", raise_to=n_codebooks)
        check("program memory", self.descriptors, config.program_depth, "program_depth",
              where=", one for each tile and each output", instead=", or acc_depth")
        return found


def find_spmat_shortage(config: EIEConfig, entries: NDArray[np.int64]) -> str:
    """Describe what is missing if the spmat SRAMs cannot hold the `entries` of each PE.

    The message names the fullest PE; it is empty if nothing is missing.
    """
    fullest = int(np.argmax(entries))
    return describe_shortage(
        "spmat SRAM", -(-int(entries[fullest]) // config.entries_per_word), config.spmat_depth,
        "spmat_depth", where=f" for the {entries[fullest]} entries of PE {fullest}",
        instead=", or n_pe")
