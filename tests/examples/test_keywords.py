"""The example that retrains a published LSTM: its division of the clips, and the table in the docs.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.training.data import read_data
from eie_hdl.extras import install_command

pytest.importorskip("torch", reason=install_command("train"))

ROOT = Path(__file__).parents[2]
FEATURES = ROOT.parent / "shared" / "data" / "kws" / "features_49x10.npz"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location(
        "retrain_lstm", ROOT / "examples" / "keywords" / "retrain_lstm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def clips_of(count):
    """Three clips of each speaker, and one of silence for each."""
    speakers = [f"{7919 * number:08x}" for number in range(count)]
    return np.array([clip.encode() for speaker in speakers for clip in (
        f"yes/{speaker}_nohash_0.wav", f"no/{speaker}_nohash_2.wav",
        f"_unknown_/backward_{speaker}_nohash_1.wav.wav", f"_silence_/{speaker}.wav")])


def test_no_speaker_is_in_both_parts(example):
    chosen = example.is_for_training(clips_of(200)).reshape(200, 4)
    assert (chosen[:, :3] == chosen[:, :1]).all()
    assert (chosen[:, 3] != chosen[:, 0]).any()
    assert 0.6 < chosen[:, 0].mean() < 0.8


def test_data_are_features_of_all_clips_in_their_shape(example, tmp_path):
    clips = clips_of(10)
    features = np.arange(40 * 6, dtype=np.int16).reshape(40, 3, 2)
    np.savez(tmp_path / "f.npz", features=features, scale=0.25, clips=clips,
             labels=np.arange(40) % 3)
    example.write_data(tmp_path / "data.npz", tmp_path / "f.npz")
    data = read_data(tmp_path / "data.npz", validation=0)
    assert data.shape == (3, 2)
    chosen = example.is_for_training(clips)
    np.testing.assert_array_equal(data.test.inputs, features[~chosen].reshape(-1, 6) / 4)
    np.testing.assert_array_equal(data.test.targets, (np.arange(40) % 3)[~chosen])
    assert len(data.train) == chosen.sum()


@pytest.mark.skipif(not FEATURES.exists(), reason="needs kws in ../shared/data")
def test_the_clips_are_those_of_the_docs(example):
    chosen = example.is_for_training(np.load(FEATURES)["clips"])
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    train, test = (int(count.replace(",", "")) for count in re.search(
        r"into ([\d,]+) for training.* and ([\d,]+) for the\s+figures", page).groups())
    assert (chosen.sum(), (~chosen).sum()) == (train, test)
