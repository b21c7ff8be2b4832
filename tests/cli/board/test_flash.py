"""`eie board ulx3s flash` (eie_cli.board.flash)."""

import stat

import pytest


@pytest.fixture
def bitstream(tmp_path):
    path = tmp_path / "design.bit"
    path.write_bytes(b"bits")
    return path


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install programs that log their arguments, in place of all others."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def make(*names, code=0):
        for name in names:
            path = tmp_path / "bin" / name
            path.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/log\nexit {code}\n',
                            encoding="utf-8")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "log"

    return make


@pytest.mark.parametrize("names, options, expected", [
    (["openFPGALoader", "fujprog"], [], "openFPGALoader --board ulx3s {}"),
    (["openFPGALoader"], ["--permanent"], "openFPGALoader --board ulx3s --write-flash {}"),
    (["fujprog"], [], "fujprog {}"),
    (["fujprog"], ["--permanent"], "fujprog -j flash {}")])
def test_the_program_that_is_installed_is_called(eie, bitstream, install, names, options, expected):
    log = install(*names)
    code, text = eie("board", "ulx3s", "flash", "--bitstream", bitstream, *options)
    assert code == 0, text
    assert log.read_text(encoding="utf-8") == expected.format(bitstream) + "\n"


def test_a_program_that_fails_is_reported(eie, bitstream, install):
    install("fujprog", code=3)
    code, text = eie("board", "ulx3s", "flash", "--bitstream", bitstream)
    assert (code, text) == (2, "eie: fujprog failed (3): check that the board is connected at US1, "
                               "and that you may access it\n")


def test_without_a_program_or_a_bitstream_nothing_is_done(eie, bitstream, install, monkeypatch,
                                                          tmp_path):
    install()
    code, text = eie("board", "ulx3s", "flash", "--bitstream", bitstream)
    assert (code, text) == (2, "eie: A program to load bitstreams must be installed, but neither "
                               "openFPGALoader nor fujprog was found: apt install "
                               "openfpgaloader\n")
    monkeypatch.chdir(tmp_path)
    code, text = eie("board", "ulx3s", "flash")
    assert (code, text) == (2, "eie: Bitstream must be built first, but there is no "
                               "build/board/eie_ulx3s.bit: eie board ulx3s build\n")
