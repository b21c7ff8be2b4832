"""External data of ONNX models: weights in separate files, as written by PyTorch's exporter."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx

from eie_hdl.files import protect

from .common import FrontEndError, at

__all__ = ["load_data", "tensors"]


def tensors(model: "onnx.ModelProto") -> Iterator["onnx.TensorProto"]:
    """Iterate over the constants of the graph, and the parts of sparse ones."""
    yield from model.graph.initializer
    sparse = list(model.graph.sparse_initializer)
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute)
        sparse += [attribute.sparse_tensor for attribute in node.attribute
                   if attribute.HasField("sparse_tensor")]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def load_data(model: "onnx.ModelProto", folder: Path) -> None:
    """Load the external data of a model from its folder.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        Model from any source, modified in place. Only files directly in `folder` are read, and no
        byte twice, so that the model is no larger than the files.

    Raises
    ------
    FrontEndError
        If a file is missing, in another folder, or too short.
    OutputError
        If a file is also an output of the command, which would replace it.
    """
    taken: Counter[Path] = Counter()
    for tensor in tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        with at(f"constant {tensor.name!r}"):
            declared = {entry.key: entry.value for entry in tensor.external_data}
            path = folder / declared.get("location", "")
            if path.name != declared.get("location") or path.is_symlink() or not path.is_file():
                raise FrontEndError("must be in a file in the folder of the model, not in "
                                    f"{declared.get('location')!r}")
            if path not in taken:
                protect(path)
            size = path.stat().st_size
            try:
                start = int(declared.get("offset", 0))
                length = int(declared.get("length", size - start))
            except ValueError as error:
                raise FrontEndError(f"offset and length must be integers: {error}") from error
            taken[path] += length
            if start < 0 or length < 0 or start + length > size or taken[path] > size:
                raise FrontEndError(f"must have separate bytes within the {size} of {path.name}, "
                                    f"not {length} from offset {start}")
            with path.open("rb") as file:
                file.seek(start)
                tensor.raw_data = file.read(length)
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
