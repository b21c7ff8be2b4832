"""Tables of number formats."""

from typing import Any

from .console import make_table, print_table

__all__ = ["show_formats"]


def show_formats(rows: list[dict[str, Any]], check: dict[str, Any] | None = None) -> None:
    """Print formats, and the errors measured with them.

    Parameters
    ----------
    rows
        As from :func:`eie_compiler.compression.calibration.report_formats`.
    check
        As from :func:`eie_compiler.compression.fidelity.measure_fidelity`, if there are data.
    """
    what = "seen" if rows[0]["seen"] else "possible"
    cells = [[row["name"], f"{row['lowest']:.4g}", f"{row['highest']:.4g}", str(row["frac"]),
              f"{row['resolution']:.2g}", _share(row["clipped"], 3), _accumulator(row)]
             for row in rows]
    errors = check.get("layers", []) if check else []
    for line, layer in zip(cells, errors):
        line += [_share(layer.get("zeroed"), 1), _share(layer["rounding_error"], 3),
                 _share(layer["error"], 2)]
    print_table(make_table("numbers", f"least {what}", f"greatest {what}", "fraction bits",
                           "resolution", "clipped", "accumulator bits",
                           *(["weights zeroed", "rounding error", "error"] if errors else [])),
                cells)


def _share(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}%}"


def _accumulator(row: dict[str, Any]) -> str:
    """Bits that the sums of a layer can need, of those that the machine has; none for the input."""
    if "accumulator" not in row:
        return "–"
    bits = row["accumulator"]
    return bits["error"] if "error" in bits else f"{bits['bits']} of {bits['acc_width']}"
