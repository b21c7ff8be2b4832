"""Fixtures of the register descriptions."""

import importlib
import os

import pytest

from eie_hdl.extras import install_command


@pytest.fixture(scope="session")
def missing():
    """Function that skips a test for the lack of a tool, but fails it in CI."""
    def report(what, advice):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what} is missing: {advice}")

    return report


@pytest.fixture(scope="module")
def systemrdl(missing):
    try:
        for name in ("peakrdl_cheader", "peakrdl_html", "peakrdl_ipxact"):
            importlib.import_module(name)
        import systemrdl
    except ImportError as error:
        missing(error.name, install_command("registers"))
    return systemrdl
