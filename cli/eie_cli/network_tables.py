"""Tables of network files."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import format_size, make_table, print_table

if TYPE_CHECKING:
    from eie_compiler.files.size_report import Storage
    from eie_compiler.network import CompressedNetwork
    from eie_compiler.preprocessing import Preprocessing

__all__ = ["describe_network", "describe_preprocessing", "show_network"]


def describe_network(network: "CompressedNetwork") -> dict[str, Any]:
    """Describe a network and its file as plain JSON, without the weights."""
    from eie_compiler.files.network_file import encode_network
    from eie_compiler.files.size_report import measure_storage

    storages, total = measure_storage(network)
    size = len(encode_network(network))
    return {"v_width": network.v_width, "input_frac": network.input_frac,
            "patches": network.patches and dataclasses.asdict(network.patches),
            "preprocessing": describe_preprocessing(network.preprocessing),
            "nonnegative_inputs": network.nonnegative_inputs,
            "layers": [{"name": layer.name, "shape": [layer.n_rows, layer.n_cols],
                        "relu": layer.relu, "output_frac": layer.output_frac,
                        **_describe_storage(storage)}
                       for layer, storage in zip(network.layers, storages)],
            "total": _describe_storage(total),
            "file": {"bytes": size, "ratio": total.dense_bytes / size}}


def describe_preprocessing(preprocessing: "Preprocessing | None") -> dict[str, Any] | None:
    """Describe the preprocessing of an input as plain JSON."""
    return None if preprocessing is None else {"offset": preprocessing.offset.tolist(),
                                               "scale": preprocessing.scale.tolist()}


def show_network(path: Path, network: "CompressedNetwork") -> None:
    """Print the layers of a network and their size in its file, as Deep Compression does."""
    described = describe_network(network)
    layers, total, file = described["layers"], described["total"], described["file"]
    images = network.patches and f": images of {' × '.join(map(str, network.patches.shape))}"
    title = f"{path}{images or ''}"
    if network.preprocessing is not None:
        title += ": the host subtracts an offset from each input, and scales it"
    if network.nonnegative_inputs:
        title += ": inputs are never negative"
    print_table(make_table("layer", "rows × columns", "", "fraction bits", title=title), [
        [layer["name"], format_size(layer["shape"]), "ReLU" if layer["relu"] else "",
         str(layer["output_frac"])] for layer in layers])
    rows = [_row(layer["name"], layer) for layer in layers]
    if len(rows) > 1:
        rows.append(_row("all", total))
    rows.append(["file", *[""] * 7, f"{file['bytes']:,}", f"{file['ratio']:.1f}"])
    print_table(make_table("layer", "weights", "density", "padding", "bits a code", "bits a run",
                           "codebook", "bias", "bytes", "ratio",
                           title="Stored size; bits before → after Huffman coding"), rows)


def _describe_storage(storage: "Storage") -> dict[str, Any]:
    counts = dataclasses.asdict(storage)
    del counts["name"]
    return counts | {
        "density": storage.density, "ratio": storage.ratio,
        "bits_per_code": {"plain": storage.per_entry(storage.plain_code_bits),
                          "huffman": storage.per_entry(storage.code_bits)},
        "bits_per_run": {"plain": storage.per_entry(storage.plain_run_bits),
                         "huffman": storage.per_entry(storage.run_bits)}}


def _row(name: str, storage: dict[str, Any]) -> list[str]:
    padding = storage["entries"] - storage["nonzeros"]
    code, run = storage["bits_per_code"], storage["bits_per_run"]
    return [name, f"{storage['weights']:,}", f"{storage['density']:.1%}",
            f"{padding / max(storage['entries'], 1):.1%}",
            f"{code['plain']:.1f} → {code['huffman']:.2f}",
            f"{run['plain']:.1f} → {run['huffman']:.2f}", f"{storage['codebook_bytes']:,}",
            f"{storage['bias_bytes']:,}", f"{storage['compressed_bytes']:,}",
            f"{storage['ratio']:.1f}"]
