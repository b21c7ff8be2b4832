"""Verilog that NNgen generates for a network, and its test bench, in a process of its own.

NNgen numbers its objects in one sequence for the whole process, and writes to the current folder.
"""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BENCH", "DESIGN", "TOP", "Generated", "Setting", "evaluate", "generate"]

#: Files of the design and of its test bench, and the name of the design's top module.
DESIGN, BENCH, TOP = "design.v", "bench.v", "peer"

#: File of the external memory, which the bench reads from the current folder.
_IMAGE = "memory.hex"

#: Words of the quantised input, weights and results, in bits: NNgen's smallest usual type.
_WIDTH = 8

#: Greatest magnitude of such a word, which stands for an input of 1.
_GREATEST = 2 ** (_WIDTH - 1) - 1

#: Bytes that NNgen aligns memories to, and the size of the external memory in bytes.
_CHUNK, _MEMORY = 64, 1 << 20

#: Bytes for intermediate results in the external memory.
_SCRATCH = 1 << 16

#: Cycles after which a simulation is given up, and time units of a cycle.
_DEADLINE, _CYCLE = 100_000_000, 10


class Setting(NamedTuple):
    """Parallelism of a design.

    Attributes
    ----------
    par : :class:`int`
        Inputs, and likewise outputs, that are computed at a time: ``par ** 2`` multipliers.
    bus : :class:`int`
        Width of the AXI bus to the external memory, in bits.
    """

    par: int
    bus: int

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"NNgen, {self.par} × {self.par}, {self.bus}-bit bus"


class Generated(NamedTuple):
    """A design, and what it must compute.

    Attributes
    ----------
    parameters : :class:`int`
        Bytes of weights, biases and scales that it reads from external memory.
    scores : int64 (n, n_outputs)
        Results of the images that the test bench runs, by NNgen's software model.
    """

    parameters: int
    scores: NDArray[np.int64]


def generate(onnx: Path, setting: Setting, calibration: NDArray[np.float64],
             images: NDArray[np.float64], folder: Path) -> Generated:
    """Write a design and a test bench that runs `images` one after the other.

    The bench is of NNgen's own parts. Its external memory answers after a cycle and never pauses,
    which is the best case for the design.

    Parameters
    ----------
    onnx : :class:`~pathlib.Path`
        Network.
    calibration : float64 (n, n_inputs)
        Images from which NNgen chooses its shifts.
    folder : :class:`~pathlib.Path`
        Destination of :data:`DESIGN`, :data:`BENCH` and the image of the memory.
    """
    return _apart(_generate, onnx.resolve(), setting, calibration, images, folder)


def evaluate(onnx: Path, calibration: NDArray[np.float64], images: NDArray[np.float64],
             folder: Path) -> NDArray[np.int64]:
    """Return the results of NNgen's software model, which do not depend on the setting."""
    return _apart(_evaluate, onnx.resolve(), calibration, images, folder)


def _apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, whose last argument is its folder, in a new process."""
    arguments[-1].mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _to_words(images: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip(np.rint(images * _GREATEST), -_GREATEST, _GREATEST).astype(np.int64)


def _read(onnx: Path, calibration: NDArray[np.float64]) -> tuple[Any, Any, list[Any]]:
    """Read and quantise a network; return its input, its output, and its layers."""
    import nngen

    word = nngen.dtype_int(_WIDTH)
    outputs, inputs, _, _, operators = nngen.from_onnx(
        str(onnx), default_placeholder_dtype=word, default_variable_dtype=word,
        default_constant_dtype=word, default_operator_dtype=word,
        default_scale_dtype=nngen.int32, default_bias_dtype=nngen.int32)
    words = _to_words(calibration)
    nngen.quantize(outputs, {"input": float(_GREATEST)},
                   input_generators={"input": lambda node, samples: words})
    layers = [one for one in operators.values() if isinstance(one, nngen.matmul)]
    return inputs["input"], outputs["output"], layers


def _run_model(output: Any, words: NDArray[np.int64]) -> NDArray[np.int64]:
    import nngen

    return np.concatenate([nngen.eval([output], input=words[number:number + 1])[0]
                           for number in range(len(words))])


def _evaluate(onnx: Path, calibration: NDArray[np.float64], images: NDArray[np.float64],
              folder: Path) -> NDArray[np.int64]:
    os.chdir(folder)
    return _run_model(_read(onnx, calibration)[1], _to_words(images))


def _generate(onnx: Path, setting: Setting, calibration: NDArray[np.float64],
              images: NDArray[np.float64], folder: Path) -> Generated:
    import nngen

    os.chdir(folder)
    placed, output, layers = _read(onnx, calibration)
    for layer in layers:
        layer.attribute(par_ich=setting.par, par_och=setting.par)
    words = _to_words(images)
    scores = _run_model(output, words)
    design = nngen.to_veriloggen([output], TOP, silent=True,
                                 config={"maxi_datawidth": setting.bus})
    Path(DESIGN).write_text(design.to_verilog(), encoding="utf-8")
    parameters = nngen.export_ndarray([output], _CHUNK)
    _write_bench(design, setting, placed, output, words, parameters)
    return Generated(len(parameters), scores)


def _align(address: int) -> int:
    return -(-address // _CHUNK) * _CHUNK


def _write_bench(design: Any, setting: Setting, placed: Any, output: Any,
                 words: NDArray[np.int64], parameters: NDArray[Any]) -> None:
    """Write the test bench, which prints the cycles of each image and then its results."""
    import nngen
    from veriloggen import Delay, Module, Not, Seq, Systask, simulation, thread
    from veriloggen.types import axi

    n_images, n_outputs = len(words), int(output.shape[-1])
    in_step, out_step = _align(placed.memory_size), _align(output.memory_size)
    scratch = _align(len(parameters))
    first_in = _align(scratch + _SCRATCH)
    first_out = first_in + n_images * in_step
    if first_out + n_images * out_step > _MEMORY:
        raise ValueError(f"images must fit the {_MEMORY} bytes of the external memory, not "
                         f"{n_images}: run fewer")
    memory_words = np.zeros(_MEMORY // 4, np.int64)
    axi.set_memory(memory_words, parameters, 32, 8, 0)
    for number in range(n_images):
        axi.set_memory(memory_words, words[number:number + 1], 32, _WIDTH,
                       first_in + number * in_step, max(setting.bus // _WIDTH, setting.par))

    bench = Module("bench")
    bench.copy_params(design)
    ports = bench.copy_sim_ports(design)
    clock, reset = ports["CLK"], bench.Wire("RST")
    reset.assign(Not(ports["RESETN"]))
    memory = axi.AxiMemoryModel(
        bench, "memory", clock, reset, datawidth=setting.bus, memimg=memory_words,
        memimg_name=_IMAGE, memimg_datawidth=32,
        write_delay=1, read_delay=1, sleep_interval=0, keep_sleep=0)
    memory.connect(ports, "maxi")
    control = thread.AXIMLite(bench, "control", clock, reset, noio=True)
    control.connect(ports, "saxi")
    now = bench.Reg("now", 32, initval=0)
    Seq(bench, "counting", clock, reset)(now.inc())

    def run() -> None:    # NNgen translates it to a state machine
        for image in range(n_images):
            nngen.sim.set_global_addrs(control, scratch, first_out + image * out_step,
                                       first_in + image * in_step, 0)
            begin = now.value
            nngen.sim.start(control)
            nngen.sim.wait(control)
            end = now.value
            print("cycles %d" % (end - begin))    # noqa: UP031
            for number in range(n_outputs):
                word = memory.read_word(number, first_out + image * out_step, _WIDTH)
                print("word %d" % word)    # noqa: UP031
        thread.finish()

    thread.Thread(bench, "host", clock, reset, run).start()
    bench.Instance(design, "dut", params=bench.connect_params(design),
                   ports=bench.connect_ports(design))
    simulation.setup_clock(bench, clock, hperiod=_CYCLE // 2)
    simulation.setup_reset(bench, ports["RESETN"], bench.make_reset(), period=10 * _CYCLE,
                           polarity="low").add(Delay(_DEADLINE * _CYCLE), Systask("finish"))
    Path(BENCH).write_text(bench.to_verilog(), encoding="utf-8")
