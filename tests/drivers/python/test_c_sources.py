"""The C driver's sources, found where this is installed."""

import shutil
import subprocess

import pytest

from eie_driver import c_sources
from eie_driver.c_sources import SOURCES, find_c_driver, write_driver


def test_all_that_the_driver_includes_is_found():
    folder = find_c_driver()
    for path in ("README.md", "example/digits.c", "example/example.h", "sim/bridge.cpp",
                 "sim/faults.c", "sim/interrupted_port.h", *SOURCES):
        assert (folder / path).is_file(), path


def test_a_wheel_has_the_driver_in_the_package(tmp_path, monkeypatch):
    package = tmp_path / "eie_driver"
    shutil.copytree(find_c_driver(), package / "c")
    monkeypatch.setattr(c_sources, "__file__", str(package / "c_sources.py"))
    assert find_c_driver() == package / "c"


@pytest.mark.parametrize("standard", ["c99", "c11"])
def test_the_copied_sources_compile_by_themselves(tmp_path, standard):
    sizes = write_driver(tmp_path / "src")
    assert {path.name: path.stat().st_size for path in (tmp_path / "src").iterdir()} == sizes
    subprocess.run(["gcc", f"-std={standard}", "-Wall", "-Werror", "-fsyntax-only", "eie.c"],
                   cwd=tmp_path / "src", check=True)
