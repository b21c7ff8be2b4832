"""Tasks of a folder of small models."""

import numpy as np
import pytest

from eie_bench.networks.probes import make_probes
from eie_bench.sharing import DataError


def test_each_model_gets_its_inputs_and_expected_results(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.onnx").write_bytes(b"")
    np.savez(tmp_path / "a.npz", x=np.ones((2, 3), np.float32), expected0=np.zeros((2, 1)))
    np.savez(tmp_path / "b.npz", x=np.ones((4, 3), np.float32), y=np.ones((4, 1), np.float32),
             expected0=np.zeros((3, 4)), expected1=np.zeros((4, 1)))
    first, second = make_probes(tmp_path)
    assert (first.name, first.n_verilog, first.expected[0].shape) == ("a", 2, (2, 1))
    assert list(second.inputs) == ["x", "y"] and first.proven
    assert [results.shape for results in second.expected] == [(3, 4), (4, 1)]


@pytest.mark.parametrize("arrays", [{"x": np.ones((2, 3))}, {"expected0": np.ones((2, 3))}])
def test_a_probe_must_have_inputs_and_expected_results(tmp_path, arrays):
    (tmp_path / "a.onnx").write_bytes(b"")
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match="a.npz must contain inputs and expected0, expected1, ..., "
                                        "the results of another implementation: write it with "
                                        "scripts/write"):
        make_probes(tmp_path)
