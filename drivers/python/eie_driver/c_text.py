"""Text of C source: arrays of constants, strings and structures."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["array", "decimal", "header", "hexadecimal", "string", "structure"]

#: Maximum length of a line of an array.
_LINE_LENGTH = 100


def array(kind: str, name: str, values: Iterable[str]) -> str:
    """Format the definition of a constant array, with as many elements per line as fit."""
    lines = [""]
    for value in values:
        if len(lines[-1]) + len(value) + len("     ,") > _LINE_LENGTH:
            lines.append("")
        lines[-1] += f" {value},"
    body = "".join(f"   {line}\n" for line in lines)
    return f"{kind} {name}[] = {{\n{body}}};\n"


def structure(kind: str, name: str, fields: Mapping[str, object]) -> str:
    """Format the definition of a constant structure."""
    body = "".join(f"    .{key} = {value},\n" for key, value in fields.items())
    return f"{kind} {name} = {{\n{body}}};\n"


def header(name: str, comment: str, include: str, sizes: Mapping[str, int], kind: str) -> str:
    """Format a header that declares a constant structure and its sizes."""
    lines = "".join(f"    {name.upper()}_{key} = {value},\n" for key, value in sizes.items())
    return (f"/* {comment} */\n"
            f"#ifndef EIE_MODEL_{name.upper()}_H\n#define EIE_MODEL_{name.upper()}_H\n\n"
            f"#include \"{include}\"\n\nenum {{\n{lines}}};\n\n"
            f"#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n"
            f"extern const struct {kind} {name};\n\n"
            f"#ifdef __cplusplus\n}}\n#endif\n\n#endif\n")


def string(text: str) -> str:
    """Format text as a C string, in which no question mark begins a trigraph."""
    return '"' + re.sub(r'(["\\?])', r"\\\1", text) + '"'


def decimal(values: NDArray[np.int64]) -> Iterable[str]:
    """Format integers."""
    return map(str, values.tolist())


def hexadecimal(values: Iterable[np.uint64]) -> Iterable[str]:
    """Format beats."""
    return (f"0x{int(value):016x}u" for value in values)
