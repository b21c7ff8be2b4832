"""Encoding of a network as JSON and bytes, for network files."""

import dataclasses
import reprlib
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network import CompressedNetwork, Layer, NetworkError, check_chain, check_int, check_shape
from ..patches import PatchError, Patches
from ..preprocessing import Preprocessing, PreprocessingError
from . import huffman
from .huffman import MAX_LENGTH, HuffmanError
from .json_file import check_fields
from .run_length import MAX_RUN_WIDTH, Entries, RunError, from_entries, to_entries

__all__ = ["NETWORK_FIELDS", "OPTIONAL_FIELDS", "DataReader", "StoredLayer", "parse_network",
           "parse_numbers", "parse_patches", "store_layers", "store_network", "store_numbers",
           "store_patches"]

#: Fields of a network and their types in JSON.
NETWORK_FIELDS = {"v_width": int, "input_frac": int, "patches": (dict, NoneType), "layers": list}
#: Fields that are present only for networks that have them.
OPTIONAL_FIELDS = {"preprocessing": dict, "nonnegative_inputs": bool, "act_width": int,
                   "codebook_width": int}
_PREPROCESSING_FIELDS = {"offset": str, "scale": str}
_LAYER_FIELDS = {"name": str, "shape": list, "relu": bool, "output_frac": int, "codebook": str,
                 "bias": str, "run_width": int, "entries": int, "codes": dict, "runs": dict}
_OPTIONAL_LAYER_FIELDS = {"max_weight_frac": int}
_STREAM_FIELDS = {"bits": int, "lengths": list}
#: Fields of patches that are present only if they differ from this.
_OPTIONAL_PATCHES = {"pixels": 1, "loop": 0}
_PATCHES_FIELDS = {field.name: list for field in dataclasses.fields(Patches)
                   if field.name not in _OPTIONAL_PATCHES}

_FLOATS = {"float32": "<f4", "float64": "<f8"}


@dataclasses.dataclass(frozen=True)
class StoredLayer:
    """Encoded layer.

    Attributes
    ----------
    header : :class:`dict`
        JSON object of the layer in the header of the file.
    codebook, bias, codes, runs : :class:`bytes`
        Sections of the data of the file.
    """

    header: dict[str, Any]
    codebook: bytes
    bias: bytes
    codes: bytes
    runs: bytes

    @property
    def parts(self) -> tuple[bytes, ...]:
        """Sections of the data, in order."""
        return self.codebook, self.bias, self.codes, self.runs


def store_layers(network: CompressedNetwork) -> list[StoredLayer]:
    """Encode the layers of a network."""
    return [_store_layer(layer, network.v_width) for layer in network.layers]


def store_network(network: CompressedNetwork) -> tuple[dict[str, Any], bytes]:
    """Encode a network; return its JSON object and its data."""
    layers = store_layers(network)
    header = {"v_width": network.v_width, "input_frac": network.input_frac,
              "patches": store_patches(network.patches),
              "layers": [layer.header for layer in layers]}
    data = b"".join(part for layer in layers for part in layer.parts)
    if network.preprocessing is not None:
        stored = {name: store_numbers(getattr(network.preprocessing, name))
                  for name in _PREPROCESSING_FIELDS}
        header["preprocessing"] = {name: kind for name, (kind, _) in stored.items()}
        data += b"".join(numbers for _, numbers in stored.values())
    if network.nonnegative_inputs:
        header["nonnegative_inputs"] = True
    for name in ("act_width", "codebook_width"):
        if getattr(network, name) is not None:
            header[name] = getattr(network, name)
    return header, data


def store_patches(patches: Patches | None) -> dict[str, Any] | None:
    """Encode patches as a JSON object, without optional fields that say nothing."""
    if patches is None:
        return None
    fields = dataclasses.asdict(patches)
    return {name: value for name, value in fields.items() if value != _OPTIONAL_PATCHES.get(name)}


def _store_layer(layer: Layer, v_width: int) -> StoredLayer:
    entries = to_entries(layer.codes)
    codebook_type, codebook = store_numbers(layer.codebook)
    bias_type, bias = store_numbers(layer.bias)
    codes_header, codes = _store_symbols(entries.v, v_width)
    runs_header, runs = _store_symbols(entries.z, entries.run_width)
    header = {"name": layer.name, "shape": list(layer.codes.shape), "relu": layer.relu,
              "output_frac": layer.output_frac, "codebook": codebook_type, "bias": bias_type,
              "run_width": entries.run_width, "entries": len(entries.v),
              "codes": codes_header, "runs": runs_header}
    if layer.max_weight_frac is not None:
        header["max_weight_frac"] = layer.max_weight_frac
    return StoredLayer(header, codebook, bias, codes, runs)


def store_numbers(values: NDArray[np.float64]) -> tuple[str, bytes]:
    """Choose the narrower type that represents all values exactly; return it and the bytes."""
    with np.errstate(over="ignore", under="ignore"):
        exact = (values.astype("<f4") == values).all()
    kind = "float32" if exact else "float64"
    return kind, values.astype(_FLOATS[kind]).tobytes()


def _store_symbols(symbols: NDArray[Any], width: int) -> tuple[dict[str, Any], bytes]:
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=1 << width))
    content, n_bits = huffman.encode(symbols, lengths)
    return {"bits": n_bits, "lengths": np.trim_zeros(lengths, "b").tolist()}, content


class DataReader:
    """Reader of the data of a file."""

    def __init__(self, content: bytes) -> None:
        self.content, self.position = content, 0

    def take(self, n_bytes: int, what: str) -> bytes:
        if n_bytes > len(self.content) - self.position:
            raise NetworkError(f"data must contain {n_bytes} bytes for {what} from byte "
                               f"{self.position}, not end at byte {len(self.content)}")
        self.position += n_bytes
        return self.content[self.position - n_bytes:self.position]


def parse_network(header: dict[str, Any], data: DataReader) -> CompressedNetwork:
    """Make a network of its JSON object, whose fields are checked, and of its data.

    Raises
    ------
    JsonError, NetworkError
        If a field is invalid.
    """
    layers = [check_fields(f"layers[{number}]", layer, _LAYER_FIELDS,
                           _OPTIONAL_LAYER_FIELDS)
              for number, layer in enumerate(header["layers"])]
    for number, layer in enumerate(layers):
        check_shape(f"layers[{number}].shape", layer["shape"])
    # Before memory is allocated for columns: only the first layer has no predecessor to bound them.
    check_chain([(layer["name"], layer["shape"]) for layer in layers])
    check_int("v_width", header["v_width"], 2, 8)
    parsed = tuple(_parse_layer(f"layers[{number}]", layer, header["v_width"], data)
                   for number, layer in enumerate(layers))
    return CompressedNetwork(
        layers=parsed, input_frac=header["input_frac"], v_width=header["v_width"],
        patches=_parse_patches(header),
        preprocessing=_parse_preprocessing(header, data),
        nonnegative_inputs=header.get("nonnegative_inputs", False),
        act_width=header.get("act_width"), codebook_width=header.get("codebook_width"))


def _parse_layer(where: str, header: dict[str, Any], v_width: int, data: DataReader) -> Layer:
    n_rows, n_cols = header["shape"]
    codebook = parse_numbers(f"{where}.codebook", header["codebook"], 1 << v_width, data)
    bias = parse_numbers(f"{where}.bias", header["bias"], n_rows, data)
    check_int(f"{where}.run_width", header["run_width"], 1, MAX_RUN_WIDTH)
    v = _parse_symbols(f"{where}.codes", header["codes"], header["entries"], v_width, data)
    z = _parse_symbols(f"{where}.runs", header["runs"], header["entries"], header["run_width"],
                       data)
    try:
        codes = from_entries(Entries(v.astype(np.uint8), z, header["run_width"]),
                             (n_rows, n_cols))
    except RunError as error:
        raise NetworkError(f"{where}.{error}") from error
    return Layer(header["name"], codes, codebook, bias, header["relu"], header["output_frac"],
                 header.get("max_weight_frac"))


def parse_numbers(where: str, kind: str, count: int, data: DataReader) -> NDArray[np.float64]:
    if kind not in _FLOATS:
        raise NetworkError(f"{where} must be {' or '.join(map(repr, _FLOATS))}, "
                           f"not {reprlib.repr(kind)}")
    size = np.dtype(_FLOATS[kind]).itemsize
    return np.frombuffer(data.take(count * size, where), _FLOATS[kind]).astype(np.float64)


def _parse_symbols(where: str, stream: Any, entries: int, width: int, data: DataReader
                   ) -> NDArray[np.uint16]:
    stream = check_fields(where, stream, _STREAM_FIELDS)
    lengths = stream["lengths"]
    if len(lengths) > 1 << width or not all(type(n) is int and 0 <= n <= MAX_LENGTH
                                            for n in lengths):
        raise NetworkError(f"{where}.lengths must be at most {1 << width} integers from 0 to "
                           f"{MAX_LENGTH}, not {len(lengths)}: {reprlib.repr(lengths)}")
    check_int(f"{where}.bits", stream["bits"], 0, 8 * len(data.content))
    content = data.take(-(-stream["bits"] // 8), where)
    try:
        return huffman.decode(content, stream["bits"], entries, np.array(lengths, np.uint8))
    except HuffmanError as error:
        raise NetworkError(f"{where}: {error}") from error


def parse_patches(fields: Any) -> Patches | None:
    """Make patches of their fields in JSON; None of null.

    Raises
    ------
    JsonError, PatchError
        If a field is missing, unknown or invalid.
    """
    if fields is None:
        return None
    checked = check_fields("patches", fields, _PATCHES_FIELDS,
                           dict.fromkeys(_OPTIONAL_PATCHES, int))
    arguments: dict[str, Any] = {name: tuple(value) if type(value) is list else value
                                 for name, value in checked.items()}
    return Patches(**arguments)


def _parse_patches(header: dict[str, Any]) -> Patches | None:
    try:
        return parse_patches(header["patches"])
    except PatchError as error:
        raise NetworkError(f"patches: {error}") from error


def _parse_preprocessing(header: dict[str, Any], data: DataReader) -> Preprocessing | None:
    if "preprocessing" not in header:
        return None
    kinds = check_fields("preprocessing", header["preprocessing"], _PREPROCESSING_FIELDS)
    count = header["layers"][0]["shape"][1]
    try:
        return Preprocessing(*(parse_numbers(f"preprocessing.{name}", kinds[name], count, data)
                               for name in _PREPROCESSING_FIELDS))
    except PreprocessingError as error:
        raise NetworkError(f"preprocessing: {error}") from error
