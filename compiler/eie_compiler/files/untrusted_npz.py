"""Arrays from an .npz file that nobody vouches for: no pickle, no size that is only promised."""

import tokenize
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArchiveError", "read_array", "read_arrays"]

#: Deflate makes at most 1032 bytes of one.
_MAX_RATIO = 1032

#: What zipfile and zlib raise on broken bytes, depending on which byte it is.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, OverflowError,
           NotImplementedError, RuntimeError)


class ArchiveError(ValueError):
    """A file that is no archive of plain arrays; the message names the array, not the file."""


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz file, in the order in which they were written.

    Memory is allocated for the bytes that are in the file, never for those that a header
    announces: ``numpy.load`` would believe a header that speaks of a terabyte. Nor for the same
    bytes again and again, as members that overlap have them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ArchiveError
        If the file or one of its arrays is broken, or holds Python objects.
    """
    content = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
            promised = sum(member.file_size for member in members)
            if promised > _MAX_RATIO * len(content):
                raise ArchiveError(f"File must be a whole .npz archive: its {len(content)} bytes "
                                   f"cannot hold arrays of {promised}")
            names = [member.filename.removesuffix(".npy") for member in members]
            if len(set(names)) < len(names):
                raise ArchiveError("File must not hold two arrays of the same name")
            return {name: _read_array(name, _read_member(archive, member))
                    for name, member in zip(names, members)}
    except ArchiveError:
        raise
    except _BROKEN as error:
        raise ArchiveError(f"File must be a whole .npz archive: {error}") from error


def read_array(path: str | Path) -> NDArray[Any]:
    """Read an .npy file, as :func:`read_arrays` reads one of .npz.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ArchiveError
        If it is broken, or holds Python objects; the message names the file.
    """
    return _read_array(str(path), Path(path).read_bytes())


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{member.filename} must be stored or deflated, "
                           f"not compressed by method {member.compress_type}")
    return archive.read(member)


def _read_array(name: str, content: bytes) -> NDArray[Any]:
    stream = BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError, EOFError) as error:
        raise ArchiveError(f"{name} must be an array in NumPy's format: {error}") from error
    if dtype.kind not in "biufSU" or dtype.itemsize == 0:    # text of no length takes no bytes
        raise ArchiveError(f"{name} must hold numbers or text, not {dtype}")
    body = content[stream.tell():]
    count = 1
    for length in shape:    # not numpy.prod, which wraps
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(body):
        raise ArchiveError(f"{name} must hold the {len(body)} bytes that are there, "
                           f"not {shape} of {dtype}")
    try:
        return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")
    except ValueError as error:    # a dimension of zero beside one that no array can have
        raise ArchiveError(f"{name} must have a possible shape, not {shape}") from error
