"""FuseSoC core description (CAPI2) of the emitted files."""

from collections.abc import Iterable

__all__ = ["describe_core"]

_CORE = """\
CAPI=2:
name: "::{top}:{version}"
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
    toplevel: "{top}"
  lint:
    filesets: [rtl, waivers]
    toplevel: "{top}"
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
"""


def describe_core(top: str, version: str, *, sources: Iterable[str], waivers: str) -> str:
    """Describe the emitted files as a ``.core`` file.

    Parameters
    ----------
    top : :class:`str`
        Top module, and name of the core.
    version : :class:`str`
        Version of the core.
    sources : iterable of :class:`str`
        Verilog files, in the folder of the ``.core`` file.
    waivers : :class:`str`
        Verilator lint waivers.
    """
    return _CORE.format(top=top, version=version, sources=", ".join(sources), waivers=waivers)
