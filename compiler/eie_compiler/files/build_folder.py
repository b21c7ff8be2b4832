"""Build folders: images, placement of vectors, and manifest; docs/build-folder.md."""

import dataclasses
import hashlib
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ConfigError, EIEConfig
from eie_hdl.files import open_output, staged, write_file
from eie_hdl.format import FORMAT_VERSION, Image, Layouts, image_file

from ..network import NetworkError
from ..patches import PatchError, Patches
from ..preprocessing import FixedPreprocessing, PreprocessingError
from ..vectors import Vector, first_rows, output_columns
from .build_manifest import (
    check_columns,
    check_first_descriptor,
    check_manifest,
    check_memory,
    check_rows,
)
from .hex_images import ImageError, from_hex, to_hex
from .json_file import SCHEMA_VERSION, JsonError, check_fields, parse_json, write_json
from .stored_network import parse_patches
from .untrusted_npz import ArchiveError, read_arrays

__all__ = ["MANIFEST", "BuildError", "StoredBuild", "manifest_checksum", "read_build",
           "write_build", "write_images"]

#: File with the description of a build, and the checksums of its other files.
MANIFEST = "manifest.json"

_KIND = "eie-build"
_VECTORS = "vectors.npz"

#: Arrays beside the columns of vectors, and fields of the preprocessing.
_PREPROCESSING = {f"preprocessing_{field.name}": field.name
                  for field in dataclasses.fields(FixedPreprocessing)}


class BuildError(ValueError):
    """Missing, changed or incompatible build; the message names the file."""


@dataclasses.dataclass(frozen=True, eq=False)
class StoredBuild:
    """Contents of a build folder.

    Attributes
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine that the build is for.
    images : :class:`dict` of :class:`str` to uint64, n_words × n_beats
        Contents of each memory instance, as from :func:`~eie_hdl.packing.pack`; the remaining
        words are zero. Builds of one load share this object.
    input : :class:`Vector`
        Placement of the inputs.
    input_words, input_stride : :class:`int`
        Rows of an input buffer, and rows from the first buffer to the second; 0 if there is one.
    outputs : :class:`tuple` of :class:`Vector`
        Vectors sent to the host, in this order.
    layers : :class:`tuple` of :class:`Vector`
        Results of every layer, sent to the host or not.
    patches : :class:`~.patches.Patches`, optional
        For a convolution: the patches that inputs are cut from.
    preprocessing : :class:`~.preprocessing.FixedPreprocessing`, optional
        Offset and scale of each input, in integers.
    nonnegative_inputs : :class:`bool`
        True if words of inputs must not be negative, as the formats rely on it.
    first_descriptor : :class:`int`
        Descriptor at which the program starts.
    report : :class:`dict`
        Build report: sizes, formats, bounds and entry balance; see docs/build-folder.md.
    """

    config: EIEConfig
    images: dict[str, NDArray[np.uint64]]
    input: Vector
    input_words: int
    input_stride: int
    outputs: tuple[Vector, ...]
    report: dict[str, Any]
    layers: tuple[Vector, ...] = ()
    patches: Patches | None = None
    preprocessing: FixedPreprocessing | None = None
    nonnegative_inputs: bool = False
    first_descriptor: int = 0

    @property
    def program(self) -> NDArray[np.uint64]:
        """Descriptors from the first one of the program."""
        return self.images["ccu.program"][self.first_descriptor:]

    @property
    def input_buffers(self) -> int:
        """Number of input buffers: 1 or 2."""
        return 2 if self.input_stride else 1


def write_build(folder: str | Path, build: StoredBuild) -> None:
    """Write the images, the placement of the vectors, and the manifest.

    Files of an earlier build in the folder are removed, all others are kept. If this is
    interrupted, the folder holds the earlier build, or one that :func:`read_build` refuses.

    Raises
    ------
    BuildError
        If the folder is not of a build but has a file that would be replaced.
    OSError
        If a file cannot be written.
    """
    folder = Path(folder)
    former = _owned_files(folder)
    files = {_VECTORS, *map(image_file, _instances(build.config))}
    for name in sorted(files - former):
        if (folder / name).exists() or (folder / name).is_symlink():
            raise BuildError(f"{folder / name} must be of an earlier build, to be replaced, "
                             f"but its {MANIFEST} does not list it: choose another folder, or "
                             f"remove it")
    with staged(folder, last=MANIFEST) as stage:
        _write(stage, build)
        # An interruption leaves this manifest, as the whole one is moved last.
        write_json(folder / MANIFEST, {"kind": _KIND, "incomplete": True,
                                       "files": dict.fromkeys(sorted(former | files))})
        for name in former - files:
            (folder / name).unlink(missing_ok=True)


def _write(folder: Path, build: StoredBuild) -> None:
    """Write all files into an empty folder."""
    sums = write_images(folder, build)
    vectors = {"input": build.input} | {f"layer{number}": vector
                                        for number, vector in enumerate(build.layers)}
    with open_output(folder / _VECTORS) as file:
        np.savez_compressed(file, allow_pickle=False,
                            **{key: vector.columns for key, vector in vectors.items()},
                            **_preprocessing_arrays(build.preprocessing))
    sums[_VECTORS] = hashlib.sha256((folder / _VECTORS).read_bytes()).hexdigest()
    names = [vector.name for vector in build.layers]
    manifest = {
        "schema_version": SCHEMA_VERSION, "kind": _KIND, "format": FORMAT_VERSION,
        "config": build.config.as_dict(),
        "vectors": {key: {"name": vector.name, "base_word": vector.base_word,
                          "frac": vector.frac} for key, vector in vectors.items()},
        "patches": build.patches and dataclasses.asdict(build.patches),
        **({"preprocessing": True} if build.preprocessing is not None else {}),
        **({"nonnegative_inputs": True} if build.nonnegative_inputs else {}),
        **({"first_descriptor": build.first_descriptor} if build.first_descriptor else {}),
        "input_words": build.input_words, "input_buffers": build.input_buffers,
        "input_stride": build.input_stride,
        "sent": [names.index(vector.name) for vector in build.outputs],
        "report": build.report, "files": sums}
    manifest["checksum"] = manifest_checksum(manifest)
    write_json(folder / MANIFEST, manifest)


def write_images(folder: str | Path, build: StoredBuild) -> dict[str, str]:
    """Write one file per memory instance into `folder`; return the SHA-256 of each file."""
    sums = {}
    for instance, image in _instances(build.config).items():
        text = to_hex(image.shape, build.images[instance])
        write_file(Path(folder) / image_file(instance), text)
        sums[image_file(instance)] = hashlib.sha256(text).hexdigest()
    return sums


def read_build(folder: str | Path) -> StoredBuild:
    """Read a folder written by :func:`write_build`, and verify its checksums.

    Raises
    ------
    BuildError
        If a file is missing or changed, a field of the manifest is invalid, or the folder is
        of another version.
    """
    folder = Path(folder)
    manifest, config = _read_manifest(folder / MANIFEST)
    images = {}
    for instance, image in _instances(config).items():
        name = image_file(instance)
        try:
            images[instance] = from_hex(image, _read(folder, name, manifest["files"]))
        except ImageError as error:
            raise BuildError(f"{folder / name}: {error}") from error
    first_descriptor = manifest.get("first_descriptor", 0)
    program = images["ccu.program"][first_descriptor:]
    try:
        check_first_descriptor(first_descriptor, config, images["ccu.program"])
        check_memory(manifest["report"]["memory"], config, images)
    except JsonError as error:
        raise BuildError(f"{folder / MANIFEST}: {error}") from error
    _read(folder, _VECTORS, manifest["files"])
    try:
        columns = read_arrays(folder / _VECTORS)
        check_columns(manifest["vectors"], columns, config, input_words=manifest["input_words"],
                      dead_inputs=manifest["report"]["dead_inputs"], sent=manifest["sent"],
                      sent_columns=output_columns(config, program))
        vectors = {key: Vector(columns=columns[key], **fields)
                   for key, fields in manifest["vectors"].items()}
        preprocessing = _make_preprocessing(columns) if manifest.get("preprocessing") else None
        if preprocessing and len(preprocessing.shift) != len(columns["input"]):
            raise PreprocessingError(f"preprocessing must be of {len(columns['input'])} "
                                     f"inputs, not {len(preprocessing.shift)}")
    except (ArchiveError, JsonError, PreprocessingError) as error:
        raise BuildError(f"{folder / _VECTORS}: {error}") from error
    try:
        check_rows(manifest["vectors"], manifest["sent"], *first_rows(config, program))
    except JsonError as error:
        raise BuildError(f"{folder / MANIFEST}: {error}") from error
    layers = tuple(vectors[f"layer{number}"] for number in range(len(vectors) - 1))
    patches = parse_patches(manifest.get("patches"))    # older builds lack the field
    if patches and patches.n_inputs != len(columns["input"]):
        raise BuildError(f"{folder / MANIFEST}: patches must have {len(columns['input'])} "
                         f"elements, as the input, not {patches.n_inputs}")
    return StoredBuild(config=config, images=images, input=vectors["input"],
               input_words=manifest["input_words"],
               input_stride=manifest["input_stride"], layers=layers,
               outputs=tuple(layers[number] for number in manifest["sent"]),
               report=manifest["report"], patches=patches, preprocessing=preprocessing,
               nonnegative_inputs=manifest.get("nonnegative_inputs", False),
               first_descriptor=first_descriptor)


def _make_preprocessing(arrays: Mapping[str, NDArray[Any]]) -> FixedPreprocessing:
    if missing := _PREPROCESSING.keys() - arrays.keys():
        raise PreprocessingError(f"file must contain {', '.join(sorted(missing))}")
    return FixedPreprocessing(*(arrays[name] for name in _PREPROCESSING))


def _preprocessing_arrays(preprocessing: FixedPreprocessing | None) -> dict[str, NDArray[np.int64]]:
    return {} if preprocessing is None else {
        name: getattr(preprocessing, field) for name, field in _PREPROCESSING.items()}


def _instances(config: EIEConfig) -> dict[str, Image]:
    return {instance: image for instance, _, _, image in Layouts.of(config).images(config)}


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
    if kind != _KIND or path.is_symlink():
        raise BuildError(f"{path} must be the manifest of an earlier build, to be replaced, not "
                         f"another file: choose another folder, or remove it")
    return {name for name in files if isinstance(name, str) and Path(name).name == name
            and (name == _VECTORS or name.endswith(image_file("")))}


def _read(folder: Path, name: str, sums: Mapping[str, str]) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise BuildError(f"{folder / name} must be readable: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sums.get(name):
        raise BuildError(f"{folder / name} must be unchanged, but its checksum differs "
                         f"from that in {MANIFEST}: compile again")
    return content


def manifest_checksum(manifest: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of a manifest without its checksum."""
    rest = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> tuple[dict[str, Any], EIEConfig]:
    """Read and check the manifest of a build, all but its columns; return it and its machine."""
    try:
        manifest = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BuildError(f"{path.parent} must be a folder that `eie compile` writes, but has no "
                         f"{path.name}") from error
    except OSError as error:
        raise BuildError(f"{path} must be readable: {error.strerror}") from error
    except JsonError as error:
        raise BuildError(f"{path} {error}") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != _KIND:
        raise BuildError(f"{path} must be the manifest of a build, with kind {_KIND!r}")
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
    try:
        config = EIEConfig.from_mapping(check_fields(
            "config", manifest.get("config"),
            {field.name: field.type for field in dataclasses.fields(EIEConfig)}))
        instances = _instances(config)
        check_manifest(manifest, config, {_VECTORS, *map(image_file, instances)},
                       {instance.partition(".")[2] for instance in instances})
        parse_patches(manifest.get("patches"))
    except (ConfigError, JsonError, NetworkError, PatchError) as error:
        raise BuildError(f"{path}: {error}") from error
    return manifest, config
