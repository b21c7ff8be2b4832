"""Names that users choose for objects in Verilog and C: identifiers, their length, and keywords."""

import re
from typing import NamedTuple

__all__ = ["C", "VERILOG", "Language", "find_fault"]

#: Greatest length of a name. C99 distinguishes the first 63 characters of an identifier; in
#: Verilog, modules append their place in the hierarchy, and files an extension.
_MAX_LENGTH = 63


class Language(NamedTuple):
    """Language in which a name is used.

    Attributes
    ----------
    name : :class:`str`
        Name of the language.
    family : :class:`str`
        Languages whose keywords a name must not be.
    keywords : :class:`frozenset` of :class:`str`
        Their keywords in lower case.
    """

    name: str
    family: str
    keywords: frozenset[str]


#: Keywords of IEEE 1800-2017, which include those of Verilog-2005, and the package of its types.
VERILOG = Language("Verilog", "Verilog or SystemVerilog", frozenset("""
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
""".split()))

#: Keywords of C up to C23, and of C++ up to C++20.
C = Language("C", "C or C++", frozenset("""
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
    constinit continue decltype default delete do double dynamic_cast else enum explicit export
    extern false float for friend goto if import inline int long module mutable namespace new
    noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert
    static_cast struct switch template this thread_local throw true try typedef typeid typename
    typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq
""".split()))


def find_fault(name: str, language: Language) -> str:
    """Check a name in lower case; return what it must be, for a message, or nothing if it is."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return (f"must be a {language.name} identifier of lower-case letters, digits and "
                f"underscores that begins with a letter, not {name!r}")
    if len(name) > _MAX_LENGTH:
        return f"must have at most {_MAX_LENGTH} characters, not {len(name)}: {name!r}"
    if name in language.keywords:
        return (f"must not be {name}, which is a keyword of {language.family}: choose another "
                f"name")
    return ""
