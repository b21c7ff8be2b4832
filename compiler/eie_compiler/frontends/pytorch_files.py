"""Files of state dicts: those of `torch.save`, and .safetensors."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from ..model import Model
from .common import FrontEndError
from .pytorch import join_state
from .tensors import layer_names

__all__ = ["check_stored", "read_safetensors", "read_state_dict"]

_PROBLEM = ("must be a state dict of tensors, as torch.save(module.state_dict(), path) writes")

#: First bytes of a pickle, in which PyTorch wrote its files before version 1.6.
_PICKLE = b"\x80"

#: Member of an archive -> what the archive is, and the remedy.
_ARCHIVES = {
    r"/code/": "TorchScript: torch.save(torch.jit.load(path).state_dict(), path) writes the state "
               "dict",
    r"/archive_format$|serialized_exported_program\.json$":
        "an ExportedProgram: name it .pt2",
    r"\.npy$": "an .npz archive of NumPy: name it so",
}

#: Preferred names of a state dict among several in a checkpoint.
_CONTAINERS = ("state_dict", "model_state_dict", "model", "net")


def read_safetensors(path: str | Path, **options: Any) -> Model:
    """Read a state dict, as :func:`~.pytorch.from_state_dict`, from a .safetensors file.

    The file does not keep the order of its tensors: they are sorted by name, with numbers in names
    by value. Names of layers that differ in more than their numbers do not give an order.
    """
    Path(path).open("rb").close()    # errors of safetensors do not name the file
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise FrontEndError(f"must be an intact safetensors file: {error}") from error
    state = {key: tensors[key] for key in sorted(tensors, key=_by_number)}
    names = layer_names(state)
    if "layers" not in options and len({re.sub("[0-9]+", "#", name) for name in names}) > 1:
        raise FrontEndError("order of the layers must be given with layers=NAMES: a safetensors "
                            f"file does not keep it, and the names {', '.join(names)} are not "
                            "numbered alike")
    return join_state(state, "of the numbers in the names", **options)


def read_state_dict(path: str | Path, **options: Any) -> Model:
    """Read a state dict, as :func:`~.pytorch.from_state_dict`, from a file of `torch.save`.

    No code in the file is run. A checkpoint may hold the state dict among other objects.
    """
    try:
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (FrontEndError, OSError):
        raise
    except Exception as error:    # corrupt bytes can raise any exception
        raise FrontEndError(_describe_contents(path)) from error
    state, notes = _find_state(state)
    return join_state(state, "of the keys", notes=notes, **options)


def _by_number(key: str) -> list[Any]:
    parts: list[Any] = re.split("0*([0-9]+)", key)
    parts[1::2] = [(len(number), number) for number in parts[1::2]]
    return parts


def _check_archive(path: str | Path) -> None:
    """Check that a file is one of `torch.save`, of which no byte would be inflated."""
    with Path(path).open("rb") as file:
        if file.read(1) == _PICKLE:
            raise FrontEndError(f"{_PROBLEM} since PyTorch 1.6, not a plain pickle: "
                                "torch.save(torch.load(path, weights_only=True), path) converts a "
                                "file of an earlier version")
    with zipfile.ZipFile(path) as archive:
        for pattern, what in _ARCHIVES.items():
            if any(re.search(pattern, member.filename) for member in archive.infolist()):
                raise FrontEndError(f"{_PROBLEM}, not {what}")
        check_stored(archive, path)


def check_stored(archive: zipfile.ZipFile, path: str | Path) -> None:
    """Check that no byte of an archive of PyTorch would be inflated, or read twice."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members) \
            or sum(member.file_size for member in members) > Path(path).stat().st_size:
        raise FrontEndError("must not be deflated nor have overlapping parts, unlike files of "
                            "torch.save")


def _describe_contents(path: str | Path) -> str:
    """Describe a file that does not load without code."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:    # corrupt bytes can raise any exception
        names = []
    if not names:
        return f"{_PROBLEM}, and intact"
    return (f"{_PROBLEM}, without objects that are code when they are loaded, such as "
            f"{', '.join(sorted(names)[:3])}: save only the state dict, where the file is trusted")


def _find_state(content: Any) -> tuple[Mapping[str, Any], list[str]]:
    """Find the state dict in a checkpoint; note those that are not used."""
    notes: list[str] = []
    while isinstance(content, Mapping):
        found = {str(key): value for key, value in content.items() if _holds_tensors(value)}
        if not found:
            return content, notes
        name = next((name for name in _CONTAINERS if name in found), list(found)[0])
        others = [other for other in found if other != name]
        if others and name not in _CONTAINERS:
            raise FrontEndError(f"must contain one state dict, not those of {', '.join(found)}: "
                                f"torch.save(torch.load(path)[{name!r}], path) writes one")
        if others:
            notes.append(f"{name} was taken from the checkpoint, not {', '.join(others)}")
        content = found[name]
    raise FrontEndError(f"{_PROBLEM}, not {type(content).__name__}")


def _holds_tensors(value: Any) -> bool:
    """Check if a value is a state dict, or has one in it; the states of an optimizer have not."""
    return isinstance(value, Mapping) and any(
        isinstance(key, str) and (isinstance(part, torch.Tensor) or _holds_tensors(part))
        for key, part in value.items())
