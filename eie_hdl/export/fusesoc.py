"""FuseSoC's description of the emitted files, for those whose designs are put together by it."""

from collections.abc import Iterable

__all__ = ["describe_core"]

_CORE = """\
CAPI=2:
name: ::{top}:{version}
description: EIE sparse neural-network accelerator with AXI4-Lite registers and AXI4-Streams

filesets:
  rtl:
    file_type: verilogSource-2005
    files: [{sources}]
  waivers:
    file_type: vlt
    files: [{waivers}]

targets:
  default:
    filesets: [rtl]
    toplevel: {top}
  lint:
    filesets: [rtl, waivers]
    toplevel: {top}
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
"""


def describe_core(top: str, version: str, *, sources: Iterable[str], waivers: str) -> str:
    """Text of a ``.core`` file (CAPI2).

    Parameters
    ----------
    top : :class:`str`
        Top module; the core has its name.
    version : :class:`str`
        Version of the core.
    sources : iterable of :class:`str`
        Verilog files, beside the ``.core`` file.
    waivers : :class:`str`
        Waivers of Verilator's lint.
    """
    return _CORE.format(top=top, version=version, sources=", ".join(sources), waivers=waivers)
