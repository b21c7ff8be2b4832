"""Bench of a machine in plain Verilog, with or without a network."""

import re
from collections.abc import Mapping

from ..config import EIEConfig
from ..format import FORMAT_VERSION
from ..registers import PRODUCT_ID, REGISTER, config_registers
from .names import DEFAULT_NAME, check_name, prefix_text, read_source

__all__ = ["describe_bench"]


def describe_bench(config: EIEConfig, name: str, *, machine: str = DEFAULT_NAME,
                   settings: Mapping[str, int] | None = None, n_inferences: int = 0,
                   input_beats: int = 1, result_beats: int = 1, timeout: int = 10_000) -> str:
    """Describe a module ``NAME_bench`` that tests a machine and ends with PASS or FAIL.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        Expected configuration of the machine.
    name : :class:`str`
        Prefix of the module.
    machine : :class:`str`
        Name of the machine, as for :func:`~.verilog.emit`.
    settings : mapping of :class:`str` to :class:`int`
        Values of registers to write before the first inference.
    n_inferences : :class:`int`
        Inferences in ``inputs.hex`` and ``results.hex``; 0 for a bench without a network.
    input_beats, result_beats : :class:`int`
        Beats of one inference to the machine and from it.
    timeout : :class:`int`, cycles
        Longest time without a transfer on any bus.

    Raises
    ------
    VerilogNameError
        If a name is invalid.
    """
    check_name(name)
    check_name(machine, parameter="machine")
    expected = {"ID": PRODUCT_ID, "FORMAT": FORMAT_VERSION} | config_registers(config)
    parts = {
        r"/\*n_inferences\*/ 0": str(n_inferences),
        r"/\*timeout\*/ 10000": str(timeout),
        r"/\*input_beats\*/ 0": str(input_beats),
        r"/\*result_beats\*/ 0": str(result_beats),
        r"\beie /\*parameters\*/": machine + (
            ' #(.IMAGE_FOLDER({FOLDER, "/images"})) ' if n_inferences else " "),
        r"/\*checks\*/\n": "".join(_call("check", *each, indent=2) for each in expected.items())
                         + "".join(_call("write", *each, indent=2)
                                   for each in (settings or {}).items()),
        r"/\*start\*/\n": _call("write", "START", 0, indent=3),
        r"/\*error\*/\n": _call("check", "ERROR", 0, indent=3),
    }
    text = read_source("eie_bench.v")
    for marker, part in parts.items():
        text = re.sub(marker, part, text)    # no part has a backslash
    return prefix_text(text, name)


def _call(task: str, register: str, value: int, *, indent: int) -> str:
    return (f"{'    ' * indent}{task}(10'h{REGISTER[register].address:03x}, 32'h{value:08x});"
            f"    // {register}\n")
