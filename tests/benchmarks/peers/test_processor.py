"""One core of a processor: ONNX Runtime and SciPy compute the network, and their time is taken."""

import numpy as np
import pytest

from eie_bench import host
from eie_bench.peers.processor import clock_rate, make_product, measure_processor
from eie_hdl.extras import install_command


def test_a_sparse_product_computes_the_network(task):
    run = make_product(task.model)
    scores = np.concatenate([run(image[np.newaxis]) for image in task.images.astype(np.float32)])
    np.testing.assert_allclose(scores, task.model(task.images), atol=1e-5)


@pytest.mark.parametrize("clock", [None, 2e9])
def test_each_way_is_timed(task, tmp_path, monkeypatch, clock):
    pytest.importorskip("onnxruntime", reason=install_command("peers"))
    monkeypatch.setattr(host, "AT_LEAST", 0)
    rows = list(measure_processor(task, tmp_path, clock=clock))
    assert [(row.design, row.products) for row in rows] == [
        ("ONNX Runtime, float32", 72), ("ONNX Runtime, int8", 72), ("SciPy, CSR float32", 36)]
    assert [row.accuracy for row in rows[::2]] == [1, 1]
    assert rows[0].dense_accuracy == task.accuracy(task.dense(task.images)) < 1
    for row in rows:
        assert row.seconds > 0
        assert row.cycles == row.latency == (clock and row.seconds * clock)


@pytest.mark.parametrize("text, rate", [
    ("processor\t: 0\ncpu MHz\t\t: 2600.000\ncpu MHz\t\t: 800.0\n", 2.6e9),
    ("processor\t: 0\nBogoMIPS\t: 50.00\n", None), ("", None)])
def test_the_clock_rate_is_read_where_linux_reports_it(text, rate):
    assert clock_rate(text) == rate
