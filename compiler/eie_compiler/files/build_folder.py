"""Build folders: images, placement of vectors, and manifest; docs/build-folder.md."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ConfigError, EIEConfig
from eie_hdl.files import open_output, write_file
from eie_hdl.format import Image, Layouts, image_file

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
from .json_file import JsonError
from .manifest_folder import (
    MANIFEST,
    BuildError,
    parse_config,
    read_listed,
    read_manifest,
    replaced,
    write_manifest,
)
from .stored_network import parse_patches, store_patches
from .untrusted_npz import ArchiveError, read_arrays

__all__ = ["StoredBuild", "read_build", "write_build", "write_images"]

_KIND = "eie-build"
_VECTORS = "vectors.npz"

#: Arrays beside the columns of vectors, and fields of the preprocessing.
_PREPROCESSING = {f"preprocessing_{field.name}": field.name
                  for field in dataclasses.fields(FixedPreprocessing)}


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
    steps : :class:`int`
        Vectors of a sequence, in which the program keeps its states; 0 if it has none: each vector
        is independent.
    reset : :class:`int`
        Descriptors at its beginning that reset the states, which only the first vector of a
        sequence executes. They send nothing.
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
    steps: int = 0
    reset: int = 0

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
        If the folder is not of a build but has a file that would be replaced, or the program keeps
        states, which the manifest does not describe.
    OSError
        If a file cannot be written.
    """
    if build.steps:
        raise BuildError("build must have no states, as a folder keeps those of a graph only: "
                         "write the build of the graph")
    files = {_VECTORS, *map(image_file, _instances(build.config))}
    with replaced(Path(folder), _KIND, files) as stage:
        _write(stage, build)


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
    write_manifest(folder, _KIND, build.config, {
        "vectors": {key: {"name": vector.name, "base_word": vector.base_word,
                          "frac": vector.frac} for key, vector in vectors.items()},
        "patches": store_patches(build.patches),
        **({"preprocessing": True} if build.preprocessing is not None else {}),
        **({"nonnegative_inputs": True} if build.nonnegative_inputs else {}),
        **({"first_descriptor": build.first_descriptor} if build.first_descriptor else {}),
        "input_words": build.input_words, "input_buffers": build.input_buffers,
        "input_stride": build.input_stride,
        "sent": [names.index(vector.name) for vector in build.outputs],
        "report": build.report, "files": sums})


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
            images[instance] = from_hex(image, read_listed(folder, name, manifest["files"]))
        except ImageError as error:
            raise BuildError(f"{folder / name}: {error}") from error
    first_descriptor = manifest.get("first_descriptor", 0)
    program = images["ccu.program"][first_descriptor:]
    try:
        check_first_descriptor(first_descriptor, config, images["ccu.program"])
        check_memory(manifest["report"]["memory"], config, images)
    except JsonError as error:
        raise BuildError(f"{folder / MANIFEST}: {error}") from error
    read_listed(folder, _VECTORS, manifest["files"])
    try:
        columns = read_arrays(folder / _VECTORS)
        check_columns(manifest["vectors"], columns, config, input_words=manifest["input_words"],
                      dead_inputs=manifest["report"]["dead_inputs"], sent=manifest["sent"],
                      sent_columns=output_columns(config, program))
        vectors = {key: Vector(columns=columns[key], **fields)
                   for key, fields in manifest["vectors"].items()}
        preprocessing = _make_preprocessing(columns) if manifest.get("preprocessing") else None
        if preprocessing and preprocessing.shift.shape != columns["input"].shape:
            raise PreprocessingError(f"preprocessing must be of {len(columns['input'])} inputs, "
                                     f"not {' × '.join(map(str, preprocessing.shift.shape))}")
    except (ArchiveError, JsonError, PreprocessingError) as error:
        raise BuildError(f"{folder / _VECTORS}: {error}") from error
    try:
        check_rows(manifest["vectors"], manifest["sent"], *first_rows(config, program))
    except JsonError as error:
        raise BuildError(f"{folder / MANIFEST}: {error}") from error
    layers = tuple(vectors[f"layer{number}"] for number in range(len(vectors) - 1))
    patches = parse_patches(manifest.get("patches"))    # older builds lack the field
    if patches and patches.n_elements != len(columns["input"]):
        raise BuildError(f"{folder / MANIFEST}: patches must have {len(columns['input'])} "
                         f"elements, as the input, not {patches.n_elements}")
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


def _read_manifest(path: Path) -> tuple[dict[str, Any], EIEConfig]:
    """Read and check the manifest of a build, all but its columns; return it and its machine."""
    manifest = read_manifest(path, _KIND)
    try:
        config = parse_config(manifest)
        instances = _instances(config)
        check_manifest(manifest, config, {_VECTORS, *map(image_file, instances)},
                       {instance.partition(".")[2] for instance in instances})
        parse_patches(manifest.get("patches"))
    except (ConfigError, JsonError, NetworkError, PatchError) as error:
        raise BuildError(f"{path}: {error}") from error
    return manifest, config
