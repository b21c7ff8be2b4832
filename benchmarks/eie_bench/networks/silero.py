"""Voice activity detector silero-vad, from its file in ONNX, on synthetic sounds.

The file, which the front end for ONNX reads whole, computes one chunk and takes the states of the
LSTM from its user. Here, the chunks of a sound are a sequence with states that the network keeps,
made from the constants of the file: the convolutions and the LSTM. The host computes the spectrum
of each chunk in floating point.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operation import Shape
from eie_compiler.graph.operations.activation import Clip, Sigmoid, Tanh
from eie_compiler.graph.operations.arrangement import Concat, Reshape, Slice
from eie_compiler.graph.operations.elementwise import Add, Multiply
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_hdl.extras import missing

from ..sharing import DataError
from .task import Floats, Task

__all__ = ["make_silero", "make_sounds"]

Arrays = Mapping[str, NDArray[Any]]

#: Samples of a chunk at 16 kHz, and samples before it that its spectrum needs.
_CHUNK, _CONTEXT = 512, 64

#: Stride and width of the windows of the spectrum in samples.
_HOP, _WINDOW = 128, 256

_N_CELLS = 128

#: Chunks of a sound of four seconds.
_N_CHUNKS = 125


#: Sounds that are measured, and further ones for calibration.
_N_SOUNDS, _N_CALIBRATION = 8, 16

#: Damping of the compression: as sounds differ much, few samples must not decide. Chosen among
#: 0.1, 0.3, 1 and 4 by the largest difference of 24 further sounds, of seed 77.
_DAMPING = 1.0


def make_silero(path: Path) -> Task:
    """Make the task; its results in floating point are compared with ONNX Runtime.

    Parameters
    ----------
    path : path
        ``silero_vad_16k_op15.onnx`` of the package silero-vad.

    Raises
    ------
    DataError
        If the file is another one, or ONNX Runtime is not installed.
    """
    arrays = _read_constants(path)
    measured, others = make_sounds(_N_SOUNDS, seed=1), make_sounds(_N_CALIBRATION, seed=2)
    inputs, calibration = ({"spectrum": np.stack([_spectrum(arrays, sound) for sound in sounds])}
                           for sounds in (measured, others))
    expected = np.stack([_run_reference(path, sound) for sound in measured])
    return Task("silero-vad", "Silero Team, silero-vad of PyPI, MIT licence",
                functools.partial(_make_graph, arrays, _N_CHUNKS),
                inputs, calibration, (8,), damping=_DAMPING, expected=(expected,),
                remark="probabilities of synthetic sounds, 125 chunks each, calibrated on others; "
                       "damping of the compression chosen on 24 more; the host computes "
                       "spectra in floating point")


def _read_constants(path: Path) -> dict[str, NDArray[Any]]:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise DataError(missing("onnx", "to read it", "onnx")) from error
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:    # protobuf's errors have no common base
        raise DataError(f"{path} must be a model in ONNX: {error}") from error
    arrays = {tensor.name.removeprefix("model."): onnx.numpy_helper.to_array(tensor)
              for tensor in model.graph.initializer}
    shapes = {"stft.forward_basis_buffer": (258, 1, _WINDOW),
              "decoder.rnn.weight_ih": (4 * _N_CELLS, _N_CELLS),
              "decoder.decoder.2.weight": (1, _N_CELLS, 1)}
    for name, shape in shapes.items():
        if name not in arrays or arrays[name].shape != shape:
            raise DataError(f"{path} must be silero_vad_16k_op15.onnx, which has {name} of shape "
                            f"{shape}")
    return arrays


def make_sounds(count: int, *, seed: int) -> Floats:
    """Make sounds (count, samples): syllables of changing pitch and formants, noise, and both."""
    rng = np.random.default_rng(seed)
    n, rate = _N_CHUNKS * _CHUNK, 16_000
    time = np.arange(n) / rate
    sounds = []
    for number in range(count):
        pitch = rng.uniform(90, 240) * 2 ** (0.3 * np.sin(2 * np.pi * rng.uniform(0.3, 2) * time))
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        formants = [(centre * rng.uniform(0.7, 1.4) *
                     2 ** (0.3 * np.sin(2 * np.pi * rng.uniform(1, 4) * time + rng.uniform(0, 6))),
                     width) for centre, width in ((500, 90), (1500, 130), (2500, 200))]
        voice = np.zeros(n)
        for harmonic in range(1, 33):
            frequency = harmonic * pitch
            gain = sum(1 / (1 + ((frequency - centre) / width) ** 2) for centre, width in formants)
            voice += (gain * (frequency < 7000) / harmonic ** 0.5) * np.sin(harmonic * phase)
        syllables = np.clip(np.sin(2 * np.pi * rng.uniform(1.5, 4) * time), 0, 1) ** 0.5
        phrase = np.sin(2 * np.pi * time / 4 + rng.uniform(0, 6)) > -0.3
        voice *= syllables * phrase
        sound = (number % 4 != 3) * voice / max(np.abs(voice).max(), 1e-9) \
            + 10 ** rng.uniform(-3, -0.7) * rng.normal(size=n)
        sounds.append(rng.uniform(0.1, 0.8) * sound / np.abs(sound).max())
    return np.stack(sounds)


def _chunks(sound: Floats) -> Floats:
    """Cut a sound into chunks, each after the last samples of the chunk before."""
    padded = np.concatenate([np.zeros(_CONTEXT), sound])
    return sliding_window_view(padded, _CONTEXT + _CHUNK)[::_CHUNK]


def _spectrum(arrays: Arrays, sound: Floats) -> Floats:
    """Compute magnitudes (chunks, frequencies, 1, windows)."""
    basis = arrays["stft.forward_basis_buffer"][:, 0].astype(np.float64)
    chunks = np.pad(_chunks(sound), ((0, 0), (0, _CONTEXT)), mode="reflect")
    windows = sliding_window_view(chunks, _WINDOW, axis=1)[:, ::_HOP]
    parts = np.einsum("fw,cnw->cfn", basis, windows)
    n = len(basis) // 2
    return np.hypot(parts[:, :n], parts[:, n:])[:, :, np.newaxis]


def _run_reference(path: Path, sound: Floats) -> Floats:
    """Compute the probability of each chunk (chunks, 1) in ONNX Runtime."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise DataError(missing("ONNX Runtime", "for the reference", "peers")) from error
    session = onnxruntime.InferenceSession(path)
    state = np.zeros((2, 1, _N_CELLS), np.float32)
    found = []
    for chunk in _chunks(sound).astype(np.float32):
        output, state = session.run(None, {"input": chunk[np.newaxis], "state": state,
                                           "sr": np.array(16_000)})
        found.append(output[0])
    return np.stack(found).astype(np.float64)


def _make_graph(arrays: Arrays, n_chunks: int) -> Graph:
    """Make the graph of spectra (chunks, frequencies, 1, windows) to probabilities (chunks, 1)."""
    inputs: dict[str, Shape] = {"x": (129, 1, 4), "c": (_N_CELLS,), "h": (_N_CELLS,)}
    nodes, shape, operand = [], inputs["x"], "x"
    for number, stride in enumerate((1, 2, 2, 1)):
        weight, bias = (arrays[f"encoder.{number}.reparam_conv.{part}"]
                        for part in ("weight", "bias"))
        patches = Patches(tuple(shape), (1, 3), (1, stride), padding=(0, 1, 0, 1))    # type: ignore[arg-type]
        name = f"encoder{number}"
        layer = ModelLayer(name, weight.reshape(len(weight), -1), bias, relu=True)
        nodes.append(Node(name, Model((layer,), patches), (operand,)))
        shape, operand = (len(weight), *patches.output_shape), name
    weight = np.concatenate([arrays["decoder.rnn.weight_ih"], arrays["decoder.rnn.weight_hh"]], 1)
    gates = Model((ModelLayer("gates", weight, arrays["decoder.rnn.bias_ih"]
                              + arrays["decoder.rnn.bias_hh"]),))
    out = Model((ModelLayer("decoder", arrays["decoder.decoder.2.weight"][:, :, 0],
                            arrays["decoder.decoder.2.bias"]),))
    nodes += [Node("pixel", Reshape((_N_CELLS,)), (operand,)),
              Node("pixel_h", Concat(0), ("pixel", "h")),
              Node("gates", gates, ("pixel_h",)),
              *(Node(name, Slice(0, at * _N_CELLS, (at + 1) * _N_CELLS), ("gates",))
                for at, name in enumerate("ifgo")),
              *(Node(f"{name}_gate", Tanh() if name == "g" else Sigmoid(), (name,))
                for name in "ifgo"),
              Node("kept", Multiply(), ("f_gate", "c")),
              Node("added", Multiply(), ("i_gate", "g_gate")),
              Node("c_next", Add(), ("kept", "added")),
              Node("c_tanh", Tanh(), ("c_next",)),
              Node("h_next", Multiply(), ("o_gate", "c_tanh")),
              Node("h_relu", Clip(0.0, np.inf), ("h_next",)),
              Node("decoder", out, ("h_relu",)),
              Node("probability", Sigmoid(), ("decoder",))]
    body = Graph(inputs, tuple(nodes), ("probability",))
    return Graph({"spectrum": (n_chunks, *inputs["x"])},
                 (Node("chunks", Scan(body, (("c", "c_next"), ("h", "h_next"))), ("spectrum",)),),
                 ("chunks",))
