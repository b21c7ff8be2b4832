"""Verilog emission: each distinct module once, memories as instances."""

import re
from dataclasses import dataclass, field
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Instance, ResetSignal
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ..config import EIEConfig
from ..lib.shared_module import Shared, ports
from ..lib.sram import Sram
from ..top import Eie
from .fusesoc import describe_core
from .word_tables import describe_words
from .yosys import builtin_yosys

__all__ = ["Emitted", "emit", "to_verilog"]

#: Declaration of the prefix of memory image names in an instance.
IMAGE_PARAMETER = 'parameter IMAGE = ""'

#: Hand-written modules instantiated by the generated ones.
MEMORIES = ("eie_sram.v", "eie_regfile.v")

#: Tables of the words of the machine.
WORDS = "eie_words.md"

#: Verilator lint waivers.
WAIVERS = "eie.vlt"


@dataclass(frozen=True)
class Emitted:
    """Verilog of an accelerator.

    Attributes
    ----------
    files : :class:`dict` of :class:`str` to :class:`str`
        Text by file name: ``eie.v``, the memories, the file list ``eie.f``, the FuseSoC core
        ``eie.core``, tables of the words, and lint waivers.
    """
    files: dict[str, str] = field(default_factory=dict)

    def write(self, folder: str | Path) -> None:
        """Write all files to `folder`, which is created if it does not exist."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")


class VerilogPlatform:
    """Amaranth platform that replaces memories and shared modules by instances.

    Attributes
    ----------
    modules : :class:`dict` of :class:`str` to :class:`str`
        Text of the shared modules, by name.
    """
    def __init__(self) -> None:
        self.modules: dict[str, str] = {}

    def convert(self, component: wiring.Component, name: str) -> str:
        """Convert `component` to module `name`, without the modules that it shares."""
        with builtin_yosys():
            text = verilog.convert(
                component, name=name, platform=self, emit_src=False, strip_internal_attrs=True,
                ports={port: (value, PortDirection.Input if flow == In else PortDirection.Output)
                       for port, flow, value in ports(component)})
        # Amaranth has no module parameters; the one that names memory images is added here.
        text, n_images = re.subn(r'\.IMAGE\("(\.[^"]*)"\)', r'.IMAGE({IMAGE, "\1"})', text)
        if n_images:
            text = text.replace(f"module {name}(", f"module {name} #({IMAGE_PARAMETER}) (", 1)
        # Submodules and fields have names such as "top.queue" and "word.lane", but not all tools
        # accept the dot. Replace it by an underscore, or by two if that name exists.
        names = set(re.findall(r"\w+", text))
        text = re.sub(r"\\(\w+(?:\.\w+)+) ", lambda match: (
            plain if (plain := match[1].replace(".", "_")) not in names
            else match[1].replace(".", "__")) + " ", text)
        # A zero-width signal, such as the index of a single PE, would be declared with two bits.
        text = re.sub(r"^ *(?:wire|reg) [^;]*\[-1:0\][^;]*;\n", "", text, flags=re.MULTILINE)
        return text.split("\n", 1)[1]    # the first line names a version of Yosys

    def get_shared(self, shared: Shared) -> Instance:
        if shared.module not in self.modules:
            self.modules[shared.module] = self.convert(shared.make(), shared.module)
        wires: dict[str, Any] = {("i_" if flow == In else "o_") + port: value
                                 for port, flow, value in ports(shared)}
        if IMAGE_PARAMETER in self.modules[shared.module]:
            wires["p_IMAGE"] = shared.name
        return Instance(shared.module, i_clk=ClockSignal(),
                        i_rst=ResetSignal() | shared.reset, **wires)

    def get_sram(self, sram: Sram) -> Instance:
        return Instance("eie_sram" if sram.block else "eie_regfile",
                        p_WIDTH=sram.width, p_DEPTH=sram.depth, p_ADDR_WIDTH=len(sram.r.addr),
                        p_IMAGE=sram.image, i_clk=ClockSignal(),
                        i_r_en=sram.r.en, i_r_addr=sram.r.addr, o_r_data=sram.r.data,
                        i_w_en=sram.w.en, i_w_addr=sram.w.addr, i_w_data=sram.w.data)


def to_verilog(component: wiring.Component, name: str) -> str:
    """Convert `component` to Verilog module `name`, followed by the modules it instantiates.

    The text depends only on the component and the versions of Amaranth and its Yosys.
    Memories are instances of ``eie_sram`` and ``eie_regfile``.
    """
    platform = VerilogPlatform()
    return "".join([platform.convert(component, name), *platform.modules.values()])


def emit(config: EIEConfig) -> Emitted:
    """Emit the Verilog of the accelerator described by `config`, with top module ``eie``."""
    settings = "".join(f"//   {name} = {value}\n" for name, value in config.as_dict().items())
    release = version("eie-hdl")
    title = f"// EIE accelerator, generated by eie-hdl {release}.\n{settings}"
    verilog_files = {"eie.v": title + to_verilog(Eie(config), "eie")}
    folder = resources.files(__package__) / "rtl"
    for name in MEMORIES:
        verilog_files[name] = (folder / name).read_text(encoding="utf-8")
    return Emitted({
        **verilog_files,
        WORDS: describe_words(config),
        WAIVERS: (folder / WAIVERS).read_text(encoding="utf-8"),
        "eie.f": "".join(f"{name}\n" for name in verilog_files),
        "eie.core": describe_core("eie", release, sources=verilog_files, waivers=WAIVERS),
    })
