"""What records say of their figures: machine, commit and tools."""

from pathlib import Path

import pytest

from eie_flows import provenance
from eie_flows.provenance import Provenance, trace
from eie_hdl.checkout import Checkout, CheckoutError, find_checkout
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.rtl.toolchain import Tool, ToolError

CONFIG = PRESETS["tiny"]


pytestmark = pytest.mark.usefixtures("tools")


def test_the_machine_its_commit_and_the_tools_are_keys_of_the_record():
    found = trace(CONFIG, "sta", "pyosys")
    try:
        commit = find_checkout(Path(provenance.__file__).parent).commit
    except CheckoutError:    # of a wheel
        assert found.sources is None
    else:
        assert found.sources.commit == commit
    sources = Checkout("a" * 40, "2026-01-02", ("M eie_hdl/core.py",))
    record = found._replace(sources=sources).as_dict()
    assert list(record) == ["config", "sources", "tools"]
    assert EIEConfig.from_mapping(record["config"]) == CONFIG
    assert record["sources"] == {"commit": "a" * 40, "date": "2026-01-02",
                                 "changes": ("M eie_hdl/core.py",)}
    assert record["tools"] == {"sta": "1.2", "pyosys": "1.2"}


def test_sources_that_are_in_no_checkout_are_null(monkeypatch):
    def find(folder, paths):
        raise CheckoutError("not a git repository")

    monkeypatch.setattr(provenance, "find_checkout", find)
    assert trace(CONFIG) == Provenance(CONFIG, None, {})
    assert trace(CONFIG).as_dict()["sources"] is None


def test_a_missing_tool_is_an_error(tools):
    tools.append(Tool.check("d", "work", None, None, "0", "apt install d"))
    with pytest.raises(ToolError, match="^d must be installed for work, but was not found: apt "
                                        "install d$"):
        trace(CONFIG, "sta", "d")
