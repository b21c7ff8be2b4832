"""`eie cache` (`eie_cli.cache`): its table, its total, and clearing."""

import os
import re

import pytest

from eie_sim.rtl.cache import CACHE_VARIABLE, make_once


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder):
    (folder / "file").write_bytes(bytes(1 << 20))


@pytest.fixture
def filled(folder):
    """A cache of two Verilog folders and a simulator of 1 MiB each."""
    for kind, number, made in [("verilog", 1, 1e9), ("verilog", 2, 1.5e9), ("eie-icarus", 1, 2e9)]:
        path = make_once(folder, kind, number, write)
        os.utime(path, (made, made))
    return folder


def test_an_empty_cache_is_shown_as_empty(eie, folder):
    assert eie("cache") == (0, f"{folder}: 0 entries, 0.0 MiB\n")


def test_entries_are_counted_by_kind(eie, filled):
    code, text = eie("cache")
    assert code == 0
    assert text.startswith(f"{filled}: 3 entries, 3.0 MiB\n")
    rows = [line.split() for line in text.splitlines()[2:] if line]
    assert rows[0] == ["kind", "entries", "size", "oldest", "newest"]
    assert [row[:4] for row in rows[1:]] == [["eie-icarus", "1", "1.0", "MiB"],
                                             ["verilog", "2", "2.0", "MiB"]]
    assert [re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", line)[0][:4]
            for line in text.splitlines()[3:] if line] == ["2033", "2001"]


def test_clearing_reports_what_it_has_removed(eie, filled):
    assert eie("cache", "--clear") == (0, f"{filled}: 3 entries removed, 3.0 MiB\n")
    assert eie("cache") == (0, f"{filled}: 0 entries, 0.0 MiB\n")


@pytest.mark.parametrize("command", ["run", "demo"])
def test_commands_that_simulate_name_the_cache(eie, command):
    assert "`eie cache`" in " ".join(eie(command, "--help")[1].split())
