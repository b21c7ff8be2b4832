"""Figures as files."""

import sys

import pytest

from eie_bench.plotting import PlottingError, require_matplotlib, save_figure
from eie_hdl.extras import install_command


def test_figure_is_written_as_png_and_svg_and_always_the_same(tmp_path):
    figure = pytest.importorskip("matplotlib.figure", reason=install_command("bench"))
    contents = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        plot = figure.Figure()
        plot.add_subplot().plot([1, 3, 2], "o-", label="line")
        plot.legend()
        paths = save_figure(plot, folder, "plot")
        assert paths == [folder / "plot.png", folder / "plot.svg"]
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]
    png, svg = contents[0]
    assert png.startswith(b"\x89PNG")
    assert b">line</text>" in svg


def test_missing_matplotlib_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlottingError, match=r"^matplotlib must be installed to draw figures, but "
                                            r"was not found: pip install .*\[bench\]'$"):
        require_matplotlib()
