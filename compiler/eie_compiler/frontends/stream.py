"""The format in which the compressed SqueezeNet and AlexNet were published with Deep Compression.

All is little endian. First, one uint32 for each layer: its stored entries. Then, layer after layer:
the codebook (float32; 256 entries if the name of the layer contains ``conv``, else 16), the bias
(float32, one for each output), the codes (one a byte with 256 entries, else two, the low nibble
first), and the zero runs (two a byte, the low nibble first). A run counts the zeros before an entry
in the flattened array, row by row; code 0 with run 15 goes 16 places further. Names and shapes of
the layers are not in the file.
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..model import Model
from ..network import MAX_SIDE
from .chain import Geometry
from .common import FrontEndError, at
from .parts import Part, join_parts

__all__ = ["LayerShape", "read_parts", "read_shapes", "read_stream"]


@dataclasses.dataclass(frozen=True)
class LayerShape:
    """What the file does not say of a layer.

    Parameters
    ----------
    shape : (n_out, n_in) or (n_out, channels of a group, kernel height, kernel width)
        Of the weights.
    stride, padding, groups : :class:`int`
        Of a convolution, along both dimensions.

    Raises
    ------
    FrontEndError
        If one of them is out of range.
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
                raise FrontEndError(f"{name} must be an integer of {low} or more, not {number!r}")
        if (n_inputs := math.prod(self.shape[1:]) * self.groups) > MAX_SIDE:
            raise FrontEndError(f"shape must make at most {MAX_SIDE} inputs, not {n_inputs}")

    @property
    def geometry(self) -> Geometry | None:
        """Of a convolution."""
        if len(self.shape) == 2:
            return None
        return Geometry.simple(self.shape[2:], stride=self.stride, padding=self.padding,
                               groups=self.groups)


def read_shapes(path: str | Path) -> dict[str, LayerShape]:
    """Read the names and shapes of the layers, in the order of the stream, from a TOML file.

    It has a table for each layer, of the fields of :class:`LayerShape`, such as
    ``fc6.shape = [4096, 9216]``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FrontEndError
        If it says anything else.
    """
    with at(path):
        try:
            tables = tomllib.loads(Path(path).read_bytes().decode("utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise FrontEndError(f"must be TOML: {error}") from error
        fields = [field.name for field in dataclasses.fields(LayerShape)]
        shapes = {}
        for name, table in tables.items():
            with at(f"layer {name!r}"):
                if not isinstance(table, dict) or "shape" not in table or set(table) - set(fields):
                    raise FrontEndError(f"must have a shape and nothing but {', '.join(fields)}")
                shape = table["shape"]
                shapes[name] = LayerShape(**{
                    **table, "shape": tuple(shape) if isinstance(shape, list) else shape})
    return shapes


def read_stream(path: str | Path, *, shapes: Mapping[str, LayerShape] | str | Path,
                layers: Sequence[str] | None = None, relu: Sequence[bool] | None = None,
                image: Sequence[int] | None = None) -> Model:
    """Read layers that follow one another.

    Parameters
    ----------
    path : path
        Of the stream.
    shapes : mapping or path
        Name -> shape of each layer in the stream, in its order; or the file for
        :func:`read_shapes`.
    layers, relu, image
        As for :func:`~.parts.join_parts`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FrontEndError, ModelError, PatchError
        If the stream or the shapes are broken, or the layers do not fit together.
    """
    if not isinstance(shapes, Mapping):
        shapes = read_shapes(shapes)
    return join_parts(read_parts(Path(path).read_bytes(), shapes), layers=layers, relu=relu,
                      image=image)


def read_parts(content: bytes, shapes: Mapping[str, LayerShape]) -> dict[str, Part]:
    """All layers of a stream.

    Raises
    ------
    FrontEndError
        If a byte is missing, left over, or cannot be what it should; the message tells the layer
        and the offset.
    """
    if not shapes:
        raise FrontEndError("shapes must be those of one layer or more")
    stream = _Stream(content)
    counts = stream.take("<u4", len(shapes), "counts").tolist()
    parts = {}
    for (name, shape), count in zip(shapes.items(), counts):
        with at(f"layer {name!r}"):
            parts[name] = _read_part(stream, name, shape, count)
    if stream.offset < len(content):
        raise FrontEndError(f"offset {stream.offset}: stream must end behind the last layer, but "
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
                                f"{len(self.content) - self.offset} that are left: check the "
                                "shapes of this layer and of those before")
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
                                f"{what} must be 0, not {nibbles[count]}, for their count is odd")
        return nibbles[:count]


def _read_part(stream: _Stream, name: str, shape: LayerShape, count: int) -> Part:
    is_wide = "conv" in name
    start = stream.offset
    codebook = stream.take_finite(256 if is_wide else 16, "codebook")
    if codebook[0] != 0:
        raise FrontEndError(f"offset {start}: first entry of the codebook must be 0, the weight of "
                            f"what is not stored, not {codebook[0]}")
    n_rows = shape.shape[0]
    n_cols = math.prod(shape.shape[1:])
    bias = stream.take_finite(n_rows, "bias")
    codes = stream.take("u1", count, "codes") if is_wide else stream.take_nibbles(count, "codes")
    start = stream.offset
    runs = stream.take_nibbles(count, "runs")
    places = np.cumsum(runs.astype(np.int64) + 1) - 1
    if count and places[-1] >= n_rows * n_cols:
        first = int(np.argmax(places >= n_rows * n_cols))
        raise FrontEndError(f"offset {start + first // 2}: runs must stay in the {n_rows * n_cols} "
                            f"weights, but entry {first} is number {places[first]}")
    values = codebook[codes]
    stored = values != 0    # paddings are not
    weight = csr_array((values[stored], np.divmod(places[stored], n_cols)), shape=(n_rows, n_cols))
    return Part(weight.tocsc(), bias, shape.geometry)
