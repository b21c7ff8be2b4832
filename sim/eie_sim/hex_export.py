"""Export of a build as files for ``$readmemh``, with a bench in plain Verilog."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import result_order, result_type
from eie_hdl.export.bench import describe_bench
from eie_hdl.export.names import DEFAULT_NAME
from eie_hdl.files import staged, write_file
from eie_hdl.format import BEAT_WIDTH
from eie_hdl.registers import REGISTER

from .inference import infer, prepare
from .rtl.cocotb_engine import deadline

__all__ = ["HexExportError", "example_inputs", "export_hex"]

#: Folder of the memory images.
_IMAGES = "images"

_BYTES_PER_BEAT = BEAT_WIDTH // 8


class HexExportError(ValueError):
    """Name of a network that its machine has already, or a build that the bench cannot run."""


def example_inputs(build: Build, count: int = 4) -> NDArray[np.int64]:
    """Return input words from the whole range of the network's input, the same in every call."""
    rng = np.random.default_rng(1)
    width = build.config.act_width
    low = 0 if build.nonnegative_inputs else -(1 << width - 1)
    return rng.integers(low, 1 << width - 1, (count, len(build.input.columns)))


def export_hex(build: Build, folder: str | Path, inputs: ArrayLike, *, words: bool = False,
               name: str = "model", machine: str = DEFAULT_NAME) -> dict[str, int]:
    """Write a build for simulation in plain Verilog; return the size of each file in bytes.

    Writes one file for each memory to the folder ``images``, the beats of the input packets to
    ``inputs.hex``, those of the golden model's results to ``results.hex``, and the bench
    ``NAME_bench.v``.

    Parameters
    ----------
    build : :class:`~eie_compiler.build.Build`
        Build to export.
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination folder.
    inputs, words
        Inputs of the bench, as for :func:`~.inference.infer`.
    name : :class:`str`
        Name of the network, and prefix of the bench.
    machine : :class:`str`
        Name of the machine, as for :func:`eie_hdl.export.verilog.emit`.

    Raises
    ------
    HexExportError
        If both names are equal, or the machine has the name of the bench; or if the build keeps
        states, as the bench starts each inference at the same descriptor.
    VerilogNameError
        If a name is invalid.
    VectorError
        If the inputs do not match the network.
    """
    if name == machine:
        raise HexExportError(f"name must not be {name}, the name of the machine, whose bench "
                             f"would have the same name: choose another name")
    if machine == f"{name}_bench":
        raise HexExportError(f"machine must not be {machine}, the name of the bench: choose "
                             f"another name of the network")
    if build.steps:
        raise HexExportError("build must keep no states, as the bench starts all inferences at one "
                             "descriptor: run it with the driver in Python or C")
    values = prepare(build, inputs, words=words)
    sent = build.input_packets(values)
    received = _results(build, values)
    settings = {register: REGISTER[register].pack(**fields)
                for register, fields in build.settings.items()}
    files = {
        f"{name}_bench.v": describe_bench(
            build.config, name, machine=machine, settings=settings, n_inferences=len(values),
            input_beats=sent.shape[1], result_beats=len(received) // len(values),
            timeout=deadline(build)),
        "inputs.hex": "".join(f"{beat:016x}\n" for beat in sent.ravel().tolist()),
        "results.hex": "".join(received)}
    with staged(folder) as stage:
        images = build.write_images(stage / _IMAGES)
        for file, text in files.items():
            write_file(stage / file, text)
        return {file: (stage / file).stat().st_size
                for file in [*files, *(f"{_IMAGES}/{image}" for image in images)]}


def _results(build: Build, values: NDArray[np.int64]) -> list[str]:
    """Return a line for each beat of all results: TLAST, TKEEP, TDATA."""
    outputs = infer(build, values, words=True, engine="golden").outputs
    packets = []
    for vector, output in zip(build.outputs, outputs, strict=True):
        placed = np.zeros(output.shape, result_type(build.config))
        placed[:, vector.columns] = output
        packets.append(placed.take(result_order(build.config, output.shape[1]), axis=1))
    return [line for number in range(len(values)) for lanes in packets
            for line in _lines(lanes[number])]


def _lines(lanes: NDArray[np.signedinteger]) -> Iterator[str]:
    left = lanes.nbytes
    for beat in _beats(lanes):
        keep = (1 << min(left, _BYTES_PER_BEAT)) - 1
        left -= _BYTES_PER_BEAT
        yield f"{left <= 0:x}_{keep:02x}_{beat:016x}\n"


def _beats(lanes: NDArray[np.signedinteger]) -> Sequence[int]:
    padded = np.zeros(-(-lanes.nbytes // _BYTES_PER_BEAT) * _BYTES_PER_BEAT, np.uint8)
    padded[:lanes.nbytes] = lanes.view(np.uint8)
    beats: list[int] = padded.view("<u8").tolist()
    return beats
