"""Tables of number formats."""

from typing import Any

from .console import make_table, print_table

__all__ = ["show_formats"]


def show_formats(rows: list[dict[str, Any]]) -> None:
    """Print formats, from :func:`eie_compiler.compression.calibration.report_formats`."""
    what = "seen" if rows[0]["seen"] else "possible"
    print_table(make_table("numbers", f"least {what}", f"greatest {what}", "fraction bits",
                           "resolution", "clipped", "accumulator bits"), [
        [row["name"], f"{row['lowest']:.4g}", f"{row['highest']:.4g}", str(row["frac"]),
         f"{row['resolution']:.2g}", "–" if row["clipped"] is None else f"{row['clipped']:.3%}",
         _accumulator(row)] for row in rows])


def _accumulator(row: dict[str, Any]) -> str:
    """Bits that the sums of a layer can need, of those that the machine has; none for the input."""
    if "accumulator" not in row:
        return "–"
    bits = row["accumulator"]
    return bits["error"] if "error" in bits else f"{bits['bits']} of {bits['acc_width']}"
