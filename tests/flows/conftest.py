"""Tools that records name, which need not be installed."""

import pytest

from eie_flows import provenance
from eie_sim.rtl.toolchain import Tool

NAMES = ("cocotb", "iverilog", "klayout", "pyosys", "qflow", "sta")


@pytest.fixture
def tools(monkeypatch):
    """Have records find tools, of version 1.2, whether they are there or not; return them."""
    tools = [Tool.check(name, "work", "1.2", f"/usr/bin/{name}", "0", f"apt install {name}")
             for name in NAMES]
    monkeypatch.setattr(provenance, "check_tools", lambda: tools)
    return tools
