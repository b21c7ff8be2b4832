"""Outputs are complete or absent, and never replace an input."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from eie_hdl.files import (
    OutputError,
    check_output,
    open_log,
    open_output,
    protect,
    protecting,
    staged,
    write_file,
    write_files,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_written_with_its_folders(tmp_path):
    write_file(tmp_path / "new" / "folder" / "a", "µ\n")
    assert (tmp_path / "new" / "folder" / "a").read_bytes() == "µ\n".encode()
    assert names(tmp_path / "new" / "folder") == ["a"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_file_is_the_former_one(tmp_path, stop):
    path = tmp_path / "a"
    path.write_text("former", encoding="utf-8")
    with pytest.raises(stop), open_output(path) as file:
        file.write(b"half")
        raise stop
    assert path.read_text(encoding="utf-8") == "former" and names(tmp_path) == ["a"]
    with pytest.raises(stop), open_output(tmp_path / "new" / "b") as file:
        raise stop
    assert names(tmp_path) == ["a"]


def test_an_interruption_after_a_file_was_renamed_remains_one(tmp_path, monkeypatch):
    replace = os.replace

    def interrupted(*paths):
        replace(*paths)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a", "whole")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "whole" and names(tmp_path) == ["a"]


def test_a_full_disk_names_the_path(tmp_path):
    with pytest.raises(OSError) as caught, open_output(tmp_path / "new" / "a"):
        full_disk()
    assert caught.value.filename == str(tmp_path / "new" / "a")
    assert names(tmp_path) == []
    with pytest.raises(OSError) as caught, staged(tmp_path / "b") as stage:
        write_file(stage / "c", "1")
        with open_output(stage / "d"):
            full_disk()
    assert caught.value.filename == str(tmp_path / "b" / "d")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:
        write_file(tmp_path / "file" / "a", "")
    assert str(caught.value.filename).startswith(str(tmp_path / "file"))


def test_permissions_are_those_of_the_former_file_or_of_any_new_one(tmp_path):
    former = os.umask(0o027)
    try:
        write_file(tmp_path / "a", "")
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(former)
    (tmp_path / "a").chmod(0o604)
    write_file(tmp_path / "a", "")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o604


def test_a_symbolic_link_is_followed_and_a_device_is_written_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "a")
    write_file(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "a").read_text(encoding="utf-8") == "x"
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    write_file(tmp_path / "pipe", "through")
    assert reader.communicate()[0] == b"through" and (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("link", ["same", "symlink_to", "hardlink_to"])
@pytest.mark.parametrize("write", [lambda path: write_file(path, ""), check_output,
                                   lambda path: open_log(path).close()])
def test_an_input_is_not_replaced_by_whatever_link(tmp_path, link, write):
    given, output = tmp_path / "x.npy", tmp_path / "out"
    given.write_text("data", encoding="utf-8")
    if link == "same":
        output = tmp_path / "." / "x.npy"
    else:
        getattr(output, link)(given)
    with protecting([given]), pytest.raises(OutputError) as caught:
        write(output)
    assert str(caught.value) == (f"output {output} must not be the input {given}, which would be "
                                 f"lost: choose another path")
    assert given.read_text(encoding="utf-8") == "data"
    write(output)    # the protection has ended


def test_files_that_an_input_names_are_inputs(tmp_path):
    path = tmp_path / "weights"
    path.write_text("data", encoding="utf-8")
    with pytest.raises(OutputError), protecting([path], [path]):
        raise AssertionError("the body must not run")
    with protecting([], [path]), pytest.raises(OutputError):
        protect(path)
    with protecting([], [tmp_path / "new"]):
        protect(path)
        with pytest.raises(OutputError):
            write_file(path, "new")
    assert path.read_text(encoding="utf-8") == "data"
    protect(path)    # without effect, as there are no outputs
    write_file(path, "new")


def test_files_of_an_input_folder_are_not_replaced(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("data", encoding="utf-8")
    (tmp_path / "alias").symlink_to("in")
    with protecting([tmp_path / "in"]):
        for path in (tmp_path / "in" / "a", tmp_path / "alias" / "a", tmp_path / "alias"):
            with pytest.raises(OutputError):
                check_output(path)
        with pytest.raises(OutputError), staged(tmp_path / "in") as stage:
            write_file(stage / "0", "new")
            write_file(stage / "a", "new")
        assert names(tmp_path / "in") == ["a"]
        write_file(tmp_path / "in" / "sub" / "b", "new")
    assert (tmp_path / "in" / "a").read_text(encoding="utf-8") == "data"


def test_staged_files_come_together_and_other_files_stay(tmp_path):
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (tmp_path / "a").write_text("former", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), staged(tmp_path) as stage:
        write_file(stage / "a", "new")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["a", "mine"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "former"
    with staged(tmp_path) as stage:
        write_file(stage / "a", "new")
        write_file(stage / "sub" / "b", "new")
    assert names(tmp_path) == ["a", "mine", "sub"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "new"
    assert (tmp_path / "sub" / "b").exists()


def test_the_last_file_is_moved_last(tmp_path, monkeypatch):
    moved, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (moved.append(new), replace(old, new)))
    with staged(tmp_path, last="b") as stage:
        for name in "abc":
            (stage / name).touch()
    assert [path.name for path in moved] == ["a", "c", "b"]


def test_an_error_while_files_are_moved_names_the_file_in_the_folder(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError) as caught, staged(tmp_path) as stage:
        (stage / "a").touch()
    assert caught.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == ["a"]


def test_a_log_can_be_read_while_it_is_written(tmp_path):
    with open_log(tmp_path / "new" / "log") as log:
        log.write("1\n")
        log.flush()
        assert (tmp_path / "new" / "log").read_text(encoding="utf-8") == "1\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["mkdtemp", "replace", "rmtree"])
def test_a_signal_while_a_folder_is_written_leaves_the_former_files_or_all_new_ones(
        tmp_path, monkeypatch, step, number):
    class Stop(BaseException):
        pass

    def stop(number, frame):
        raise Stop

    def signalled(*arguments, **options):
        try:
            return function(*arguments, **options)
        finally:
            signal.raise_signal(number)

    for name in "ab":
        (tmp_path / name).write_text("former", encoding="utf-8")
    module = {"mkdtemp": tempfile, "replace": os, "rmtree": shutil}[step]
    function = getattr(module, step)
    monkeypatch.setattr(module, step, signalled)
    former = signal.signal(number, stop)
    try:
        with pytest.raises(Stop), staged(tmp_path) as stage:
            for name in "ab":
                (stage / name).write_text("new", encoding="utf-8")
    finally:
        signal.signal(number, former)
    content = "former" if step == "mkdtemp" else "new"
    assert [path.read_text(encoding="utf-8") for path in sorted(tmp_path.iterdir())] == \
        [content] * 2


def test_a_signal_while_a_file_is_made_leaves_none(tmp_path, monkeypatch):
    make = tempfile.mkstemp

    def signalled(**options):
        made = make(**options)
        signal.raise_signal(signal.SIGINT)
        return made

    monkeypatch.setattr(tempfile, "mkstemp", signalled)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a", "new")
    assert names(tmp_path) == []


def test_signals_are_handled_as_before_and_ignored_ones_stay_ignored(tmp_path, monkeypatch):
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        before = signal.getsignal(signal.SIGINT)
        replace = os.replace
        monkeypatch.setattr(os, "replace", lambda *paths: (signal.raise_signal(signal.SIGTERM),
                                                           replace(*paths)))
        write_files(tmp_path, {"a": "new"})
        assert signal.getsignal(signal.SIGINT) == before
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, former)
    assert names(tmp_path) == ["a"]


def test_files_are_written_in_threads_which_handle_no_signals(tmp_path):
    thread = threading.Thread(target=write_files, args=(tmp_path, {"a": "new"}))
    thread.start()
    thread.join()
    assert names(tmp_path) == ["a"]


def test_one_process_moves_its_files_after_another(tmp_path, monkeypatch):
    replace, tried = os.replace, []

    def attempt(*paths):
        number = os.open(tmp_path, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(number)
        tried.append(paths)
        replace(*paths)

    monkeypatch.setattr(os, "replace", attempt)
    with staged(tmp_path) as stage:
        for name in "ab":
            (stage / name).touch()
    assert len(tried) == 2 and names(tmp_path) == ["a", "b"]


def test_no_file_is_moved_if_one_cannot_be(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("former", encoding="utf-8")
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_files(tmp_path, {"a": "new", "b": "new"})
    assert caught.value.filename == str(tmp_path / "b")
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / "sub")    # for root
    with pytest.raises(PermissionError) as caught, staged(tmp_path) as stage:
        write_file(stage / "a", "new")
        write_file(stage / "sub" / "c", "new")
    assert caught.value.filename == str(tmp_path / "sub" / "c")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "former"
