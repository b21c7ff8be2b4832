"""Folders of builds: files listed with their checksums in a manifest, replaced together."""

import contextlib
import dataclasses
import hashlib
import json
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from eie_hdl.config import LATER_PARAMETERS, EIEConfig
from eie_hdl.files import staged
from eie_hdl.format import FORMAT_VERSION, image_file

from .json_file import SCHEMA_VERSION, JsonError, check_fields, parse_json, write_json

__all__ = ["MANIFEST", "BuildError", "manifest_checksum", "parse_config", "read_kind",
           "read_listed", "read_manifest", "replaced", "write_manifest"]

#: File with the description of a build, and the checksums of its other files.
MANIFEST = "manifest.json"

#: Kinds of builds, each of which may replace the other, and what they are of.
_KINDS = {"eie-build": "a chain of layers", "eie-graph-build": "a graph"}

#: Files of builds besides the manifest.
_OWNED = re.compile(r"vectors\.npz|network\.npz|(load_\d+/)?[^/\\]+" + re.escape(image_file("")))


class BuildError(ValueError):
    """Missing, changed or incompatible build; the message names the file."""


@contextlib.contextmanager
def replaced(folder: Path, kind: str, files: Collection[str]) -> Iterator[Path]:
    """Make a folder whose files are moved to `folder` at the end of the body.

    Files of an earlier build in the folder are removed, all others are kept. If this is
    interrupted, the folder holds the earlier build, or one that :func:`read_manifest` refuses.

    Parameters
    ----------
    kind : :class:`str`
        Kind of the build.
    files : collection of :class:`str`
        All files that the body writes besides the manifest.

    Raises
    ------
    BuildError
        If the folder is not of a build but has a file that would be replaced.
    OSError
        If a file cannot be written.
    """
    former = _owned_files(folder)
    for name in sorted(set(files) - former):
        if (folder / name).exists() or (folder / name).is_symlink():
            raise BuildError(f"{folder / name} must be of an earlier build, to be replaced, "
                             f"but its {MANIFEST} does not list it: choose another folder, or "
                             f"remove it")
    with staged(folder, last=MANIFEST) as stage:
        yield stage
        # An interruption leaves this manifest, as the whole one is moved last.
        write_json(folder / MANIFEST, {"kind": kind, "incomplete": True,
                                       "files": dict.fromkeys(sorted({*former, *files}))})
        for name in former - set(files):
            (folder / name).unlink(missing_ok=True)
            if "/" in name:
                with contextlib.suppress(OSError):    # another file in it
                    (folder / name).parent.rmdir()


def _owned_files(folder: Path) -> set[str]:
    """Files of the build in a folder, complete or not, which another build may replace."""
    path = folder / MANIFEST
    if not path.exists() and not path.is_symlink():
        return set()
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        kind, files = manifest["kind"], set(manifest["files"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        kind, files = "", set()
    if kind not in list(_KINDS) or path.is_symlink():
        raise BuildError(f"{path} must be the manifest of an earlier build, to be replaced, not "
                         f"another file: choose another folder, or remove it")
    return {name for name in files if isinstance(name, str) and _OWNED.fullmatch(name)}


def write_manifest(folder: Path, kind: str, config: EIEConfig, fields: Mapping[str, Any]) -> None:
    """Write the manifest of a build, with its checksum."""
    manifest = {"schema_version": SCHEMA_VERSION, "kind": kind, "format": FORMAT_VERSION,
                "config": config.as_dict(), **fields}
    write_json(folder / MANIFEST, manifest | {"checksum": manifest_checksum(manifest)})


def manifest_checksum(manifest: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of a manifest without its checksum."""
    rest = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_manifest(path: Path, kind: str) -> dict[str, Any]:
    """Read the manifest of a build; check its kind, versions and checksum.

    Raises
    ------
    BuildError
        If it is missing, changed, incomplete, of another kind or version.
    """
    manifest = _read_object(path)
    found = manifest.get("kind")
    if type(found) is str and found != kind and found in _KINDS:
        raise BuildError(f"{path.parent} must be the build of {_KINDS[kind]}, not of "
                         f"{_KINDS[found]}")
    if found != kind:
        raise BuildError(f"{path} must be the manifest of a build, with kind {kind!r}")
    if manifest.get("incomplete"):
        raise BuildError(f"{path.parent} must contain a whole build, but `eie compile` was "
                         f"interrupted while it wrote there: compile again")
    if manifest.get("format") != FORMAT_VERSION:
        raise BuildError(f"{path}: format must be {FORMAT_VERSION}, not "
                         f"{reprlib.repr(manifest.get('format'))}: compile again")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise BuildError(f"{path}: schema_version must be {SCHEMA_VERSION}, not "
                         f"{reprlib.repr(manifest.get('schema_version'))}: compile the network "
                         f"again")
    if manifest.get("checksum") != manifest_checksum(manifest):
        raise BuildError(f"{path} must be unchanged, but its checksum differs: "
                         f"compile again")
    return manifest


def read_kind(folder: str | Path) -> Any:
    """Return the kind of the build in a folder, which may be wrong.

    Raises
    ------
    BuildError
        If there is no manifest, or it is not JSON.
    """
    return _read_object(Path(folder) / MANIFEST).get("kind")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        manifest = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BuildError(f"{path.parent} must be a folder that `eie compile` writes, but has no "
                         f"{path.name}") from error
    except OSError as error:
        raise BuildError(f"{path} must be readable: {error.strerror}") from error
    except JsonError as error:
        raise BuildError(f"{path} {error}") from error
    return manifest if isinstance(manifest, dict) else {}


def parse_config(manifest: Mapping[str, Any]) -> EIEConfig:
    """Parse the machine of a manifest.

    Raises
    ------
    ConfigError, JsonError
        If a parameter is missing, unknown or invalid.
    """
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(EIEConfig)}
    # Builds of the same format may be older than mac_stages, too.
    needed = {name: kinds.pop(name) for name in EIEConfig().interface
              if name not in LATER_PARAMETERS}
    return EIEConfig.from_mapping(check_fields("config", manifest.get("config"), needed, kinds))


def read_listed(folder: Path, name: str, sums: Mapping[str, str]) -> bytes:
    """Read a file of a build and verify its checksum.

    Raises
    ------
    BuildError
        If it cannot be read, or has changed.
    """
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise BuildError(f"{folder / name} must be readable: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sums.get(name):
        raise BuildError(f"{folder / name} must be unchanged, but its checksum differs "
                         f"from that in {MANIFEST}: compile again")
    return content
