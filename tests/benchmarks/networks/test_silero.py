"""silero-vad: its sounds, and a file that is another one."""

import re

import numpy as np
import pytest

from eie_bench.networks import silero
from eie_bench.sharing import DataError
from eie_compiler.graph.evaluation import evaluate_real


def test_sounds_are_within_the_range_and_repeatable():
    sounds = silero.make_sounds(2, seed=3)
    assert sounds.shape == (2, 64_000) and 0.1 <= np.abs(sounds).max() <= 0.8
    np.testing.assert_array_equal(sounds, silero.make_sounds(2, seed=3))


def test_the_graph_takes_spectra_and_gives_a_probability_for_each_chunk():
    rng = np.random.default_rng(1)
    shapes = {f"encoder.{number}.reparam_conv.{part}": (rows, columns, 3)[:3 if part == "weight"
                                                                          else 1]
              for number, (rows, columns) in enumerate([(128, 129), (64, 128), (64, 64), (128, 64)])
              for part in ("weight", "bias")}
    shapes |= {f"decoder.rnn.{name}": (512, 128)[:2 if "weight" in name else 1]
               for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    shapes |= {"decoder.decoder.2.weight": (1, 128, 1), "decoder.decoder.2.bias": (1,),
               "stft.forward_basis_buffer": (258, 1, 256)}
    arrays = {name: 0.05 * rng.normal(size=shape).astype(np.float32)
              for name, shape in shapes.items()}
    spectra = silero._spectrum(arrays, silero.make_sounds(1, seed=1)[0])
    assert spectra.shape == (125, 129, 1, 4)
    graph = silero._make_graph(arrays, 2)
    found = evaluate_real(graph, {"spectrum": spectra[np.newaxis, :2]})["chunks"]
    assert found.shape == (1, 2, 1) and (0 < found).all() and (found < 1).all()


def test_another_file_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "net.onnx").write_bytes(b"no")
    with pytest.raises(DataError, match="must be a model in ONNX"):
        silero.make_silero(tmp_path / "net.onnx")
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    onnx.save(empty, tmp_path / "net.onnx")
    message = f"{tmp_path / 'net.onnx'} must be silero_vad_16k_op15.onnx, which has " \
              "stft.forward_basis_buffer of shape (258, 1, 256)"
    with pytest.raises(DataError, match=re.escape(message)):
        silero.make_silero(tmp_path / "net.onnx")
