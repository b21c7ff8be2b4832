"""Per-user cache of compiled simulators and generated Verilog, which take long to make."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import platformdirs

__all__ = ["CACHE_VARIABLE", "UNFINISHED_PREFIX", "CacheError", "Entry", "cache_folder",
           "clear_cache", "entry_path", "list_entries", "make_once"]

#: Environment variable that overrides the cache folder.
CACHE_VARIABLE = "EIE_CACHE"

#: Version of the procedure that makes entries; a change invalidates older ones.
_RECIPE = 2

#: Lock held shared by each process that uses the cache, until it exits; exclusive for clearing.
_IN_USE = "in-use.lock"
#: Name prefix of folders being filled.
UNFINISHED_PREFIX = "making-"
_ENTRY = re.compile(r"(?P<kind>[a-z]\w*(-\w+)*)-[0-9a-f]{16}")

#: File descriptors of the locks that this process holds, by folder.
_held: dict[Path, int] = {}


class CacheError(RuntimeError):
    """Cache not writable or in use; the message includes the remedy."""


class Entry(NamedTuple):
    """An entry of the cache.

    Attributes
    ----------
    path : :class:`~pathlib.Path`
        Folder.
    kind : :class:`str`
        Name prefix, such as ``eie-verilator``; ``unfinished`` for one that a process is filling or
        was killed while filling.
    size : :class:`int`
        Bytes of all files.
    made : :class:`float`, seconds
        Time of creation, since the epoch.
    """

    path: Path
    kind: str
    size: int
    made: float


def cache_folder(folder: str | Path | None = None) -> Path:
    """Return `folder`, else the one named by :data:`CACHE_VARIABLE`, else the user's cache."""
    chosen = folder or os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("eie-hdl")
    return Path(chosen).resolve()


def entry_path(folder: Path, kind: str, identity: object) -> Path:
    """Return the path of the entry of an identity, plain JSON, which need not exist."""
    key = json.dumps([_RECIPE, identity])
    return folder / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def make_once(cache: str | Path | None, kind: str, identity: object,
              make: Callable[[Path], None]) -> Path:
    """Return the entry of an identity, making it if it does not exist.

    Parameters
    ----------
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache folder, as for :func:`cache_folder`. Several processes may share it.
    kind : :class:`str`
        Name prefix of the entry; the rest is a hash.
    identity
        Everything the entry depends on, as plain JSON.
    make : function of :class:`~pathlib.Path`
        Fills a temporary folder, which is then moved into place.

    Raises
    ------
    CacheError
        If the folder cannot be written.
    """
    root = cache_folder(cache)
    _keep_in_use(root)
    made = entry_path(root, kind, identity)
    with _locked(made.with_name(f"{made.name}.lock")):
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=root, prefix=UNFINISHED_PREFIX) as making:
                folder = Path(making) / "entry"
                folder.mkdir()
                make(folder)
                folder.rename(made)
    return made


def list_entries(folder: Path) -> list[Entry]:
    """Return all entries of a cache by kind and age; none if the folder does not exist."""
    entries = []
    for path in folder.iterdir() if folder.is_dir() else ():
        # A temporary folder of another process may disappear in the meantime.
        with contextlib.suppress(FileNotFoundError):
            if kind := _kind(path):
                size = sum(file.lstat().st_size for file in path.rglob("*"))
                entries.append(Entry(path, kind, size, path.stat().st_mtime))
    return sorted(entries, key=lambda entry: (entry.kind, entry.made))


def clear_cache(folder: Path) -> list[Entry]:
    """Remove all entries of a cache, but no other files; return the removed entries.

    Raises
    ------
    CacheError
        If another process uses the cache, or it cannot be written.
    """
    if not folder.is_dir():
        return []
    lock = _keep_in_use(folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        entries = list_entries(folder)
        for entry in entries:
            shutil.rmtree(entry.path)
        for path in folder.glob("*.lock"):
            if _ENTRY.fullmatch(path.stem):
                path.unlink()
    except BlockingIOError:
        raise CacheError(f"{folder} must not be in use while it is cleared, but another process "
                         f"uses it: try again when that has ended") from None
    finally:
        fcntl.flock(lock, fcntl.LOCK_SH)
    return entries


def _kind(path: Path) -> str | None:
    """Return the kind of an entry; None for other files."""
    if not path.is_dir() or path.is_symlink():
        return None
    if path.name.startswith(UNFINISHED_PREFIX):
        return "unfinished"
    match = _ENTRY.fullmatch(path.name)
    return match and match["kind"]


def _keep_in_use(root: Path) -> int:
    """Create the folder if needed, and prevent clearing it until this process exits."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not os.access(root, os.W_OK):
            raise PermissionError("it is read-only")
        if root not in _held:
            file = os.open(root / _IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(file, fcntl.LOCK_SH)
            _held[root] = file
    except OSError as error:
        raise CacheError(f"The cache of simulators must be a writable folder, not "
                         f"{root} ({error.strerror or error}): set {CACHE_VARIABLE} to another one"
                         ) from error
    return _held[root]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes, which a crash releases as well."""
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
