"""Networks with scalers and normalisations keep their accuracy; so does the table in the docs."""

import importlib.util
import re
from pathlib import Path

import pytest

from eie_hdl.extras import install_command

pytest.importorskip("sklearn", reason=install_command("demo"))
pytest.importorskip("torch", reason=install_command("train"))

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pipelines():
    spec = importlib.util.spec_from_file_location(
        "pipelines", ROOT / "examples" / "pipelines" / "pipelines.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("data_set, network", [
    ("digits", "StandardScaler"), ("wine", "StandardScaler"), ("breast cancer", "StandardScaler"),
    ("wine", "BatchNorm before and between"), ("wine", "the same, units of several magnitudes")])
def test_a_scaler_costs_what_it_costs_on_the_host(pipelines, data_set, network):
    row = pipelines.measure(data_set, network, n_splits=1)
    assert row["now"] >= row["scaler_on_host"] - 0.03
    assert row["scaler_on_host"] >= row["model"] - 0.03 >= 0.9
    assert row["folded"] < row["now"] - 0.2


def test_the_table_of_the_docs_has_these_networks(pipelines):
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [\d.]+% \| ([\d.]+)% \| [\d.]+% \| ([\d.]+)% \|$",
                      page, flags=re.MULTILINE)
    assert [row[:2] for row in rows] == [(data_set, network) for data_set in pipelines.DATA_SETS
                                         for network in pipelines.NETWORKS]
    assert all(float(now) >= float(on_host) - 3 for *_, on_host, now in rows)
