"""Reproducible figure files, byte for byte, from matplotlib."""

from pathlib import Path
from typing import TYPE_CHECKING

from eie_hdl.extras import missing
from eie_hdl.files import open_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PlottingError", "require_matplotlib", "save_figure"]

#: Dots per inch of a PNG file.
_DPI = 150


class PlottingError(RuntimeError):
    """matplotlib is missing; the message says what to install."""


def require_matplotlib() -> None:
    """Check early that matplotlib is installed, or raise :class:`PlottingError`."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PlottingError(missing("matplotlib", "to draw figures", "bench")) from error


def save_figure(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write a figure as ``name.png`` and ``name.svg``; return both paths."""
    from matplotlib import rc_context

    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    # No random IDs or date in the SVG; text stays text, in one font or a similar one.
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none",
                     "font.sans-serif": ["DejaVu Sans"]}):
        with open_output(png) as file:
            figure.savefig(file, format="png", dpi=_DPI)
        with open_output(svg) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})
    return [png, svg]
