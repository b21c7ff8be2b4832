"""Standard-cell libraries."""

import dataclasses
from pathlib import Path

import pytest

from eie_flows.asic.libraries import LIBRARIES
from eie_sim.rtl.toolchain import ToolError


def test_a_library_that_is_not_installed_is_named_with_its_package():
    library = dataclasses.replace(LIBRARIES["osu018"], file=Path("/nowhere/osu018.lib"))
    with pytest.raises(ToolError, match="^the library osu018 must be installed for synthesis, but "
                                        "was not found in /nowhere/osu018.lib: apt install "
                                        "qflow-tech-osu018$"):
        library.find()
