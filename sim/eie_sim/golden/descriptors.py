"""Decoding and checks of a program from memory images; part of the golden model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import LOCAL_MULTIPLES, N_SEGMENTS, Table, n_drained, n_elements

from .loops import Loop
from .scales import Quantiser
from .tile import GoldenError, Memories, Tile

__all__ = ["Program", "Step"]


class Step(NamedTuple):
    """A decoded descriptor; `tile` is None for an output of `n_sent` elements.

    Ranges are of column numbers. `loop` is None on machines without loops. With `zeros`,
    activations that are zero are sent, too. `factor` is None unless products are added instead of
    biases, or rows are scaled; then they have a `quantiser`.
    """

    source: slice
    n_sent: int = 0
    tile: Tile | None = None
    loop: Loop | None = None
    destination: slice = slice(0, 0)
    bias: slice = slice(0, 0)
    bias_shift: int = 0
    shift: int = 0
    relu: bool = False
    zeros: bool = False
    factor: slice | None = None
    table: int = Table.NONE.value
    quantiser: Quantiser | None = None


class Program:
    """Descriptors of a program, decoded and checked.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    memories : :class:`~.tile.Memories`
        Its memories.
    first, offset : :class:`int`
        As of :class:`~.model.GoldenModel`.

    Attributes
    ----------
    numbers : :class:`list` of :class:`int`
        Numbers of the descriptors.
    steps : :class:`list` of :class:`Step`
        The descriptors.

    Raises
    ------
    GoldenError
        If the program has no end, addresses memory out of range, or scans rows that may not be
        written yet.
    """

    def __init__(self, config: EIEConfig, memories: Memories, first: int, offset: int) -> None:
        self._config = config
        self._offset = offset
        self._memories = memories
        self.numbers = self._find(first)
        self.steps = [self._decode(number) for number in self.numbers]
        self._check_barriers()

    def _find(self, first: int) -> list[int]:
        final = self._memories.program["final"]
        if not 0 <= first < final.size:
            raise GoldenError(f"Program must start at a descriptor from 0 to {final.size - 1}, "
                              f"not {first}")
        last = np.flatnonzero(final[first:])
        if not last.size:
            raise GoldenError(f"Program must have a final descriptor from {first} on, but none up "
                              f"to {final.size - 1} is final")
        numbers = np.arange(first, first + int(last[0]) + 1)
        empty = numbers[self._memories.program["valid"][numbers] == 0]
        if empty.size:
            raise GoldenError(f"Descriptor {empty[0]}: valid must be set, as in all descriptors")
        return [int(number) for number in numbers]

    def _decode(self, number: int) -> Step:
        config = self._config
        fields = _at(self._memories.program, number)
        start, end = fields["start"], fields["end"]
        first = start["source"] + self._offset * fields["offset_source"]
        source = self._rows(number, "start.source", first, start["last_word"])
        if start["send"]:
            return Step(source, n_elements(config, start))
        if end["bias_shift"] > config.max_bias_shift:
            raise GoldenError(f"Descriptor {number}: end.bias_shift must be at most "
                              f"{config.max_bias_shift}, not {end['bias_shift']}")
        n_rows, last_word = n_drained(end), end["last_word"]
        if config.loops:
            self._check_loop(number, fields, n_rows)
            last_word = fields["loop"]["last_slot"] // ACTS_PER_WORD
        written = end["destination"] + self._offset * fields["offset_destination"]
        destination = self._rows(number, "end.destination", written, last_word)
        if end.get("table", 0) not in (table.value for table in Table):
            raise GoldenError(f"Descriptor {number}: end.table must be from 0 to "
                              f"{max(table.value for table in Table)}, not {end['table']}")
        if _overlap(destination, source):
            raise GoldenError(f"Descriptor {number}: end.destination must not overlap its source, "
                              f"at {first}, but is at {written}")
        loop = Loop.decode(config, fields["loop"], n_elements=n_elements(config, start),
                           n_rows=n_rows) if config.loops else None
        is_once = loop is not None and loop.n_pixels == 1
        bias, factor = self._operands(number, end, destination, n_rows, is_once)
        quantiser = self._quantiser(number, start["codebook"], n_rows) if end.get("scale") else None
        tile = Tile.decode(
            config, self._memories, ptr_base=fields["ptr_base"], codebook=start["codebook"],
            n_columns=loop.n_columns if loop else source.stop - source.start, n_rows=n_rows,
            local=loop is not None and loop.local, maximum=bool(start.get("maximum")))
        return Step(source, 0, tile, loop, destination, bias, end["bias_shift"], end["shift"],
                    bool(end["relu"]), bool(start.get("zeros")), factor, end.get("table", 0),
                    quantiser)

    def _operands(self, number: int, end: Mapping[str, Any], destination: slice, n_rows: int,
                  is_once: bool) -> tuple[slice, slice | None]:
        """Columns of the biases, or of the activations that are multiplied, and of the scales.

        Products may replace either of their operands if the tile `is_once`. A second pixel would
        read what the first one has replaced.
        """
        multiplies, scales = bool(end.get("multiply")), bool(end.get("scale"))
        if multiplies and scales:
            raise GoldenError(f"Descriptor {number}: end.multiply and end.scale must not both be "
                              "set")
        group = ACTS_PER_WORD * self._config.n_pe
        last_words = {"bias": end["last_word"]}
        if multiplies or scales:
            last_words["factor"] = 2 * end["last_word"] + 1 if scales else end["last_word"]
        operands = {}
        for name, last_word in last_words.items():
            rows = self._rows(number, f"end.{name}", end[name], last_word)
            is_in_place = multiplies and is_once and rows.start == destination.start
            if _overlap(destination, rows) and not is_in_place:
                raise GoldenError(
                    f"Descriptor {number}: end.destination must not overlap the "
                    f"{'rows of end.' + name if len(last_words) > 1 else 'biases'}, at "
                    f"{end[name]}, but is at {destination.start // group}")
            is_scale = scales and name == "factor"
            operands[name] = rows if is_scale else slice(
                rows.start, rows.start + n_rows * self._config.n_pe)
        return operands["bias"], operands.get("factor")

    def _quantiser(self, number: int, codebook: int, n_rows: int) -> Quantiser:
        try:
            return Quantiser.decode(self._config, self._memories, codebook, n_rows)
        except GoldenError as error:
            raise GoldenError(f"Descriptor {number}: {error}") from error

    def _check_loop(self, number: int, fields: Mapping[str, Any], n_rows: int) -> None:
        config, loop = self._config, fields["loop"]
        length, columns = loop["length"], loop["columns"]
        group = config.n_pe if config.local and loop["local"] else 1
        for name in LOCAL_MULTIPLES:
            if loop[name] % group:
                raise GoldenError(f"Descriptor {number}: loop.{name} must be a multiple of n_pe = "
                                  f"{group} in local mode, not {loop[name]}")
        if loop["width"] == 0:
            raise GoldenError(f"Descriptor {number}: loop.width must be at least 1, not 0")
        least = max(1, -(-columns // N_SEGMENTS))
        if not least <= length <= columns:
            raise GoldenError(f"Descriptor {number}: loop.length must be from {least} to "
                              f"loop.columns = {columns}, not {length}")
        last = columns // group
        if fields["ptr_base"] + last >= config.n_pointers:
            raise GoldenError(f"Descriptor {number}: ptr_base must leave its {last + 1} pointers "
                              f"below {config.n_pointers}, not begin at {fields['ptr_base']}")
        if loop["last_slot"] < n_rows - 1:
            raise GoldenError(f"Descriptor {number}: loop.last_slot must be at least {n_rows - 1}, "
                              f"that of the first pixel, not {loop['last_slot']}")

    def _rows(self, number: int, name: str, first: int, last_word: int) -> slice:
        """Convert rows of the activation SRAMs to a range of column numbers."""
        if first + last_word >= self._config.act_depth:
            raise GoldenError(f"Descriptor {number}: {name} must leave its {last_word + 1} rows "
                              f"below act_depth = {self._config.act_depth}, not begin at {first}")
        group = ACTS_PER_WORD * self._config.n_pe
        return slice(first * group, (first + last_word + 1) * group)

    def _check_barriers(self) -> None:
        """Check that no step reads rows of a tile that may be unwritten.

        A barrier delays only its own step: after a vector, tiles before it may still be unwritten.
        Check also that no tile overwrites a result that may still be being sent, by this program or
        by itself before, of either buffer. Hosts let other programs end first.
        """
        program, group = self._memories.program, ACTS_PER_WORD * self._config.n_pe
        first, n_rows = program["start"]["source"], program["start"]["last_word"] + 1
        shift = self._offset * program["offset_source"]
        sent = [(number, slice(int(begin[number]) * group,
                               int(begin[number] + n_rows[number]) * group))
                for number in self.numbers if program["start"]["send"][number]
                for begin in (first, first + shift)]
        unwritten: dict[int, slice] = {}
        for number, step in zip(self.numbers, self.steps):
            waits = program["barrier"][number]
            if waits and not program["start"]["send"][number]:
                unwritten.clear()
            for writer, rows in unwritten.items():
                if _overlap(rows, step.source) and not waits:
                    raise GoldenError(f"Descriptor {number}: barrier must be set, as it scans "
                                      f"rows that descriptor {writer} writes")
            unwritten[number] = step.destination
            for sender, rows in sent:
                if _overlap(step.destination, rows) and not program["result_barrier"][number]:
                    raise GoldenError(f"Descriptor {number}: result_barrier must be set, as it "
                                      f"writes rows that descriptor {sender} sends")


def _overlap(one: slice, other: slice) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


def _at(fields: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Fields of one word."""
    return {name: _at(value, number) if isinstance(value, Mapping) else int(value[number])
            for name, value in fields.items()}
