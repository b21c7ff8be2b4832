"""Public names of the packages, which are imported on first use."""

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["eie_hdl", "eie_compiler", "eie_driver", "eie_sim"]
NAMES = [(package, name) for package in PACKAGES
         for name in importlib.import_module(package).__all__]


@pytest.mark.parametrize("package, name", NAMES)
def test_every_public_name_resolves_and_is_listed(package, name):
    module = importlib.import_module(package)
    assert getattr(module, name) is not None
    assert name in dir(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_name_is_public(package):
    module = importlib.import_module(package)
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match=f"No {package} attribute Missing"):
        _ = module.Missing


@pytest.mark.parametrize("statement", [*(f"import {package}" for package in PACKAGES),
                                       "from eie_hdl import EIEConfig"])
def test_importing_a_package_loads_no_heavy_dependency(statement):
    script = (f"import sys\n{statement}\n"
              "print(sorted({'amaranth', 'numpy', 'scipy', 'cocotb', 'torch'} & set(sys.modules)))")
    run = subprocess.run([sys.executable, "-c", script], encoding="utf-8", capture_output=True,
                         check=True)
    assert run.stdout == "[]\n"
