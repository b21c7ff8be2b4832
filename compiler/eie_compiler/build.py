"""Builds: memory images, placement of vectors, and the build report."""

import dataclasses
import hashlib
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_hdl.config import ConfigError, EIEConfig
from eie_hdl.files import open_output, staged, write_file
from eie_hdl.format import FORMAT_VERSION, Image, Layouts, image_file
from eie_hdl.numeric import limits

from .files.build_manifest import check_columns, check_manifest, check_rows
from .files.hex_images import ImageError, from_hex, to_hex
from .files.json_file import SCHEMA_VERSION, JsonError, check_fields, parse_json, write_json
from .files.network_file import parse_patches
from .files.untrusted_npz import ArchiveError, read_arrays
from .network import NetworkError
from .patches import PatchError, Patches
from .preprocessing import FixedPreprocessing, PreprocessingError, find_saturated, quantise_inputs
from .vectors import VectorError, first_rows, output_columns

__all__ = ["MANIFEST", "Build", "BuildError", "Vector", "Words"]

#: File with the description of a build, and the checksums of its other files.
MANIFEST = "manifest.json"

_KIND = "eie-build"
_VECTORS = "vectors.npz"

#: Arrays beside the columns of vectors, and fields of the preprocessing.
_PREPROCESSING = {f"preprocessing_{field.name}": field.name
                  for field in dataclasses.fields(FixedPreprocessing)}


class BuildError(ValueError):
    """Missing, changed or incompatible build; the message names the file."""


class Words(NamedTuple):
    """Inputs as fixed-point words.

    Attributes
    ----------
    values : int64 (batch, n_inputs)
        Words.
    saturated : int64 (batch,)
        Number of elements of each input that were beyond the range of the network.
    """

    values: NDArray[np.int64]
    saturated: NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Vector:
    """A vector of activations in the activation SRAMs.

    Attributes
    ----------
    name : :class:`str`
        ``input``, or the name of the layer that computes it.
    base_word : :class:`int`
        First row, the same in every PE.
    columns : int64, n_elements
        Column number, slot · n_pe + PE, of each logical element.
    frac : :class:`int`
        Fraction bits: word `a` represents ``a / 2 ** frac``.
    """

    name: str
    base_word: int
    columns: NDArray[np.int64]
    frac: int


@dataclasses.dataclass(frozen=True, eq=False)
class Build:
    """Compiled network for one machine.

    Attributes
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine that the build is for.
    images : :class:`dict` of :class:`str` to uint64, n_words × n_beats
        Contents of each memory instance, as from :func:`~eie_hdl.packing.pack`; the remaining
        words are zero. The program starts at descriptor 0.
    input : :class:`Vector`
        Placement of the inputs.
    input_words, input_buffers : :class:`int`
        Rows of an input buffer, and number of consecutive buffers: 1 or 2.
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
    report : :class:`dict`
        Build report: sizes, formats, bounds and entry balance; see docs/build-folder.md.
    """

    config: EIEConfig
    images: dict[str, NDArray[np.uint64]]
    input: Vector
    input_words: int
    input_buffers: int
    outputs: tuple[Vector, ...]
    report: dict[str, Any]
    layers: tuple[Vector, ...] = ()
    patches: Patches | None = None
    preprocessing: FixedPreprocessing | None = None
    nonnegative_inputs: bool = False

    @property
    def settings(self) -> dict[str, dict[str, int]]:
        """Registers that the host sets before it loads the memories, and their fields."""
        return {"INPUT_BASE": {"value": self.input.base_word},
                "INPUT_WORDS": {"words": self.input_words, "double": int(self.input_buffers > 1)}}

    def quantise(self, inputs: ArrayLike) -> NDArray[np.int64]:
        """Convert inputs (..., n_inputs) to words, as :func:`~.preprocessing.quantise_inputs`."""
        return quantise_inputs(inputs, frac=self.input.frac, width=self.config.act_width,
                               preprocessing=self.preprocessing,
                               nonnegative=self.nonnegative_inputs)

    def to_words(self, inputs: ArrayLike, *, words: bool = False) -> Words:
        """Convert inputs to words, and count those that saturate.

        Parameters
        ----------
        inputs : (batch, n_inputs)
            Numbers, whether integers or floating-point; or words, which must be integers.
        words : :class:`bool`
            True if `inputs` are words already.

        Raises
        ------
        VectorError
            If `inputs` are not real or not finite; or if a word does not have `act_width` bits, or
            is negative, but the formats rely on there being none.
        """
        array = np.asarray(inputs)
        if array.dtype.kind not in ("iu" if words else "iuf"):
            what = "fixed-point words, which are integers" if words else "numbers"
            raise VectorError(f"Inputs must be {what}, not {array.dtype}")
        if not words:
            quantised = self.quantise(array)
            saturated = find_saturated(array, quantised, frac=self.input.frac,
                                       preprocessing=self.preprocessing)
            return Words(quantised, saturated.sum(axis=1))
        low, high = limits(self.config.act_width)
        if array.size and not low <= array.min() <= array.max() <= high:
            raise VectorError(f"Fixed-point words must be from {low} to {high}, not from "
                              f"{array.min()} to {array.max()}")
        if self.nonnegative_inputs and (negative := np.argwhere(array < 0)).size:
            at = negative[0].tolist()
            raise VectorError(f"Element {at} must not be negative, as the network was compressed "
                              f"for inputs that never are, but is {array[tuple(at)]}: compress it "
                              "again without nonnegative inputs")
        return Words(array.astype(np.int64), np.zeros(len(array), np.int64))

    def range_of(self, vector: Vector) -> tuple[float, float]:
        """Compute the least and the greatest number of a vector's format.

        That of the input is the range after preprocessing.
        """
        low, high = limits(self.config.act_width)
        if vector is self.input and self.nonnegative_inputs:
            low = 0
        return low * 0.5 ** vector.frac, high * 0.5 ** vector.frac

    def write_images(self, folder: str | Path) -> dict[str, str]:
        """Write one file per memory instance into `folder`; return the SHA-256 of each file."""
        sums = {}
        for instance, image in _instances(self.config).items():
            text = to_hex(image.shape, self.images[instance])
            write_file(Path(folder) / image_file(instance), text)
            sums[image_file(instance)] = hashlib.sha256(text).hexdigest()
        return sums

    def save(self, folder: str | Path) -> None:
        """Write the images, the placement of the vectors, and the manifest.

        Files of an earlier build in the folder are removed, all others are kept. If this is
        interrupted, the folder holds the earlier build, or one that :meth:`load` refuses.

        Raises
        ------
        BuildError
            If the folder is not of a build but has a file that would be replaced.
        OSError
            If a file cannot be written.
        """
        folder = Path(folder)
        former = _owned_files(folder)
        files = {_VECTORS, *map(image_file, _instances(self.config))}
        for name in sorted(files - former):
            if (folder / name).exists() or (folder / name).is_symlink():
                raise BuildError(f"{folder / name} must be of an earlier build, to be replaced, "
                                 f"but its {MANIFEST} does not list it: choose another folder, or "
                                 f"remove it")
        with staged(folder, last=MANIFEST) as stage:
            self._write(stage)
            # An interruption leaves this manifest, as the whole one is moved last.
            write_json(folder / MANIFEST, {"kind": _KIND, "incomplete": True,
                                           "files": dict.fromkeys(sorted(former | files))})
            for name in former - files:
                (folder / name).unlink(missing_ok=True)

    def _write(self, folder: Path) -> None:
        """Write all files into an empty folder."""
        sums = self.write_images(folder)
        vectors = {"input": self.input} | {f"layer{number}": vector
                                           for number, vector in enumerate(self.layers)}
        with open_output(folder / _VECTORS) as file:
            np.savez_compressed(file, allow_pickle=False,
                                **{key: vector.columns for key, vector in vectors.items()},
                                **_preprocessing_arrays(self.preprocessing))
        sums[_VECTORS] = hashlib.sha256((folder / _VECTORS).read_bytes()).hexdigest()
        names = [vector.name for vector in self.layers]
        manifest = {
            "schema_version": SCHEMA_VERSION, "kind": _KIND, "format": FORMAT_VERSION,
            "config": self.config.as_dict(),
            "vectors": {key: {"name": vector.name, "base_word": vector.base_word,
                              "frac": vector.frac} for key, vector in vectors.items()},
            "patches": self.patches and dataclasses.asdict(self.patches),
            **({"preprocessing": True} if self.preprocessing is not None else {}),
            **({"nonnegative_inputs": True} if self.nonnegative_inputs else {}),
            "input_words": self.input_words, "input_buffers": self.input_buffers,
            "sent": [names.index(vector.name) for vector in self.outputs],
            "report": self.report, "files": sums}
        manifest["checksum"] = _checksum(manifest)
        write_json(folder / MANIFEST, manifest)

    @classmethod
    def load(cls, folder: str | Path) -> "Build":
        """Read a folder written by :meth:`save`, and verify its checksums.

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
        _read(folder, _VECTORS, manifest["files"])
        try:
            columns = read_arrays(folder / _VECTORS)
            check_columns(manifest["vectors"], columns, config, input_words=manifest["input_words"],
                          sent=manifest["sent"],
                          sent_columns=output_columns(config, images["ccu.program"]))
            vectors = {key: Vector(columns=columns[key], **fields)
                       for key, fields in manifest["vectors"].items()}
            preprocessing = _make_preprocessing(columns) if manifest.get("preprocessing") else None
            if preprocessing and len(preprocessing.shift) != len(columns["input"]):
                raise PreprocessingError(f"preprocessing must be of {len(columns['input'])} "
                                         f"inputs, not {len(preprocessing.shift)}")
        except (ArchiveError, JsonError, PreprocessingError) as error:
            raise BuildError(f"{folder / _VECTORS}: {error}") from error
        try:
            check_rows(manifest["vectors"], manifest["sent"],
                       *first_rows(config, images["ccu.program"]))
        except JsonError as error:
            raise BuildError(f"{folder / MANIFEST}: {error}") from error
        layers = tuple(vectors[f"layer{number}"] for number in range(len(vectors) - 1))
        patches = parse_patches(manifest.get("patches"))    # older builds lack the field
        if patches and patches.n_inputs != len(columns["input"]):
            raise BuildError(f"{folder / MANIFEST}: patches must have {len(columns['input'])} "
                             f"elements, as the input, not {patches.n_inputs}")
        return cls(config=config, images=images, input=vectors["input"],
                   input_words=manifest["input_words"],
                   input_buffers=manifest["input_buffers"], layers=layers,
                   outputs=tuple(layers[number] for number in manifest["sent"]),
                   report=manifest["report"], patches=patches, preprocessing=preprocessing,
                   nonnegative_inputs=manifest.get("nonnegative_inputs", False))


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


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of a manifest without its checksum."""
    rest = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> tuple[dict[str, Any], EIEConfig]:
    """Read and check the manifest of a build, all but its columns; return it and its machine."""
    try:
        manifest = parse_json(path.read_bytes())
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
    if manifest.get("checksum") != _checksum(manifest):
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
