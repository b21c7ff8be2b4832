"""Cache of simulators: its folder, reuse of entries, and clearing."""

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from eie_sim.rtl import cache
from eie_sim.rtl.cache import (
    CACHE_VARIABLE,
    CacheError,
    cache_folder,
    clear_cache,
    list_entries,
    make_once,
)


def write(folder):
    (folder / "file").write_text("12345", encoding="utf-8")


def test_the_cache_is_the_users_unless_a_variable_or_the_caller_names_another(monkeypatch,
                                                                             tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder(tmp_path / "own") == tmp_path / "own"
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_folder() == platformdirs.user_cache_path("eie-hdl").resolve()


def test_tests_leave_the_users_cache_alone():
    assert Path(__file__).parents[3] in cache_folder().parents


def test_an_entry_is_reused(tmp_path):
    made = []
    for _ in range(2):
        path = make_once(tmp_path, "thing", ["a", 1], lambda folder: (write(folder),
                                                                     made.append(folder)))
        assert (path / "file").read_text(encoding="utf-8") == "12345"
    assert len(made) == 1


def test_another_identity_is_another_entry(tmp_path):
    first, second = (make_once(tmp_path, "thing", n, write) for n in range(2))
    assert first != second


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        make_once(tmp_path, "thing", 1, lambda folder: 1 / 0)
    assert list_entries(tmp_path) == []


def test_entries_are_listed_by_kind_and_age(tmp_path):
    old = make_once(tmp_path, "b-kind", 1, write)
    os.utime(old, (1000, 1000))
    make_once(tmp_path, "b-kind", 2, write)
    make_once(tmp_path, "a-kind", 1, write)
    (tmp_path / "making-xyz").mkdir()
    entries = list_entries(tmp_path)
    assert [entry.kind for entry in entries] == ["a-kind", "b-kind", "b-kind", "unfinished"]
    assert [entry.size for entry in entries] == [5, 5, 5, 0]
    assert entries[1].path == old and entries[1].made == 1000


def test_a_missing_cache_is_empty_and_is_not_created(tmp_path):
    assert list_entries(tmp_path / "none") == clear_cache(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_clearing_removes_entries_and_nothing_else(tmp_path):
    kept = ["notes-2024", "photos", "thing-0123456789abcdeg", "THING-0123456789abcdef"]
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / "file.lock").write_text("", encoding="utf-8")
    (tmp_path / "elsewhere-0123456789abcdef").symlink_to(tmp_path / "photos")
    made = make_once(tmp_path, "eie-verilator", 1, write)
    (tmp_path / "making-xyz").mkdir()
    assert [entry.path.name for entry in clear_cache(tmp_path)] == [made.name, "making-xyz"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *kept, "file.lock", "elsewhere-0123456789abcdef", "in-use.lock"}
    assert make_once(tmp_path, "eie-verilator", 1, write) == made and made.is_dir()


def test_a_cache_that_another_process_uses_is_not_cleared(tmp_path):
    text = ("import sys; from eie_sim.rtl.cache import make_once; "
            f"make_once({str(tmp_path)!r}, 'thing', 1, lambda folder: None); "
            "print('made', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout.readline() == "made\n"
        with pytest.raises(CacheError, match=(
                f"^{re.escape(str(tmp_path))} must not be in use while it is cleared, but another "
                "process uses it: try again when that has ended$")):
            clear_cache(tmp_path)
        assert len(list_entries(tmp_path)) == 1
    assert len(clear_cache(tmp_path)) == 1


def test_after_a_refusal_the_cache_is_still_held(tmp_path):
    with (tmp_path / "in-use.lock").open("a", encoding="utf-8") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with pytest.raises(CacheError):
            clear_cache(tmp_path)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_created_is_refused(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CacheError, match=(
            r"^The cache of simulators must be a writable folder, not \S+/file/cache "
            r"\(Not a directory\): set EIE_CACHE to another one$")):
        make_once(tmp_path / "file" / "cache", "thing", 1, write)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.os, "access", lambda path, mode: False)    # root can write anywhere
    with pytest.raises(CacheError, match=r"not \S+ \(it is read-only\): set EIE_CACHE"):
        make_once(tmp_path, "thing", 1, write)
