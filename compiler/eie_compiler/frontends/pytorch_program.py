"""Front end for .pt2 files of torch.export.save, whose parts are checked before PyTorch sees them.

`torch.export.load` runs code of a file: it loads pickles and compiled libraries, evaluates sizes as
Python, and calls any function that a node names. Here, the description of the graph is copied
field by field, with names, sizes that are arithmetic and operations of PyTorch's aten library only,
and weights are read as plain bytes.
"""

import json
import keyword
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..files.json_file import JsonError, parse_json
from ..graph.graph import Graph
from ..model import Model
from .common import FrontEndError, ReuseLimit, at
from .pytorch_export import from_program, quiet, reason_of
from .pytorch_files import check_stored
from .pytorch_work import check_work

__all__ = ["read_program"]

#: Members of an archive that are read, or not needed.
_MEMBERS = re.compile(r"models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)|"
                      r"data/constants/(tensor_\d+|model_constants_config\.json)|"
                      r"data/sample_inputs/model\.pt|extra/.*|archive_(format|version)|byteorder|"
                      r"\.data/.*")

_REMEDY = "save it with torch.export.save of an installed PyTorch 2.9 or later"

#: Operations that nodes may name. Functions of Python are those of sizes.
_TARGETS = re.compile(
    r"torch\.ops\.aten\.(?!from_file)(?P<operation>[a-z]\w*|_unsafe_view|_to_copy|_assert_\w+)\."
    r"(?P<overload>[A-Za-z]\w*)|"
    r"_operator\.(add|sub|mul|floordiv|mod|neg|getitem|eq|ne|lt|le|gt|ge|truediv)|"
    r"torch\.sym_(max|min|sum|not|float|int)")

#: Kinds of arguments and of values.
_KINDS = {f"as_{kind}" for kind in (
    "none tensor tensors int ints float floats bool bools string sym_int sym_ints sym_bool "
    "sym_bools sym_float sym_floats scalar_type memory_format layout device optional_tensor "
    "optional_tensors expr name").split()}

#: Kinds of inputs and outputs.
_SPECS = {"parameter", "buffer", "tensor_constant", "user_input", "user_output", "buffer_mutation"}

#: Equations of sums (einsum), and names of modes.
_STRING = re.compile(r"[\w.,> \-]{0,200}")

#: Size of one name or number, and of others.
_ONE_SIZE = re.compile(
    r"Symbol\('[su]\d{1,6}'(, (positive|nonnegative|integer)=True)*\)|Integer\(-?\d{1,18}\)|"
    r"[su]\d{1,6}\b|-?\b\d{1,18}\b")
_SIZES = re.compile(r"((Add|Mul|Max|Min|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv)\(|"
                    r"\*(?!\*)|[ ,()+/-])*")

_TYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64,
          torch.int16, torch.int8, torch.uint8, torch.bool}


def read_program(path: str | Path, **options: Any) -> Model | Graph:
    """Read an exported program, as :func:`~.pytorch_export.from_program`. No code in it is run."""
    program = _load(path)
    check_work(program)
    return from_program(program, **options)


def _load(path: str | Path) -> "torch.export.ExportedProgram":
    try:
        with zipfile.ZipFile(path) as archive:
            # Of an incomplete file, zipfile finds an archive that is a member.
            if min((member.header_offset for member in archive.infolist()), default=0):
                raise zipfile.BadZipFile("File is not a zip file")
            check_stored(archive, path)
            members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
            if other := next((name for name in members if not _MEMBERS.fullmatch(name)), None):
                raise FrontEndError(f"must have only one graph and its weights, not {other}: "
                                    f"{_REMEDY}, without compiled code")
            content = {name: archive.read(member) for name, member in members.items()
                       if not name.startswith(("extra/", "data/sample_inputs/", ".data/"))}
        if content.get("byteorder", b"little") != b"little":
            raise FrontEndError("weights must be little endian")
        given = parse_json(content["models/model.json"])
        cleaned = _clean_program(given)
        weights, constants = (_read_tensors(content, kind) for kind in ("weights", "constants"))
    except (FrontEndError, FileNotFoundError):
        raise
    except OSError as error:
        raise FrontEndError(f"must be an intact archive: {error}") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise FrontEndError("must be an intact archive of torch.export.save, not a damaged or "
                            f"incomplete file: {error}; copy it or save it again") from error
    except (KeyError, TypeError, AttributeError, ValueError, JsonError, NotImplementedError,
            RuntimeError) as error:
        raise FrontEndError(f"must be an intact archive of torch.export.save: {error!r}; {_REMEDY}"
                            ) from error
    return _deserialise(cleaned, weights, constants)


def _deserialise(program: Mapping[str, Any], weights: Mapping[str, "torch.Tensor"],
                 constants: Mapping[str, "torch.Tensor"]) -> "torch.export.ExportedProgram":
    """Make a program of the parts that have been checked."""
    from torch._export.serde import schema
    from torch._export.serde.serialize import ExportedProgramDeserializer, _bytes_to_dataclass

    try:
        with quiet():
            made = _bytes_to_dataclass(schema.ExportedProgram, json.dumps(program).encode())
            return ExportedProgramDeserializer().deserialize(
                made, dict(weights), dict(constants))
    except Exception as error:    # of any inconsistency
        raise FrontEndError(f"must be a consistent program: {reason_of(error)}; {_REMEDY}"
                            ) from error


def _clean_program(given: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the description of a program, without what it does not need."""
    module = given["graph_module"]
    graph, signature = (_clean(module[name]) for name in ("graph", "signature"))
    names = {}
    for field, kind in (("input_specs", "user_input"), ("output_specs", "user_output")):
        for spec in signature[field]:
            if not spec.keys() <= _SPECS:
                raise FrontEndError(f"inputs and outputs must be tensors, not {', '.join(spec)}")
        names[kind] = [spec[kind]["arg"]["as_tensor"]["name"] for spec in signature[field]
                       if kind in spec]
    trees: tuple[Any, Any] = (((0,) * len(names["user_input"]), {}),
                              (0,) * len(names["user_output"]))
    inputs, outputs = (pytree.treespec_dumps(pytree.tree_structure(tree)) for tree in trees)
    call = {"fqn": "", "signature": {
        "inputs": [], "outputs": [], "in_spec": inputs, "out_spec": outputs,
        "forward_arg_names": names["user_input"]}}
    return {"graph_module": {"graph": graph, "signature": signature, "module_call_graph": [call],
                             "metadata": {}, "treespec_namedtuple_fields": {}},
            **{name: _clean(given[name])
               for name in ("opset_version", "range_constraints", "schema_version")},
            "verifiers": ["TRAINING"], "torch_version": "", "guards_code": []}


def _clean(value: Any, key: str = "") -> Any:
    """Copy JSON whose texts are all harmless; `key` is the name of the field."""
    if isinstance(value, dict):
        if key == "device":
            return {"type": "cpu", "index": None}
        for name in value:
            if name.startswith("as_") and name not in _KINDS \
                    or not re.fullmatch(r"[A-Za-z_][\w.]{0,199}", name):
                raise FrontEndError(f"fields must be of numbers, tensors and sizes, not {name!r}")
        return {name: _metadata(part) if name == "metadata" else _clean(part, name)
                for name, part in value.items()}
    if isinstance(value, list):
        return [_clean(part, key) for part in value]
    if isinstance(value, str):
        _check_text(key, value)
    return value


def _check_text(key: str, text: str) -> None:
    if key == "target" and not _is_operation(text):
        raise FrontEndError(f"operations must be those of torch.ops.aten, not {text!r}: decompose "
                            "it with ExportedProgram.run_decompositions, or write it with "
                            "operations of torch")
    if key == "expr_str" and (
            len(text) > 1000 or not _SIZES.fullmatch(_ONE_SIZE.sub("", text))):
        raise FrontEndError(f"sizes must be sums, products and quotients of sizes, not {text!r}")
    if key in ("name", "as_name") and text and (not re.fullmatch(r"[A-Za-z_]\w{0,199}", text)
                                                or keyword.iskeyword(text)):
        raise FrontEndError(f"names of tensors must be identifiers, not {text!r}")
    if key == "as_string" and not _STRING.fullmatch(text):
        raise FrontEndError(f"texts must be equations or names of modes, not {text!r}")
    if key not in ("target", "expr_str", "as_string") \
            and not re.fullmatch(r"[\w.\-]{0,200}", text):
        raise FrontEndError(f"{key} must be letters, digits, dots and hyphens, not {text!r}")


def _is_operation(target: str) -> bool:
    """Check if a node names a function of tensors that the dispatcher runs.

    Others change the state of PyTorch or write files; attributes of packages are no operations.
    """
    match = _TARGETS.fullmatch(target)
    if match is None or match["operation"] is None:
        return match is not None
    packet = getattr(torch.ops.aten, match["operation"], None)
    overload = getattr(packet, match["overload"], None)
    if not isinstance(overload, torch._ops.OpOverload):
        return False
    schema = overload._schema
    return torch._C._dispatch_has_kernel(overload.name()) and any(
        "Tensor" in str(each.type) for each in (*schema.arguments, *schema.returns))


def _metadata(given: Any) -> dict[str, str]:
    """Keep the modules of a node, which name it."""
    stack = given.get("nn_module_stack", "")
    safe = isinstance(stack, str) and re.fullmatch(r"[\w.,;@\[\]' ]{1,2000}", stack)
    return {"nn_module_stack": stack} if safe else {}


def _read_tensors(content: Mapping[str, bytes], kind: str) -> dict[str, "torch.Tensor"]:
    """Read the weights, or the constants, as plain bytes."""
    config = parse_json(content[f"data/{kind}/model_{kind}_config.json"])["config"]
    reuse = ReuseLimit()
    made = {}
    for name, payload in config.items():
        with at(f"{kind} {name}"):
            if payload["use_pickle"] is not False or payload["path_name"] is None:
                raise FrontEndError("must be plain bytes, not a pickle, which can run code: save "
                                    "dense tensors")
            made[name] = _tensor(content[f"data/{kind}/{payload['path_name']}"],
                                 payload["path_name"], payload["tensor_meta"], reuse)
            if payload["is_param"]:
                made[name] = torch.nn.Parameter(made[name], requires_grad=False)
    return made


def _tensor(data: bytes, path: str, meta: Mapping[str, Any], reuse: ReuseLimit) -> "torch.Tensor":
    from torch._export.serde.serialize import _SERIALIZE_TO_TORCH_DTYPE

    kind = _SERIALIZE_TO_TORCH_DTYPE.get(meta["dtype"])
    sizes, strides = ([part["as_int"] for part in meta[name]] for name in ("sizes", "strides"))
    start = meta["storage_offset"]["as_int"]
    if kind not in _TYPES or any(type(n) is not int or not 0 <= n < 1 << 40
                                 for n in (*sizes, *strides, start)) or len(sizes) != len(strides):
        raise FrontEndError(f"must be a tensor of plain numbers, not {kind} of shape {sizes}")
    if 0 in sizes:
        return torch.empty(sizes, dtype=kind)
    n = math.prod(sizes)
    available = len(data) // kind.itemsize
    if start + sum((size - 1) * stride for size, stride in zip(sizes, strides)) >= available:
        raise FrontEndError(f"must have its {n} numbers within the {available} that are stored")
    reuse.take(path, n, available)
    flat = torch.frombuffer(bytearray(data), dtype=kind, count=available)
    return flat.as_strided(sizes, strides, start).clone()
