"""Checks of the fields of a build's manifest; docs/build-folder.md describes them.

The checksum of a manifest says that it is whole, not that its writer was right.
"""

import reprlib
from collections.abc import Collection, Iterable, Mapping
from types import NoneType
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack

from ..network import MAX_FRAC, NetworkError, check_int, check_name
from ..vectors import NOT_SENT
from .json_file import JsonError, check_fields

__all__ = ["check_columns", "check_first_descriptor", "check_manifest", "check_memory",
           "check_rows", "describe_memory"]

_FIELDS = {"schema_version": int, "kind": str, "format": int, "config": dict, "vectors": dict,
           "input_words": int, "input_buffers": int, "input_stride": int, "sent": list,
           "report": dict, "files": dict, "checksum": str}
_OPTIONAL_FIELDS = {"patches": (dict, NoneType), "preprocessing": bool, "nonnegative_inputs": bool,
                    "first_descriptor": int}
_VECTOR_FIELDS = {"name": str, "base_word": int, "frac": int}

#: Fields of the report that programs read; it may have more.
_REPORT_FIELDS = {"mapping": str, "dead_inputs": int, "layers": list, "total": dict, "memory": dict}
_LAYER_FIELDS = {"name": str, "shape": list, "density": float, "tiles": int, "entries": int,
                 "paddings": int, "entry_balance": float, "dead_rows": dict, "formats": dict,
                 "overflow": dict}
_MEMORY_FIELDS = dict.fromkeys(["words_used", "words", "word_bits", "instances", "bits_used",
                                "bits"], int)

#: Greatest number in a report; beyond it, numbers could not be converted to floating point.
_MAX_COUNT = 1 << 62


def check_manifest(manifest: Mapping[str, Any], config: EIEConfig, files: Collection[str],
                   memories: Collection[str]) -> None:
    """Check all fields but `config` and `patches`, whose classes check them.

    Parameters
    ----------
    manifest : mapping
        Manifest, from JSON.
    config : :class:`~eie_hdl.config.EIEConfig`
        Its machine.
    files, memories : collection of :class:`str`
        Files of a build for this machine, and memories of its report.

    Raises
    ------
    JsonError, NetworkError
        If a field is missing, unknown or invalid.
    """
    check_fields("manifest", manifest, _FIELDS, _OPTIONAL_FIELDS)
    names = _check_vectors(manifest["vectors"], config)
    check_int("input_buffers", manifest["input_buffers"], 1, 2)
    n_rows = config.act_depth - manifest["vectors"]["input"]["base_word"]
    n_words = manifest["input_words"]
    check_int("input_words", n_words, 1, n_rows // manifest["input_buffers"])
    check_int("input_stride", manifest["input_stride"],
              *((0, 0) if manifest["input_buffers"] == 1 else (n_words, n_rows - n_words)))
    check_int("first_descriptor", manifest.get("first_descriptor", 0), 0, config.program_depth - 1)
    sent = manifest["sent"]
    if not sent or not all(type(number) is int and 0 <= number < len(names) for number in sent) \
            or sorted(set(sent)) != sent:
        raise JsonError(f"sent must be ascending numbers of layers, from 0 to {len(names) - 1}, "
                        f"not {reprlib.repr(sent)}")
    check_fields("files", manifest["files"], dict.fromkeys(files, str))
    _check_report(manifest["report"], config, manifest["vectors"], memories)


def check_first_descriptor(first: int, config: EIEConfig, program: NDArray[np.uint64]) -> None:
    """Check that a program begins at a descriptor: at 0, or after the end of another program.

    Raises
    ------
    JsonError
        If another program, or none, is there.
    """
    final = unpack(Layouts.of(config).descriptor, program)["final"]
    if first and (first >= len(final) or not final[first - 1]):
        firsts = [0, *(np.flatnonzero(final)[:-1] + 1).tolist()]
        raise JsonError(f"first_descriptor must be the beginning of a program, "
                        f"{', '.join(map(str, firsts))}, not {first}")


def check_columns(vectors: Mapping[str, Mapping[str, Any]], columns: Mapping[str, NDArray[Any]],
                  config: EIEConfig, *, input_words: int, dead_inputs: int, sent: Iterable[int],
                  sent_columns: list[int]) -> None:
    """Check the column numbers of the elements of all vectors.

    Parameters
    ----------
    vectors : mapping
        Field of the manifest.
    columns : mapping of :class:`str` to array
        Contents of the file of vectors.
    input_words, dead_inputs, sent
        Fields of the manifest and of its report.
    sent_columns : :class:`list` of :class:`int`
        Columns of each vector that the program sends.

    Raises
    ------
    JsonError
        If they do not match the machine, the manifest or the program.
    """
    group = ACTS_PER_WORD * config.n_pe
    n_words = {}
    for key, vector in vectors.items():
        numbers = columns.get(key)
        dead = dead_inputs if key == "input" else 0
        limit = (config.act_depth - vector["base_word"]) * group
        if numbers is None or numbers.dtype != np.int64 or numbers.ndim != 1 \
                or not _are_columns(numbers, limit, dead):
            raise JsonError(f"{key} must be different int64 numbers from 0 to {limit - 1}, the "
                            f"columns from row {vector['base_word']} of the activation SRAM on"
                            + (f", and {NOT_SENT} for {dead} dead inputs" if dead else ""))
        n_words[key] = int(numbers.max()) // group + 1
    if n_words["input"] > input_words:
        raise JsonError(f"input must be in {input_words} rows, input_words of the manifest, not in "
                        f"{n_words['input']}")
    expected = [int(columns[f"layer{number}"].max()) + 1 for number in sent]
    if expected != sent_columns:
        raise JsonError(f"sent layers must have {reprlib.repr(sent_columns)} columns, as the "
                        f"program sends them, not {reprlib.repr(expected)}")


def _are_columns(numbers: NDArray[np.int64], limit: int, n_dead: int) -> bool:
    """Check that all elements but `n_dead` have different columns below `limit`."""
    placed = numbers[numbers != NOT_SENT]
    return len(placed) == len(numbers) - n_dead > 0 \
        and bool(0 <= placed.min() <= placed.max() < limit) \
        and len(np.unique(placed)) == len(placed)


def check_rows(vectors: Mapping[str, Mapping[str, Any]], sent: Iterable[int],
               input_rows: list[int], sent_rows: list[int]) -> None:
    """Check that the program reads its input and sends its results where the manifest says.

    Parameters
    ----------
    vectors, sent
        Fields of the manifest.
    input_rows, sent_rows : :class:`list` of :class:`int`
        Rows from which the program reads its input, and from which it sends vectors.

    Raises
    ------
    JsonError
        If they are not the first rows of these vectors.
    """
    for what, named, used in (
            ("input", [vectors["input"]["base_word"]], input_rows),
            ("sent layers", [vectors[f"layer{number}"]["base_word"] for number in sent],
             sent_rows)):
        if named != used:
            raise JsonError(f"{what} must begin in {reprlib.repr(used)}, the rows of the "
                            f"activation SRAM that the program reads, not in "
                            f"{reprlib.repr(named)}")


def describe_memory(config: EIEConfig, images: Mapping[str, NDArray[np.uint64]],
                    act_words: int) -> dict[str, dict[str, int]]:
    """Count the words used in the fullest PE, the words available, and the bits of all instances.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    images : mapping of :class:`str` to uint64, n_words × n_beats
        Contents of each memory instance.
    act_words : :class:`int`
        Used words of an activation SRAM, whose image ends with the last bias.
    """
    memory: dict[str, dict[str, int]] = {}
    for instance, _, _, image in Layouts.of(config).images(config):
        name = instance.partition(".")[2]
        row = memory.setdefault(name, {"words_used": 0, "words": image.depth, "instances": 0,
                                       "word_bits": Shape.cast(image.shape).width})
        row["instances"] += 1
        row["words_used"] = max(row["words_used"],
                                act_words if name == "act" else len(images[instance]))
    for row in memory.values():
        row["bits_used"] = row["words_used"] * row["word_bits"] * row["instances"]
        row["bits"] = row["words"] * row["word_bits"] * row["instances"]
    return memory


def check_memory(memory: Mapping[str, Mapping[str, int]], config: EIEConfig,
                 images: Mapping[str, NDArray[np.uint64]]) -> None:
    """Check that the memories of a report are those of the machine, and used as the images do.

    A file does not say how its digits are divided into fields: a machine of other widths could
    take the same digits for other numbers.

    Parameters
    ----------
    memory : mapping
        Field of the report.
    config, images
        As for :func:`describe_memory`.

    Raises
    ------
    JsonError
        If a number is another one.
    """
    act_words = memory["act"]["words_used"]
    least = max(len(image) for instance, image in images.items() if instance.endswith(".act"))
    if not least <= act_words <= config.act_depth:
        raise JsonError(f"report.memory.act.words_used must be from {least} to "
                        f"{config.act_depth}, not {act_words}")
    for name, row in describe_memory(config, images, act_words).items():
        for field, number in row.items():
            if memory[name][field] != number:
                raise JsonError(f"report.memory.{name}.{field} must be {number}, as of the machine "
                                f"in config and its images, not {memory[name][field]}")


def _check_vectors(vectors: dict[str, Any], config: EIEConfig) -> list[str]:
    """Check placement and formats of the vectors; return the names of the layers."""
    expected = ["input", *(f"layer{number}" for number in range(len(vectors) - 1))]
    if set(vectors) != set(expected) or len(vectors) < 2:
        raise JsonError(f"vectors must be input, layer0, layer1 and so on, not "
                        f"{reprlib.repr(list(vectors))}")
    for key, vector in vectors.items():
        check_fields(f"vectors.{key}", vector, _VECTOR_FIELDS)
        try:
            check_name(vector["name"])
            check_int("base_word", vector["base_word"], 0, config.act_depth - 1)
            check_int("frac", vector["frac"], -MAX_FRAC, MAX_FRAC)
        except NetworkError as error:
            raise NetworkError(f"vectors.{key}.{error}") from error
    names = [vectors[key]["name"] for key in expected[1:]]
    if len(set(names)) < len(names):
        raise JsonError("vectors must have different names")
    return names


def _check_report(report: dict[str, Any], config: EIEConfig, vectors: dict[str, Any],
                  memories: Collection[str]) -> None:
    _check_numbers("report", report, _REPORT_FIELDS)
    names = [vectors[f"layer{number}"]["name"] for number in range(len(vectors) - 1)]
    if [layer.get("name") if type(layer) is dict else None for layer in report["layers"]] != names:
        raise JsonError(f"report.layers must be of the layers {', '.join(map(repr, names))}")
    for number, layer in enumerate(report["layers"]):
        _check_numbers(f"report.layers[{number}]", layer, _LAYER_FIELDS)
        shape = layer["shape"]
        if len(shape) != 2 or not all(type(n) is int and 1 <= n <= _MAX_COUNT for n in shape):
            raise JsonError(f"report.layers[{number}].shape must be rows and columns, not "
                            f"{reprlib.repr(shape)}")
        source = vectors[f"layer{number - 1}" if number else "input"]
        for kind, field, expected, place in (
                ("overflow", "acc_width", config.acc_width, "config"),
                ("formats", "input_frac", source["frac"], "vectors"),
                ("formats", "output_frac", vectors[f"layer{number}"]["frac"], "vectors")):
            found = layer[kind].get(field)
            if type(found) is not int or found != expected:
                raise JsonError(f"report.layers[{number}].{kind}.{field} must be {expected}, as in "
                                f"{place}, not {reprlib.repr(found)}")
        dead = check_fields(f"report.layers[{number}].dead_rows", layer["dead_rows"],
                            {"unread": list, "constant": list})
        for reason, rows in dead.items():
            if not all(type(row) is int and 0 <= row <= _MAX_COUNT for row in rows):
                raise JsonError(f"report.layers[{number}].dead_rows.{reason} must be numbers of "
                                f"rows, not {reprlib.repr(rows)}")
    if not report["mapping"].isprintable():
        raise JsonError("report.mapping must be printable")
    check_fields("report.memory", report["memory"], dict.fromkeys(memories, dict))
    for name, memory in report["memory"].items():
        _check_numbers(f"report.memory.{name}", memory, _MEMORY_FIELDS)


def _check_numbers(where: str, value: Any, kinds: Mapping[str, Any]) -> None:
    """Check fields that must be present, and that numbers among them are in range."""
    if type(value) is dict:
        value = {name: field for name, field in value.items() if name in kinds}
    for name, field in check_fields(where, value, kinds).items():
        if kinds[name] in (int, float) and not 0 <= field <= _MAX_COUNT:
            raise JsonError(f"{where}.{name} must be from 0 to {_MAX_COUNT}, not "
                            f"{reprlib.repr(field)}")
