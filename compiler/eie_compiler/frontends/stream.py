"""Front end for the published streams of Deep Compression (SqueezeNet, AlexNet).

All numbers are little endian. The stream begins with one uint32 for each layer, its number of
entries. Then follow, for each layer: the codebook (float32; 256 entries if the name of the layer
contains ``conv``, else 16), the bias (float32, one for each output), the codes (one per byte with
256 entries, else two, low nibble first), and the zero runs (two per byte, low nibble first). A run
counts the zeros before an entry in the flattened array, row by row; code 0 with run 15 skips 16
weights. Names and shapes of the layers are not in the file.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from eie_hdl.config import ConfigError, read_toml

from ..model import Model
from ..network import MAX_SIDE
from .common import FrontEndError, ReuseLimit, at
from .geometry import Geometry
from .parts import Part, join_parts

__all__ = ["LayerShape", "read_parts", "read_shapes", "read_stream"]


@dataclasses.dataclass(frozen=True)
class LayerShape:
    """Shape and geometry of a layer, which are not in the file.

    Parameters
    ----------
    shape : (n_out, n_in) or (n_out, channels of a group, kernel height, kernel width)
        Shape of the weights.
    stride, padding, groups : :class:`int`
        Parameters of a convolution, the same along both dimensions.

    Raises
    ------
    FrontEndError
        If a number is out of range.
    """

    shape: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    groups: int = 1

    def __post_init__(self) -> None:
        if type(self.shape) is not tuple or len(self.shape) not in (2, 4) \
                or not all(type(n) is int and 1 <= n < 1 << 31 for n in self.shape):
            raise FrontEndError("shape must be (outputs, inputs) or (outputs, channels, height, "
                                f"width), not {self.shape!r}")
        for name, low in (("stride", 1), ("padding", 0), ("groups", 1)):
            number = getattr(self, name)
            if type(number) is not int or number < low:
                raise FrontEndError(f"{name} must be an integer from {low}, not {number!r}")
        if (n_inputs := math.prod(self.shape[1:]) * self.groups) > MAX_SIDE:
            raise FrontEndError(f"shape must give at most {MAX_SIDE} inputs, not {n_inputs}")

    @property
    def geometry(self) -> Geometry | None:
        """Geometry of a convolution; None for a linear layer."""
        if len(self.shape) == 2:
            return None
        return Geometry.simple(self.shape[2:], stride=self.stride, padding=self.padding,
                               groups=self.groups)


def read_shapes(path: str | Path) -> dict[str, LayerShape]:
    """Read the names and shapes of the layers of a stream, in its order, from a TOML file.

    The file has a table for each layer with the fields of :class:`LayerShape`, such as
    ``fc6.shape = [4096, 9216]``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FrontEndError
        If the file has other contents.
    """
    with at(path):
        try:
            tables = read_toml(path)
        except ConfigError as error:
            raise FrontEndError(str(error)) from error
        fields = [field.name for field in dataclasses.fields(LayerShape)]
        shapes = {}
        for name, table in tables.items():
            with at(f"layer {name!r}"):
                if not isinstance(table, dict) or "shape" not in table or set(table) - set(fields):
                    raise FrontEndError(f"must have a shape and no fields but {', '.join(fields)}")
                shape = table["shape"]
                shapes[name] = LayerShape(**{
                    **table, "shape": tuple(shape) if isinstance(shape, list) else shape})
    return shapes


def read_stream(path: str | Path, *, shapes: Mapping[str, LayerShape] | str | Path,
                layers: Sequence[str] | None = None, relu: bool | Sequence[bool] | None = None,
                image: Sequence[int] | None = None) -> Model:
    """Read a model from a stream.

    Parameters
    ----------
    path : path
        File with the stream.
    shapes : mapping or path
        Name -> shape of each layer, in the order of the stream; or the file for
        :func:`read_shapes`.
    layers, relu, image
        As for :func:`~.parts.join_parts`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FrontEndError, ModelError, PatchError
        If the stream or the shapes are invalid, or the layers do not match.
    """
    if not isinstance(shapes, Mapping):
        shapes = read_shapes(shapes)
    return join_parts(read_parts(Path(path).read_bytes(), shapes), layers=layers, relu=relu,
                      image=image)


def read_parts(content: bytes, shapes: Mapping[str, LayerShape]) -> dict[str, Part]:
    """Read all layers of a stream.

    Raises
    ------
    FrontEndError
        If a byte is missing, left over or invalid; the message names the layer and the offset.
    """
    if not shapes:
        raise FrontEndError("shapes must describe one or more layers")
    stream = _Stream(content)
    counts = stream.take("<u4", len(shapes), "counts").tolist()
    parts, reuse = {}, ReuseLimit()
    for (name, shape), count in zip(shapes.items(), counts):
        with at(f"layer {name!r}"):
            reuse.reserve((shape.shape[0], math.prod(shape.shape[1:]) * shape.groups), count)
            parts[name] = _read_part(stream, name, shape, count)
    if stream.offset < len(content):
        raise FrontEndError(f"offset {stream.offset}: stream must end after the last layer, but "
                            f"{len(content) - stream.offset} bytes are left: check the shapes")
    return parts


class _Stream:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.offset = 0

    def take(self, dtype: str, count: int, what: str) -> NDArray[Any]:
        size = count * np.dtype(dtype).itemsize
        if size > len(self.content) - self.offset:
            raise FrontEndError(f"offset {self.offset}: {what} must have {size} bytes, not the "
                                f"{len(self.content) - self.offset} left: check the shapes of this "
                                "layer and of those before")
        taken = np.frombuffer(self.content, dtype, count, self.offset)
        self.offset += size
        return taken

    def take_finite(self, count: int, what: str) -> NDArray[np.float64]:
        start = self.offset
        numbers = self.take("<f4", count, what).astype(np.float64)
        if not (finite := np.isfinite(numbers)).all():
            first = int(np.argmin(finite))
            raise FrontEndError(f"offset {start + 4 * first}: {what} must be finite, not "
                                f"{numbers[first]}")
        return numbers

    def take_nibbles(self, count: int, what: str) -> NDArray[np.uint8]:
        packed = self.take("u1", -(-count // 2), what)
        nibbles = np.stack([packed & 15, packed >> 4], axis=1).ravel()
        if nibbles[count:].any():
            raise FrontEndError(f"offset {self.offset - 1}: high half of the last byte of the "
                                f"{what} must be 0, not {nibbles[count]}, as the count is odd")
        return nibbles[:count]


def _read_part(stream: _Stream, name: str, shape: LayerShape, count: int) -> Part:
    is_wide = "conv" in name
    start = stream.offset
    codebook = stream.take_finite(256 if is_wide else 16, "codebook")
    if codebook[0] != 0:
        raise FrontEndError(f"offset {start}: first entry of the codebook must be 0, the weight of "
                            f"entries not stored, not {codebook[0]}")
    n_rows = shape.shape[0]
    n_cols = math.prod(shape.shape[1:])
    bias = stream.take_finite(n_rows, "bias")
    codes = stream.take("u1", count, "codes") if is_wide else stream.take_nibbles(count, "codes")
    start = stream.offset
    runs = stream.take_nibbles(count, "runs")
    places = np.cumsum(runs.astype(np.int64) + 1) - 1
    if count and places[-1] >= n_rows * n_cols:
        first = int(np.argmax(places >= n_rows * n_cols))
        raise FrontEndError(f"offset {start + first // 2}: runs must end within the "
                            f"{n_rows * n_cols} weights, but entry {first} is at weight "
                            f"{places[first]}")
    values = codebook[codes]
    stored = values != 0    # padding has code 0
    weight = csr_array((values[stored], np.divmod(places[stored], n_cols)), shape=(n_rows, n_cols))
    return Part(weight.tocsc(), bias, shape.geometry)
