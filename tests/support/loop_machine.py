"""Programs of machines with loops, and their memory images, built descriptor by descriptor."""

import dataclasses

import numpy as np
from scipy.sparse import csc_array

from eie_compiler.lowering.csc import encode, pack_entries, pack_pointers
from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.format import BEAT_WIDTH, Layouts, last_element, n_beats
from eie_hdl.packing import pack

__all__ = ["LoopMachine"]


class LoopMachine:
    """Memories of a machine with loops. The last descriptor is final.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    codebooks : int64 (n_codebooks, 2 ** v_width)
        The same in all PEs.

    Attributes
    ----------
    activations : int64 (act_depth * 4 * n_pe,)
        Biases and other vectors, by column number.
    program : :class:`list` of :class:`dict`
        Fields of each descriptor. Those that are not given are 0.
    """

    def __init__(self, config, codebooks):
        self.config, self.codebooks = config, codebooks
        self.activations = np.zeros(config.act_depth * self.group, np.int64)
        self.program, self._encoded, self._n_pointers = [], [], 0

    @property
    def group(self):
        """Elements of a row of all PEs."""
        return ACTS_PER_WORD * self.config.n_pe

    def tile(self, codes, *, start, end, loop, **flags):
        """Add a tile: row r · n_pe + k of `codes` is accumulator r of PE k.

        In local mode, codes are 0 unless their row and column are of the same PE.
        """
        n_pe, (n_rows, columns) = self.config.n_pe, codes.shape
        encoded = encode(self.config, csc_array(codes.astype(np.uint8)), np.arange(n_rows),
                         np.arange(columns))
        if loop.get("local"):
            # Of each PE, its own column of each slot.
            slots = encoded.counts.reshape(n_pe, 1, -1, n_pe)
            counts = np.einsum("ktsk->kts", slots)
            assert counts.sum() == slots.sum()
        else:    # without the columns that fill up a slot
            counts = encoded.counts[:, :, :columns]
        self._encoded.append(dataclasses.replace(encoded, counts=counts))
        last_word, last_lane = divmod(n_rows // n_pe - 1, ACTS_PER_WORD)
        self.program.append({
            "start": start, "loop": {"columns": columns, **loop}, "ptr_base": self._n_pointers,
            "end": {"last_word": last_word, "last_lane": last_lane, **end}, "valid": 1, **flags})
        self._n_pointers += counts.shape[2]

    def send(self, source, n, **flags):
        """Add an output of `n` elements."""
        self.program.append({"start": {"source": source, "send": 1,
                                       **last_element(self.config, n)},
                             "barrier": 1, "valid": 1, **flags})

    def images(self):
        """Memory images by instance name, as in a build."""
        config, layouts = self.config, Layouts.of(self.config)
        program = [*self.program[:-1], {**self.program[-1], "final": 1}]
        words = [layouts.descriptor.const(step).as_value().value for step in program]
        beats = [[word >> BEAT_WIDTH * beat & (1 << BEAT_WIDTH) - 1
                  for beat in range(n_beats(layouts.descriptor))] for word in words]
        pointers = pack_pointers(config, self._encoded)
        slots = self.activations.reshape(config.act_depth, ACTS_PER_WORD, config.n_pe)
        images = {"ccu.program": np.array(beats, np.uint64)}
        for pe, entries in enumerate(pack_entries(config, self._encoded)):
            images |= {
                f"pe_{pe}.spmat": entries,
                f"pe_{pe}.ptr_even": pointers[pe, 0::2], f"pe_{pe}.ptr_odd": pointers[pe, 1::2],
                f"pe_{pe}.act": pack(layouts.act_word, slots[..., pe]),
                f"pe_{pe}.codebook": pack(layouts.weight, self.codebooks.ravel())}
        return images
