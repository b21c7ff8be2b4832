"""Error of shared weights.

Tables and files are those of the command `eie_cli.bench.sharing`.
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from eie_bench.sharing import V_WIDTHS, DataError, measure_all, read_digits
from eie_cli.main import main
from eie_compiler.compression.quantisers import KMEANS_INITS
from eie_compiler.frontends import read_model


@pytest.fixture
def files(tmp_path):
    """A model of one layer, and images most of which it recognises."""
    rng = np.random.default_rng(3)
    weight, images = rng.normal(size=(4, 9)), rng.integers(0, 256, (50, 3, 3), np.uint8)
    labels = (images.reshape(50, 9) @ weight.T).argmax(axis=1)
    labels[:5] = (labels[:5] + 1) % 4
    np.savez(tmp_path / "model.npz", **{"a.weight": weight, "a.bias": np.zeros(4)})
    np.savez(tmp_path / "data.npz", test_images=images, test_labels=labels)
    return tmp_path / "model.npz", tmp_path / "data.npz"


def test_more_bits_have_less_error(files):
    model, digits = read_model(files[0]), read_digits(files[1])
    assert digits.accuracy(model) == 0.9
    rows = list(measure_all(model, digits))
    assert [(row.v_width, row.kmeans_init) for row in rows] == [
        (v_width, init) for v_width in V_WIDTHS for init in KMEANS_INITS]
    exact = [row.squared_error for row in rows if row.kmeans_init == "exact"]
    assert exact == sorted(exact, reverse=True)
    assert exact[-1] == 0    # 255 values for 36 weights
    assert rows[-1].accuracy == 0.9


def test_the_table_is_printed_and_kept_as_json(files, tmp_path):
    path = tmp_path / "sub" / "sharing.json"
    result = CliRunner().invoke(main, ["bench", "sharing", *map(str, files), "-o", str(path)],
                                catch_exceptions=False)
    assert result.exit_code == 0
    assert "90.00% before" in result.output
    assert result.output.count("exact") == len(V_WIDTHS)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert (kept["schema_version"], kept["accuracy"]) == (1, 0.9)
    assert len(kept["rows"]) == len(V_WIDTHS) * len(KMEANS_INITS)
    assert kept["rows"][-1].keys() == {"v_width", "kmeans_init", "squared_error", "accuracy"}


def test_data_without_labels_are_rejected(tmp_path):
    np.savez(tmp_path / "data.npz", test_images=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DataError, match="must contain test_images and as many test_labels, not "
                                        "test_images$"):
        read_digits(tmp_path / "data.npz")
