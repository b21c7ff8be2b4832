"""Export of a build as C99 source: tables of constants for the C driver."""

import dataclasses
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.preprocessing import FixedPreprocessing
from eie_compiler.vectors import (
    memory_packets,
    output_columns,
    result_order,
    result_type,
)
from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.files import write_files
from eie_hdl.format import BEAT_WIDTH, FORMAT_VERSION, Layouts, n_beats, n_result_beats
from eie_hdl.identifiers import C, find_fault
from eie_hdl.registers import REGISTER

from .c_names import reason_against

__all__ = ["ExportError", "array", "export", "export_files"]

#: Maximum length of a line of an array.
_LINE_LENGTH = 100

_BITS_PER_BYTE = 8


class ExportError(ValueError):
    """Name that a program in C or C++ cannot use, or build that the C driver cannot run."""


def export(build: Build, folder: str | Path, *, name: str = "model") -> dict[str, int]:
    """Write a build as C source; return the size of each file in bytes.

    Parameters
    ----------
    build : :class:`~eie_compiler.build.Build`
        Build to export.
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination folder.
    name : :class:`str`
        Name of the model in C and of its files.

    Raises
    ------
    ExportError
        If `name` is not a C identifier in lower case that a program can give to an object and
        its files, see :mod:`.c_names`; or if the program does not begin at descriptor 0.
    """
    files = export_files(build, name=name)
    write_files(folder, files)
    return {file: len(text.encode()) for file, text in files.items()}


def export_files(build: Build, *, name: str = "model") -> dict[str, str]:
    """Return the text of each file that :func:`export` writes, by file name.

    It depends only on the build and the name.

    Raises
    ------
    ExportError
        If `name` is not a C identifier in lower case that a program can give to an object and
        its files, see :mod:`.c_names`; or if the program does not begin at descriptor 0.
    """
    _check_name(name)
    if build.first_descriptor:
        raise ExportError(f"program must begin at descriptor 0, not {build.first_descriptor}, as "
                          f"the C driver starts no other: compile its network alone")
    return {f"{name}.h": _header(build, name), f"{name}.c": _source(build, name)}


def _check_name(name: str) -> None:
    """Check the name of the object and of its files, which are written together."""
    if fault := find_fault(name, C):
        raise ExportError(f"name {fault}")
    if reason := reason_against(name):
        raise ExportError(f"name must not be {name}, which is {reason}: choose another name")


def array(kind: str, name: str, values: Iterable[str]) -> str:
    """Format the definition of a constant array, with as many elements per line as fit."""
    lines = [""]
    for value in values:
        if len(lines[-1]) + len(value) + len("     ,") > _LINE_LENGTH:
            lines.append("")
        lines[-1] += f" {value},"
    body = "".join(f"   {line}\n" for line in lines)
    return f"{kind} {name}[] = {{\n{body}}};\n"


def _header(build: Build, name: str) -> str:
    config = build.config
    columns = output_columns(config, build.program)
    sizes = {
        "N_INPUTS": len(build.input.columns),
        "N_OUTPUTS": sum(len(vector.columns) for vector in build.outputs),
        "INPUT_BEATS": len(_input_packet(build, 0)),
        "RESULT_BEATS": sum(n_result_beats(config, n) for n in columns)}
    lines = "".join(f"    {name.upper()}_{key} = {value},\n" for key, value in sizes.items())
    return (f"/* {name}: a network for an EIE accelerator with {config.n_pe} PEs, written by `eie "
            f"export`.\n   N_ are numbers of elements, of all outputs together; _BEATS are sizes "
            f"of eie_memory.{_patches(build)} */\n"
            f"#ifndef EIE_MODEL_{name.upper()}_H\n#define EIE_MODEL_{name.upper()}_H\n\n"
            f"#include \"eie.h\"\n\nenum {{\n{lines}}};\n\n"
            f"#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n"
            f"extern const struct eie_model {name};\n\n"
            f"#ifdef __cplusplus\n}}\n#endif\n\n#endif\n")


def _patches(build: Build) -> str:
    """Describe an inference of a convolution, as the driver has no notion of images."""
    if build.patches is None:
        return ""
    patches, (down, across) = build.patches, build.patches.output_shape
    return (f"\n   A convolution: an inference is one of the {down} × {across} pixels of a result. "
            f"Its input is the\n   patch of the image under it, {patches.shape[0]} channels × "
            f"{patches.kernel[0]} rows × {patches.kernel[1]} columns.")


def _source(build: Build, name: str) -> str:
    config = build.config
    packets = memory_packets(config, build.images)
    beats = np.concatenate(packets).astype("<u8")
    headers = [_input_packet(build, buffer)[0] for buffer in range(build.input_buffers)]
    columns = output_columns(config, build.program)
    expected = {"FORMAT": FORMAT_VERSION, **{
        f"CONFIG_{field.name.upper()}": int(getattr(config, field.name))
        for field in dataclasses.fields(config)}}
    settings = {register: REGISTER[register].pack(**fields)
                for register, fields in build.settings.items()}

    def table(kind: str, part: str, values: Iterable[str]) -> str:
        return array(f"static const {kind}", f"{name}_{part}", values)

    places = "".join(
        table("uint32_t", f"places_{number}", _decimal(
            np.argsort(result_order(config, n))[vector.columns] * _result_width(build)))
        for number, (vector, n) in enumerate(zip(build.outputs, columns, strict=True)))
    outputs = (
        f"    {{{_string(vector.name)}, {len(vector.columns)}, {vector.frac}, "
        f"{n * _result_width(build) // _BITS_PER_BYTE}, {name}_places_{number}}},\n"
        for number, (vector, n) in enumerate(zip(build.outputs, columns, strict=True)))
    fields = {
        "name": f'"{name}"',
        "expected": f"{name}_expected", "n_expected": len(expected),
        "settings": f"{name}_settings", "n_settings": len(settings),
        "beats": f"{name}_beats", "packets": f"{name}_packets", "n_packets": len(packets),
        "checksum": f"0x{zlib.crc32(beats.tobytes()):08x}u",
        "n_inputs": len(build.input.columns), "input_frac": build.input.frac,
        "input_width": config.act_width, "input_beats": len(_input_packet(build, 0)),
        "input_headers": f"{name}_input_headers", "n_buffers": len(headers),
        "input_places": f"{name}_input_places",
        "outputs": f"{name}_outputs", "n_outputs": len(build.outputs),
        "result_width": _result_width(build)}
    if build.preprocessing is not None:
        fields["preprocessing"] = f"{name}_preprocessing"
    if build.nonnegative_inputs:
        fields["nonnegative_inputs"] = "true"
    model = "".join(f"    .{key} = {value},\n" for key, value in fields.items())
    # All objects bear the name of the model, so that none can have the same name as it.
    return "\n".join([
        f"#include \"{name}.h\"\n",
        _settings(f"{name}_expected", expected), _settings(f"{name}_settings", settings),
        table("uint64_t", "beats", _hexadecimal(beats)),
        table("uint32_t", "packets", map(str, map(len, packets))),
        table("uint64_t", "input_headers", _hexadecimal(headers)),
        table("uint32_t", "input_places", _input_places(build)),
        places + _preprocessing(f"{name}_preprocessing", build.preprocessing),
        f"static const struct eie_output {name}_outputs[] = {{\n{''.join(outputs)}}};\n",
        f"const struct eie_model {name} = {{\n{model}}};\n"])


def _preprocessing(name: str, preprocessing: FixedPreprocessing | None) -> str:
    """Define the preprocessing of each element of an input."""
    if preprocessing is None:
        return ""
    elements = np.stack([preprocessing.offset, preprocessing.multiplier, preprocessing.raw_frac,
                         preprocessing.shift], axis=1)
    return array("static const struct eie_preprocessing", name,
                 (f"{{{', '.join(map(str, element))}}}" for element in elements.tolist()))


def _input_packet(build: Build, buffer: int) -> NDArray[np.uint64]:
    """Make a packet that loads an input of zeros."""
    zeros = np.zeros((1, len(build.input.columns)), np.int64)
    beats: NDArray[np.uint64] = build.input_packets(zeros, buffer=buffer)[0]
    return beats


def _input_places(build: Build) -> Iterable[str]:
    """Return the bit offset of each element in the packet of an input vector, as C constants."""
    layouts, n_pe = Layouts.of(build.config), build.config.n_pe
    slot, pe = np.divmod(build.input.columns, n_pe)
    row, lane = np.divmod(slot, ACTS_PER_WORD)
    beat = n_beats(layouts.load_header) + (row * n_pe + pe) * n_beats(layouts.act_word)
    offsets = np.array([field.offset for _, field in layouts.act_word])
    places = beat * BEAT_WIDTH + offsets[lane]
    return (str(place) if is_sent else "EIE_NOT_SENT"
            for place, is_sent in zip(places.tolist(), build.input.is_sent))


def _result_width(build: Build) -> int:
    return result_type(build.config).itemsize * _BITS_PER_BYTE


def _settings(name: str, values: Mapping[str, int]) -> str:
    lines = "".join(f"    {{EIE_{register}, {value}u}},\n" for register, value in values.items())
    return f"static const struct eie_setting {name}[] = {{\n{lines}}};\n"


def _string(text: str) -> str:
    """Format text as a C string, in which no question mark begins a trigraph."""
    return '"' + re.sub(r'(["\\?])', r"\\\1", text) + '"'


def _decimal(values: NDArray[np.int64]) -> Iterable[str]:
    return map(str, values.tolist())


def _hexadecimal(values: Iterable[np.uint64]) -> Iterable[str]:
    return (f"0x{int(value):016x}u" for value in values)
