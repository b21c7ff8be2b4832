"""Public names of the package, which are imported on first use."""

import subprocess
import sys

import pytest

import eie_hdl


@pytest.mark.parametrize("name", eie_hdl.__all__)
def test_every_public_name_resolves_and_is_listed(name):
    assert getattr(eie_hdl, name) is not None
    assert name in dir(eie_hdl)


def test_only_public_names_are_exported():
    assert sorted(eie_hdl._MODULES) == sorted(eie_hdl.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="^module 'eie_hdl' has no attribute 'Accelerator'$"):
        eie_hdl.__getattr__("Accelerator")


@pytest.mark.parametrize("statement", ["import eie_hdl", "from eie_hdl import EIEConfig"])
def test_package_and_configuration_load_neither_amaranth_nor_numpy(statement):
    script = (f"import sys\n{statement}\n"
              "print(sorted({'amaranth', 'numpy'} & set(sys.modules)))")
    run = subprocess.run([sys.executable, "-c", script], encoding="utf-8",
                         capture_output=True, check=True)
    assert run.stdout == "[]\n"
