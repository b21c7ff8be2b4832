"""Names of machines in Verilog, prefixes of modules, files and macros; and source files."""

import re
from collections.abc import Mapping
from importlib import resources

__all__ = ["DEFAULT_NAME", "VerilogNameError", "check_name", "prefix_text",
           "read_source", "source_files"]

#: Name of a machine, and prefix of its modules, files and macros, unless another is given.
DEFAULT_NAME = "eie"

#: Greatest length; modules append their place in the hierarchy, and files an extension.
_MAX_LENGTH = 63

#: Keywords of IEEE 1800-2017, which include those of Verilog-2005, and the package of its types.
_KEYWORDS = frozenset("""
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup
    coverpoint cross deassign default defparam design disable dist do edge else end endcase
    endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
    endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask
    enum event eventually expect export extends extern final first_match for force foreach forever
    fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
    illegal_bins implements implies import incdir include initial inout input inside instance int
    integer interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
    ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
    s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static std string strong strong0 strong1 struct super
    supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
    unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
""".split())


class VerilogNameError(ValueError):
    """Name that the modules and files of a machine cannot have."""


def check_name(name: str, *, parameter: str = "name") -> None:
    """Check a name; messages call it `parameter`.

    Raises
    ------
    VerilogNameError
        If it is not a lower-case identifier, is too long, or is a keyword.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise VerilogNameError(f"{parameter} must be a Verilog identifier of lower-case letters, "
                               f"digits and underscores that begins with a letter, not {name!r}")
    if len(name) > _MAX_LENGTH:
        raise VerilogNameError(f"{parameter} must have at most {_MAX_LENGTH} characters, not "
                               f"{len(name)}: {name!r}")
    if name in _KEYWORDS:
        raise VerilogNameError(f"{parameter} must not be {name}, which is a keyword of Verilog or "
                               f"SystemVerilog: choose another name")


def prefix_text(text: str, name: str) -> str:
    """Replace the default name by another one in names of modules, files, plusargs and macros."""
    text = re.sub(rf"(?<![A-Za-z0-9_]){DEFAULT_NAME}(?=[_.])", name, text)
    return re.sub(rf"(?<![A-Za-z0-9_]){DEFAULT_NAME.upper()}(?=_)", name.upper(), text)


def read_source(file: str) -> str:
    """Return the text of a hand-written file, with the files that it includes in their places."""
    text = (resources.files(__package__) / "rtl" / file).read_text(encoding="utf-8")
    return re.sub(r'^`include "(.*)"\n', lambda match: read_source(match[1]), text,
                  flags=re.MULTILINE)


def source_files(files: Mapping[str, str]) -> dict[str, str]:
    """Select the files that a tool must read: those of the list, or without one all of Verilog."""
    lists = [text.split() for name, text in files.items() if name.endswith(".f")]
    names = lists[0] if lists else sorted(name for name in files if name.endswith(".v"))
    return {name: files[name] for name in names}
