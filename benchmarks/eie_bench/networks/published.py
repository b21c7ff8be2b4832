"""Published networks: SqueezeNet of Deep Compression, and ARM's keyword spotting."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eie_compiler.files.untrusted_npz import read_arrays
from eie_compiler.frontends.topology import read_topology
from eie_compiler.graph.graph import Graph
from eie_hdl.config import EIEConfig

from .projected_lstm import make_projected_lstm
from .task import Floats, Task, read_fields, read_graph

__all__ = ["SQUEEZENET_MACHINE", "make_keyword_spotting", "make_squeezenet"]

#: Memories for 26 layers together: 422,000 entries with codes of 8 bits.
SQUEEZENET_MACHINE = EIEConfig(n_pe=16, spmat_depth=8192, ptr_depth=8192, act_depth=2048,
                               n_codebooks=32, program_depth=256)

#: Clips that choose formats and shared weights; the data have no training set.
_CALIBRATION = slice(996, 1200)

#: Clips of a quick run: the first 996 are 83 of each class.
_QUICK = 996

#: Mean that is subtracted from the channels of a picture.
_MEAN = np.array([104.0, 117.0, 123.0]).reshape(3, 1, 1)


def make_squeezenet(folder: Path, n_verilog: int = 1) -> Task:
    """Make the task of the compressed SqueezeNet, whose codes of 8 bits stay as they are.

    Parameters
    ----------
    folder : path
        Folder of ``compressed_SqueezeNet.net``, ``network.json`` and ``pictures.npz``.
    n_verilog : :class:`int`
        Pictures in Verilog.

    Raises
    ------
    DataError, ArchiveError
        If the pictures cannot be read.
    """
    pictures, logits = read_fields(folder / "pictures.npz", "pictures", "logits")
    inputs = {"data": pictures.astype(np.float64) - _MEAN}
    return Task("SqueezeNet", "Deep Compression, as published",
                functools.partial(read_topology, folder / "compressed_SqueezeNet.net",
                                  topology=folder / "network.json"),
                inputs, inputs, (8,), SQUEEZENET_MACHINE, expected=(logits,), n_verilog=n_verilog,
                batch=1, remark="formats chosen for the pictures that are classified")


def make_keyword_spotting(folder: Path, *, quick: bool = False) -> list[Task]:
    """Make the tasks of DS_CNN_S, Basic_LSTM_S, LSTM_S and GRU_S.

    Parameters
    ----------
    folder : path
        Folder of ``features_49x10.npz``, ``reference_logits.npz`` and the models.
    quick : :class:`bool`
        True for LSTM_S with codes of 4 bits on the first 996 clips alone.

    Raises
    ------
    DataError, ArchiveError
        If the features cannot be read.
    """
    features, scale, labels = read_fields(folder / "features_49x10.npz", "features", "scale",
                                          "labels")
    clips = features * float(scale)
    logits = {key: (results,) for key, results in
              read_arrays(folder / "reference_logits.npz").items()}

    def task(name: str, read: Callable[[], Graph], inputs: Floats, *, n_verilog: int = 10) -> Task:
        return Task(f"{name}_S", "ARM, ML-KWS-for-MCU", read, {"features": inputs},
                    {"features": inputs[_CALIBRATION]}, labels=labels,
                    expected=logits.get(f"{name.lower()}_s", ()), n_verilog=n_verilog,
                    remark="calibrated on clips 996 to 1199 of the test set, as there is no "
                           "training set")

    def read(name: str) -> Callable[[], Graph]:
        return functools.partial(read_graph, folder / f"{name}.onnx")

    lstm = task("LSTM", lambda: make_projected_lstm(read_arrays(folder / "lstm_s.npz"), 25),
                clips[:, ::2])
    if quick:
        return [lstm.first(_QUICK)]
    return [task("DS_CNN", read("ds_cnn_s"), clips[:, np.newaxis], n_verilog=20),
            task("Basic_LSTM", read("basic_lstm_s"), clips), lstm,
            task("GRU", read("gru_s"), clips[:, ::2])]
