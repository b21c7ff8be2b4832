"""Use of the Yosys that comes with Amaranth, regardless of the environment."""

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator

import wasmtime

__all__ = ["builtin_yosys"]


@contextlib.contextmanager
def builtin_yosys() -> Iterator[None]:
    """Make Amaranth call its own Yosys, with a writable cache for its compiled code."""
    before = dict(os.environ)
    # Amaranth prefers an installed Yosys, whose Verilog differs.
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    if (home := _find_home()) is not None:
        # Without XDG_CACHE_HOME, and always on macOS, HOME determines the cache.
        os.environ.update(HOME=home, XDG_CACHE_HOME=home)
    try:
        yield
    finally:
        for name in ("AMARANTH_USE_YOSYS", "HOME", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def _find_home() -> str | None:
    """Return a temporary home folder, or None if the cache in the user's home is writable."""
    try:
        wasmtime.Config().cache = True
    except wasmtime.WasmtimeError:
        return _make_home()
    return None


@functools.cache
def _make_home() -> str:
    """Create a private folder, deleted at exit: compiled code must not be shared with others."""
    folder = tempfile.mkdtemp(prefix="eie-yosys-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
