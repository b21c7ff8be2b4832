"""Safe reading of .npz and .npy files: no pickle, and no allocation of merely declared sizes."""

import tokenize
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArchiveError", "read_array", "read_arrays"]

#: Greatest expansion of a file: bytes of its arrays that it may have in any case, and per byte of
#: the file. Deflate reaches 1032; pruned matrices stored densely stay far below this.
_MAX_FREE = 1 << 25
_MAX_RATIO = 64

#: Errors of zipfile and zlib on corrupt files, depending on the byte.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, OverflowError,
           NotImplementedError, RuntimeError)


class ArchiveError(ValueError):
    """Invalid archive of plain arrays; the message names the array, not the file."""


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz file, in the order of the file.

    Memory is allocated for bytes in the file, never for sizes that a header declares:
    ``numpy.load`` would allocate a declared terabyte. Overlapping members, which would expand the
    same bytes repeatedly, are refused.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ArchiveError
        If the file or an array is corrupt, or holds Python objects.
    """
    content = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
            promised = sum(member.file_size for member in members)
            if promised > max(_MAX_FREE, _MAX_RATIO * len(content)):
                raise ArchiveError(f"File must be an intact .npz archive, expanded at most "
                                   f"{_MAX_RATIO} times: its {len(content)} bytes promise arrays "
                                   f"of {promised} bytes")
            names = [member.filename.removesuffix(".npy") for member in members]
            if len(set(names)) < len(names):
                raise ArchiveError("File must not have two arrays of the same name")
            return {name: _read_array(name, _read_member(archive, member))
                    for name, member in zip(names, members)}
    except ArchiveError:
        raise
    except _BROKEN as error:
        raise ArchiveError(f"File must be an intact .npz archive: {error}") from error


def read_array(path: str | Path) -> NDArray[Any]:
    """Read an .npy file, with the checks of :func:`read_arrays`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ArchiveError
        If the file is corrupt, or holds Python objects; the message names the file.
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
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError, EOFError, RecursionError,
            MemoryError) as error:    # of the header, which is at most 10,000 bytes of Python
        raise ArchiveError(f"{name} must be an array in NumPy's .npy format: {error}") from error
    if dtype.kind not in "biufSU" or dtype.itemsize == 0:    # text of length 0 takes no bytes
        raise ArchiveError(f"{name} must contain numbers or text, not {dtype}")
    body = content[stream.tell():]
    count = 1
    for length in shape:    # not numpy.prod, which wraps
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(body):
        raise ArchiveError(f"{name} must have a header for its {len(body)} bytes, "
                           f"not for shape {shape} of {dtype}")
    try:
        return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")
    except ValueError as error:    # a dimension of zero beside one beyond any array
        raise ArchiveError(f"{name} must have a valid shape, not {shape}") from error
