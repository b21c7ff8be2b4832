"""C header, IP-XACT and HTML of the register map, by PeakRDL from SystemRDL."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..extras import missing
from ..files import staged, write_file, write_files
from ..format import FORMAT_VERSION, Memory
from ..registers import PRODUCT_ID, REGISTERS, VERSION, Error, Register
from .register_reference import describe_registers
from .systemrdl import to_systemrdl

__all__ = ["C_HEADER", "IP_XACT", "REFERENCE", "SYSTEMRDL", "PeakrdlError", "write_descriptions",
           "write_exports"]

SYSTEMRDL = "eie.rdl"
REFERENCE = "registers.md"
C_HEADER  = "eie_registers.h"
IP_XACT   = "eie.ipxact.xml"
HTML      = "html"


class PeakrdlError(RuntimeError):
    """PeakRDL is not installed; the message names the missing package and the remedy."""


def write_descriptions(folder: Path) -> list[Path]:
    """Write the descriptions that need no other tool: SystemRDL and the reference.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Output folder; created if it does not exist.

    Returns
    -------
    list of :class:`~pathlib.Path`
        Written files.
    """
    texts = {SYSTEMRDL: to_systemrdl(REGISTERS), REFERENCE: describe_registers(REGISTERS)}
    write_files(folder, texts)
    return [folder / name for name in texts]


def write_exports(folder: Path) -> list[Path]:
    """Write the descriptions, and the exports that PeakRDL derives from them. Deterministic.

    Nothing is written if a package is missing.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Output folder; created if it does not exist.

    Returns
    -------
    list of :class:`~pathlib.Path`
        Written files: those of :func:`write_descriptions`, C header, IP-XACT, and a folder of HTML.

    Raises
    ------
    PeakrdlError
        If a PeakRDL package is not installed.
    """
    try:
        from peakrdl_cheader.c_standards import CStandard
        from peakrdl_cheader.exporter import CHeaderExporter
        from peakrdl_html import HTMLExporter
        from peakrdl_ipxact import IPXACTExporter
        from systemrdl import RDLCompiler
    except ImportError as error:
        raise PeakrdlError(missing("PeakRDL", "to describe the registers in C, IP-XACT and HTML",
                                   "registers") + ", or use --no-peakrdl") from error

    with staged(folder) as stage:
        names = [path.name for path in write_descriptions(stage)]
        header = stage / C_HEADER
        compiler = RDLCompiler()
        compiler.compile_file(str(stage / SYSTEMRDL))
        root: Any = compiler.elaborate()
        CHeaderExporter().export(root, str(header), std=CStandard.gnu99)
        write_file(header, _complete(header.read_text(encoding="utf-8"), REGISTERS))
        # The component bears the name of the address map; the root has none that is allowed.
        IPXACTExporter(vendor="eie-hdl", library="eie",
                       version=".".join(map(str, VERSION))).export(root.top, str(stage / IP_XACT))
        # A fixed timestamp makes the output deterministic.
        HTMLExporter(user_context={"build_ts": 0}).export(root, str(stage / HTML))
    return [folder / name for name in (*names, C_HEADER, IP_XACT, HTML)]


def _complete(header: str, registers: Sequence[Register]) -> str:
    """Shorten the names in PeakRDL's C header and add the constants that it lacks."""
    # All members are aligned words. With `packed`, processors without unaligned access would use
    # byte accesses, and commands would be refused.
    header = header.replace(" __attribute__ ((__packed__))", "")
    names = {"bm": "MASK", "bp": "SHIFT", "bw": "WIDTH", "reset": "RESET"}
    header = re.sub(r"EIE__(\w+)__(\w+)_(bm|bp|bw|reset) (\w+)",
                    lambda match: f"EIE_{match[1]}_{match[2]}_{names[match[3]]} {match[4]}u",
                    header)
    body, end = header.rstrip().rsplit("\n\n#ifdef __cplusplus", 1)
    return "\n".join([body.rstrip(), *_constants(registers), "", f"#ifdef __cplusplus{end}", ""])


def _constants(registers: Sequence[Register]) -> Iterator[str]:
    yield from ("", "// Byte addresses of the registers")
    for register in registers:
        yield f"#define EIE_{register.name} 0x{register.address:03x}u"
    yield from ("", "// Values of registers ID, VERSION and FORMAT")
    yield f"#define EIE_PRODUCT_ID 0x{PRODUCT_ID:08x}u"
    for part, number in zip(("MAJOR", "MINOR", "PATCH"), VERSION):
        yield f"#define EIE_VERSION_{part} {number}u"
    yield f"#define EIE_FORMAT_VERSION {FORMAT_VERSION}u"
    yield from ("", "// Memory numbers")
    for memory in Memory:
        yield f"#define EIE_MEMORY_{memory.name} {memory.value}u"
    yield from ("", "// Error codes: X(name, code, text)", "#define EIE_ERROR_CODES(X) \\")
    yield " \\\n".join(f'    X({error.name}, {error.value}, {json.dumps(error.doc)})'
                       for error in Error)
    yield from ("", "enum eie_error_code {",
                *(f"    EIE_ERROR_{error.name} = {error.value}," for error in Error), "};")
