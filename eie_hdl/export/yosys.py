"""Yosys that comes with Amaranth, whatever the environment."""

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
    """Let Amaranth call its own Yosys, whose compiled code has a cache that can be written."""
    before = dict(os.environ)
    # Another Yosys, which Amaranth would prefer, writes other Verilog.
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    if (home := _find_home()) is not None:
        # HOME decides where there is no XDG_CACHE_HOME, and on macOS always.
        os.environ.update(HOME=home, XDG_CACHE_HOME=home)
    try:
        yield
    finally:
        for name in ("AMARANTH_USE_YOSYS", "HOME", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def _find_home() -> str | None:
    """Temporary home folder if the cache cannot be in the user's; None if it can."""
    try:
        wasmtime.Config().cache = True
    except wasmtime.WasmtimeError:
        return _make_home()
    return None


@functools.cache
def _make_home() -> str:
    """Folder for as long as this process: compiled code must not be anybody else's."""
    folder = tempfile.mkdtemp(prefix="eie-yosys-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
