"""Output files: written beside their place and renamed, and never over an input."""

import contextlib
import contextvars
import errno
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

__all__ = ["OutputError", "check_output", "open_log", "open_output", "protect", "protecting",
           "staged", "write_file", "write_files"]

#: Begin of the names of files and folders that are not complete yet.
_UNFINISHED = ".eie-unfinished-"

_inputs: contextvars.ContextVar[tuple[Path, ...]] = contextvars.ContextVar("inputs", default=())
_outputs: contextvars.ContextVar[tuple[Path, ...] | None] = contextvars.ContextVar("outputs",
                                                                                   default=None)


class OutputError(ValueError):
    """An output would replace an input; the message names both."""


@contextlib.contextmanager
def protecting(inputs: Iterable[str | Path], outputs: Iterable[str | Path] = ()) -> Iterator[None]:
    """Refuse to replace these files, and files directly in these folders, while the body runs.

    Parameters
    ----------
    inputs, outputs : paths
        Files and folders that the body reads, besides those that it passes to :func:`protect`; and
        those that it will write, so that they are refused before the body works for them.

    Raises
    ------
    OutputError
        If one of the outputs is an input.
    """
    tokens = _inputs.set((*_inputs.get(), *map(Path, inputs))), _outputs.set(
        tuple(map(Path, outputs)))
    try:
        for output in outputs:
            check_output(output)
        yield
    finally:
        _inputs.reset(tokens[0])
        _outputs.reset(tokens[1])


def protect(path: str | Path) -> None:
    """Refuse to replace a file that another one names, in the body of :func:`protecting`, if any.

    Raises
    ------
    OutputError
        If it is one of the outputs.
    """
    outputs = _outputs.get()
    if outputs is not None:
        _inputs.set((*_inputs.get(), Path(path)))
        for output in outputs:
            check_output(output)


def check_output(path: str | Path) -> None:
    """Check that a file or folder to be written is not an input, by whatever link.

    Raises
    ------
    OutputError
        If it was given to :func:`protecting` or :func:`protect`, or is directly in such a folder.
    """
    path = Path(path)
    if not path.exists():
        return
    for given in _inputs.get():
        inside = path.is_file() and given.is_dir() and given.resolve() == path.resolve().parent
        if inside or given.exists() and path.samefile(given):
            raise OutputError(f"output {path} must not be the input {given}, which would be lost: "
                              f"choose another path")


def write_file(path: str | Path, content: str | bytes) -> None:
    """Write a file as :func:`open_output` does; text in UTF-8."""
    with open_output(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_files(folder: str | Path, files: Mapping[str, str | bytes]) -> None:
    """Write all files, by name, or on failure none; as :func:`staged` and :func:`write_file`."""
    with staged(folder) as stage:
        for name, content in files.items():
            write_file(stage / name, content)


@contextlib.contextmanager
def open_output(path: str | Path, *, text: bool = False) -> Iterator[IO[Any]]:
    """Open a file that replaces `path` at the end of the body, which is left as it is on failure.

    Missing folders are made. A symbolic link is followed. A device, such as ``/dev/stdout``, is
    written to directly.

    Parameters
    ----------
    text : :class:`bool`
        Open for text in UTF-8, whose line ends are not converted; else for bytes.

    Raises
    ------
    OutputError
        If `path` is an input.
    OSError
        If the file cannot be written; its `filename` is `path`.
    """
    how: dict[str, Any] = {"mode": "w", "encoding": "utf-8", "newline": ""} if text else \
        {"mode": "wb"}
    with _naming(path), _making(Path(path).parent):
        check_output(path)
        place = Path(os.path.realpath(path))
        if place.exists() and not stat.S_ISREG(place.stat().st_mode):
            with place.open(**how) as file:
                yield file
            return
        name = None
        try:
            with _uninterrupted():
                number, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=place.parent)
            with os.fdopen(number, **how) as file:
                yield file
            Path(name).chmod(_mode(place))
            os.replace(name, place)
        except BaseException:
            # An interruption may come after the file was renamed.
            with _uninterrupted(), contextlib.suppress(FileNotFoundError):
                if name:
                    os.unlink(name)
            raise


def open_log(path: str | Path) -> IO[str]:
    """Open a file for lines of text that can be read while they are written.

    Raises
    ------
    OutputError
        If `path` is an input.
    """
    check_output(path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path).open("w", encoding="utf-8")


@contextlib.contextmanager
def staged(folder: str | Path, *, last: str = "") -> Iterator[Path]:
    """Make a folder whose files are moved to `folder` at the end of the body.

    On failure of the body, `folder` is left as it is; other files in `folder` always are. An
    interruption comes before all files are moved, or after. Of several processes, one moves its
    files after another.

    Parameters
    ----------
    last : :class:`str`
        Name of the file that is moved last.

    Raises
    ------
    OutputError
        If a file would replace an input.
    OSError
        If a file cannot be written; its `filename` is the path in `folder`.
    """
    folder = Path(folder)
    with _naming(folder), _making(folder):
        stage = None
        try:
            with _uninterrupted():
                stage = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
            yield stage
            files = sorted((path.relative_to(stage) for path in stage.rglob("*")
                            if not path.is_dir()), key=lambda path: (path == Path(last), path))
            for path in files:
                _check_place(folder / path)
            with _locked(folder), _uninterrupted():
                for path in files:
                    os.replace(stage / path, folder / path)
                shutil.rmtree(stage, ignore_errors=True)
        except OSError as error:
            if stage and error.filename \
                    and Path(os.fsdecode(error.filename)).is_relative_to(stage):
                error.filename2 = None
                error.filename = str(folder / Path(os.fsdecode(error.filename)).relative_to(stage))
            raise
        finally:
            if stage:
                with _uninterrupted():
                    shutil.rmtree(stage, ignore_errors=True)


def _check_place(path: Path) -> None:
    """Check that a file can be moved to `path`, before any file is moved; make its folder."""
    check_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Exclude other processes that move files to `folder`, if its file system has locks."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay signals that Python handles, such as of Ctrl-C, to the end of the body."""
    came: list[int] = []
    former: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():    # the only one that handles any
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(handler := signal.getsignal(number)):
                    former[number] = handler
                    signal.signal(number, lambda one, frame: came.append(one))
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextlib.contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Name `path` in errors that name no file, or an unfinished one."""
    try:
        yield
    except OSError as error:
        if error.errno and (error.filename is None
                            or Path(os.fsdecode(error.filename)).name.startswith(_UNFINISHED)):
            error.filename, error.filename2 = str(path), None
        raise


@contextlib.contextmanager
def _making(folder: Path) -> Iterator[None]:
    """Make a folder with its parents; remove those that it made if the body fails."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in missing:
            with contextlib.suppress(OSError):
                each.rmdir()
        raise


def _mode(path: Path) -> int:
    """Permissions of the file at `path`, or of a new one."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
