"""Sizes of a network file, as tabulated in the Deep Compression paper."""

import dataclasses
from collections.abc import Sequence

from ..network import CompressedNetwork
from .stored_network import store_layers

__all__ = ["Storage", "measure_storage"]

#: Bytes of a weight or bias before compression.
_FLOAT32 = 4


@dataclasses.dataclass(frozen=True)
class Storage:
    """Sizes of one layer, or of all layers together.

    Attributes
    ----------
    name : :class:`str`
        Name of the layer.
    weights, nonzeros : :class:`int`
        Number of weights, and of those not pruned.
    entries : :class:`int`
        Pairs of a code and a run: nonzeros, and padding where a run is too long.
    plain_code_bits, plain_run_bits : :class:`int`
        Bits of all codes and of all runs, at fixed width.
    code_bits, run_bits : :class:`int`
        The same after Huffman coding.
    codebook_bytes, bias_bytes : :class:`int`
        Bytes of the shared weights and of the biases.
    compressed_bytes : :class:`int`
        Codes, runs, codebook and biases in the file, without the header and its Huffman tables.
    dense_bytes : :class:`int`
        Weights and biases as float32, before compression.
    """

    name: str
    weights: int
    nonzeros: int
    entries: int
    plain_code_bits: int
    plain_run_bits: int
    code_bits: int
    run_bits: int
    codebook_bytes: int
    bias_bytes: int
    compressed_bytes: int
    dense_bytes: int

    @property
    def density(self) -> float:
        """Share of the weights that are not pruned."""
        return self.nonzeros / self.weights

    @property
    def ratio(self) -> float:
        """Compression ratio: dense over compressed bytes."""
        return self.dense_bytes / self.compressed_bytes

    def per_entry(self, bits: int) -> float:
        """Divide `bits` of all entries by the number of entries."""
        return bits / self.entries if self.entries else 0.0


def measure_storage(network: CompressedNetwork) -> tuple[list[Storage], Storage]:
    """Measure each layer of a network; return the sizes and their sum."""
    layers = []
    for layer, stored in zip(network.layers, store_layers(network)):
        entries = stored.header["entries"]
        weights = layer.n_rows * layer.n_cols
        layers.append(Storage(
            name=layer.name, weights=weights, nonzeros=layer.n_nonzeros, entries=entries,
            plain_code_bits=entries * network.v_width,
            plain_run_bits=entries * stored.header["run_width"],
            code_bits=stored.header["codes"]["bits"], run_bits=stored.header["runs"]["bits"],
            codebook_bytes=len(stored.codebook), bias_bytes=len(stored.bias),
            compressed_bytes=sum(map(len, stored.parts)),
            dense_bytes=_FLOAT32 * (weights + layer.n_rows)))
    return layers, _sum(layers)


def _sum(layers: Sequence[Storage]) -> Storage:
    counts = [field.name for field in dataclasses.fields(Storage) if field.name != "name"]
    return Storage("all", **{name: sum(getattr(layer, name) for layer in layers)
                             for name in counts})
