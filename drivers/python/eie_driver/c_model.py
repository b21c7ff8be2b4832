"""C tables of a program: its load, its machine, and the places of inputs and outputs."""

import dataclasses
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.preprocessing import FixedPreprocessing
from eie_compiler.vectors import memory_packets, output_columns, result_order, result_type
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import BEAT_WIDTH, FORMAT_VERSION, Layouts, n_beats, n_result_beats
from eie_hdl.registers import REGISTER, config_registers

from .c_text import array, decimal, hexadecimal, string, structure

__all__ = ["LoadTables", "count_input_beats", "count_result_beats", "machine_table",
           "model_tables", "preprocessing_table"]

_BITS_PER_BYTE = 8


@dataclasses.dataclass(frozen=True)
class LoadTables:
    """C tables of a set of memory images, which all its programs share.

    Attributes
    ----------
    text : :class:`str`
        Definitions.
    fields : mapping of :class:`str` to :class:`str`
        Members of ``struct eie_model`` that refer to them.
    """

    text: str
    fields: Mapping[str, object]

    @classmethod
    def make(cls, config: EIEConfig, images: Mapping[str, NDArray[np.uint64]], name: str
             ) -> "LoadTables":
        """Format the packets that load memory images, in tables whose names begin with `name`."""
        packets = memory_packets(config, images)
        beats = np.concatenate(packets).astype("<u8")
        return cls(
            array("static const uint64_t", f"{name}_beats", hexadecimal(beats)) + "\n"
            + array("static const uint32_t", f"{name}_packets", map(str, map(len, packets))),
            {"beats": f"{name}_beats", "packets": f"{name}_packets", "n_packets": len(packets),
             "checksum": f"0x{zlib.crc32(beats.tobytes()):08x}u"})


def machine_table(config: EIEConfig, name: str) -> str:
    """Format the registers that identify a machine."""
    return _settings(name, {"FORMAT": FORMAT_VERSION, **config_registers(config)})


def model_tables(build: Build, name: str, load: LoadTables, *, machine: str, scope: str = ""
                 ) -> str:
    """Format a model, ``struct eie_model`` of this name, and its tables.

    Parameters
    ----------
    load
        Tables of its memory images.
    machine : :class:`str`
        Name of the table of its machine.
    scope : :class:`str`
        ``"static "`` if other source files need not refer to it.
    """
    config = build.config
    headers = [_input_packet(build, buffer)[0] for buffer in range(build.input_buffers)]
    columns = output_columns(config, build.program)
    settings = {register: REGISTER[register].pack(**fields)
                for register, fields in build.settings.items()}

    def table(kind: str, part: str, values: Iterable[str]) -> str:
        return array(f"static const {kind}", f"{name}_{part}", values)

    places = "".join(
        table("uint32_t", f"places_{number}", decimal(
            np.argsort(result_order(config, n))[vector.columns] * _result_width(build)))
        for number, (vector, n) in enumerate(zip(build.outputs, columns, strict=True)))
    outputs = (
        f"    {{{string(vector.name)}, {len(vector.columns)}, {vector.frac}, "
        f"{n * _result_width(build) // _BITS_PER_BYTE}, {name}_places_{number}}},\n"
        for number, (vector, n) in enumerate(zip(build.outputs, columns, strict=True)))
    fields: dict[str, object] = {
        "name": f'"{name}"',
        "expected": machine, "n_expected": f"sizeof {machine} / sizeof *{machine}",
        "settings": f"{name}_settings", "n_settings": len(settings),
        **load.fields,
        "n_inputs": len(build.input.columns), "input_frac": build.input.frac,
        "input_width": config.act_width, "input_beats": count_input_beats(build),
        "input_headers": f"{name}_input_headers", "n_buffers": len(headers),
        "input_places": f"{name}_input_places",
        "outputs": f"{name}_outputs", "n_outputs": len(build.outputs),
        "result_width": _result_width(build)}
    if build.first_descriptor:
        fields["descriptor"] = build.first_descriptor
    if build.steps:
        fields |= {"steps": build.steps, "reset": build.reset}
    if clears := build.clearing_packets():
        fields |= {"clears": f"{name}_clears", "clear_beats": len(clears[0])}
    if build.preprocessing is not None:
        fields["preprocessing"] = f"{name}_preprocessing"
    if build.nonnegative_inputs:
        fields["nonnegative_inputs"] = "true"
    return "\n".join([
        _settings(f"{name}_settings", settings),
        table("uint64_t", "input_headers", hexadecimal(headers)),
        table("uint32_t", "input_places", _input_places(build)),
        *([table("uint64_t", "clears", hexadecimal(np.concatenate(clears)))] if clears else []),
        places + ("" if build.preprocessing is None else
                  preprocessing_table(f"{name}_preprocessing", build.preprocessing)),
        f"static const struct eie_output {name}_outputs[] = {{\n{''.join(outputs)}}};\n",
        structure(f"{scope}const struct eie_model", name, fields)])


def count_input_beats(build: Build) -> int:
    """Count the beats of the packet of an input."""
    return len(_input_packet(build, 0))


def count_result_beats(build: Build) -> int:
    """Count the beats of all outputs."""
    columns = output_columns(build.config, build.program)
    return sum(n_result_beats(build.config, n) for n in columns)


def preprocessing_table(name: str, preprocessing: FixedPreprocessing) -> str:
    """Format the preprocessing (n,) of elements of an input."""
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
