"""Figures of a report show its layers and machines."""

import pytest

from eie_bench.paper.plots import draw
from eie_hdl.extras import install_command

pytest.importorskip("matplotlib", reason=install_command("bench"))


def test_every_figure_is_drawn_twice_and_names_its_layers(report, tmp_path):
    paths = draw(report, tmp_path)
    assert {path.name for path in paths} == {
        f"{name}.{kind}" for name in ("ratio", "time", "steps", "energy")
        for kind in ("png", "svg")}
    for path in paths:
        assert path.stat().st_size > 1000
        if path.suffix == ".svg":
            text = path.read_text(encoding="utf-8")
            assert ">small</text>" in text and ">other</text>" in text, path.name
