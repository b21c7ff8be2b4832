"""Weights that a model in ONNX keeps in a file beside it, as PyTorch's exporter does."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx

from .common import FrontEndError, at

__all__ = ["load_data", "tensors"]


def tensors(model: "onnx.ModelProto") -> Iterator["onnx.TensorProto"]:
    """All constants of the graph."""
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute)


def load_data(model: "onnx.ModelProto", folder: Path) -> None:
    """Put into the model what it says of files in its folder.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        From anywhere. It reads no file but those in `folder` itself, and no byte of them twice, so
        that it becomes no greater than they are.

    Raises
    ------
    FrontEndError
        If a file is not there, in another folder, or too short.
    """
    taken: Counter[Path] = Counter()
    for tensor in tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        with at(f"constant {tensor.name!r}"):
            said = {entry.key: entry.value for entry in tensor.external_data}
            path = folder / said.get("location", "")
            if path.name != said.get("location") or path.is_symlink() or not path.is_file():
                raise FrontEndError("must be in a file in the folder of the model, not in "
                                    f"{said.get('location')!r}")
            size = path.stat().st_size
            try:
                start = int(said.get("offset", 0))
                length = int(said.get("length", size - start))
            except ValueError as error:
                raise FrontEndError(f"offset and length must be integers: {error}") from error
            taken[path] += length
            if start < 0 or length < 0 or start + length > size or taken[path] > size:
                raise FrontEndError(f"must have bytes of its own in the {size} of {path.name}, not "
                                    f"{length} from offset {start}")
            with path.open("rb") as file:
                file.seek(start)
                tensor.raw_data = file.read(length)
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
