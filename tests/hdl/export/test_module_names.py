"""Names of modules that are found without the Verilog, compared with it."""

import dataclasses
import re

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.export.module_names import list_names
from eie_hdl.export.verilog import emit


@pytest.mark.parametrize("n_pe", [1, 4])
def test_names_are_those_of_the_verilog_and_of_modules_of_constants(n_pe):
    config = dataclasses.replace(PRESETS["tiny"], n_pe=n_pe)
    names = list_names(config)
    text = "".join(text for name, text in emit(config).files.items() if name.endswith(".v"))
    emitted = set(re.findall(r"^module (\w+)", text, re.MULTILINE)) - {"eie_bench"}
    assert "eie_pe_decode" in emitted and "eie_sram" in emitted
    assert emitted <= names <= emitted | {"eie_identity"}
