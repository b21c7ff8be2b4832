"""Synthesis of the machines that estimates of LUTs are fitted to: half an hour of Yosys.

``python -m eie_flows.measure_logic`` writes the file again, for the same parameters.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from eie_hdl.config import EIEConfig
from eie_hdl.export.names import MEMORY_MODULES
from eie_hdl.export.verilog import emit
from eie_hdl.files import write_file

from .cells import count_cells
from .logic import MEASURED
from .mapping import count, map_cells

__all__ = ["format_rows", "measure"]


def measure() -> dict[str, list[dict[str, Any]]]:
    """Synthesise all PEs and machines of the file."""
    former = json.loads(MEASURED.read_text(encoding="utf-8"))
    return {"pes": [_measure_pe(row["changes"]) for row in former["pes"]],
            "machines": [_measure_others(row["changes"]) for row in former["machines"]]}


def _measure_pe(changes: dict[str, int]) -> dict[str, Any]:
    """Cells of a PE, its LUT RAMs left out."""
    with tempfile.TemporaryDirectory(prefix="eie-") as folder:
        counts = count(map_cells(emit(EIEConfig.from_mapping(changes)).files, Path(folder),
                                 top="eie_pe"))
    return {"changes": changes, "lut4": counts.luts, "carry": counts.carry}


def _measure_others(changes: dict[str, int]) -> dict[str, Any]:
    """Cells of a machine without its PEs and memories, each module on its own."""
    config = EIEConfig.from_mapping(changes)
    machine, pe = (count_cells(emit(config).files, top=top, memories=" ".join(MEMORY_MODULES))
                   for top in ("eie", "eie_pe"))
    return {"changes": changes, "lut4": machine.lut4 - config.n_pe * pe.lut4,
            "carry": machine.carry - config.n_pe * pe.carry}


def format_rows(measured: dict[str, list[dict[str, Any]]]) -> str:
    """Format the file, a line for each synthesis."""
    parts = (f'  "{name}": [\n' + ",\n".join(f"    {json.dumps(row)}" for row in rows) + "\n  ]"
             for name, rows in measured.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    write_file(MEASURED, format_rows(measure()))
