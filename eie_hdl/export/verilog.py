"""Verilog emission: each distinct module once, memories as instances."""

import re
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Instance, ResetSignal
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ..bridge.spi import Spi
from ..bridge.uart import Uart
from ..bridged_top import BridgedEie
from ..config import EIEConfig
from ..files import write_files
from ..frames import DEFAULT_BIT_CYCLES
from ..lib.registered_reset import with_reset_register
from ..lib.shared_module import Shared, ports
from ..lib.sram import Sram
from ..top import Eie
from .bench import describe_bench
from .families import RAM_STYLES
from .fusesoc import describe_core
from .initial_values import remove_initial_values
from .memories import MemoryKind, describe_memories, list_memories, memories_json
from .names import (
    BRIDGES,
    DEFAULT_NAME,
    Bridge,
    VerilogNameError,
    check_name,
    name_top,
    prefix_text,
    read_source,
)
from .word_tables import describe_words
from .yosys import builtin_yosys

__all__ = ["Emitted", "emit", "to_verilog"]

#: Parameters that modules pass down to memories: prefix of the names of memory images, and folder.
_PARAMETERS = ("IMAGE", "IMAGE_FOLDER")

#: First line of an instance without parameters: module, and name, which may be escaped.
_INSTANCE = r"^  (\w+) +(\w+|\\\w+ ) \($"

#: Hand-written files, with the default name of the machine: memories, and Verilator lint waivers.
_MEMORIES = ("eie_sram.v", "eie_regfile.v")
_WAIVERS = "eie.vlt"

#: Attribute of small memories; in the hand-written file, with the first of the styles.
_RAM_STYLE = '(* ram_style = "{}" *)'


@dataclass(frozen=True)
class Emitted:
    """Verilog of an accelerator.

    Attributes
    ----------
    files : :class:`dict` of :class:`str` to :class:`str`
        Text by file name, for a machine named ``eie``: ``eie.v``, the memories, the file list
        ``eie.f``, a bench, the FuseSoC core ``eie.core``, tables of the words, the memories in
        JSON, and lint waivers.
    memories : :class:`tuple` of :class:`~.memories.MemoryKind`
        Memories in ``eie.v``.
    """
    files: dict[str, str] = field(default_factory=dict)
    memories: tuple[MemoryKind, ...] = ()

    def write(self, folder: str | Path) -> None:
        """Write all files to `folder`, which is created if it does not exist."""
        write_files(folder, self.files)


class VerilogPlatform:
    """Amaranth platform that replaces memories and shared modules by instances.

    Parameters
    ----------
    name : :class:`str`
        Prefix of the modules that it instantiates.

    Attributes
    ----------
    modules : :class:`dict` of :class:`str` to :class:`str`
        Text of the shared modules, by name.
    """
    def __init__(self, name: str) -> None:
        self.name = name
        self.modules: dict[str, str] = {}

    def convert(self, component: wiring.Component, name: str, *, is_shared: bool = False) -> str:
        """Convert `component` to module `name`, without the modules that it shares.

        The reset of a shared module is registered in it.
        """
        elaborated = with_reset_register(component, self) if is_shared else component
        with builtin_yosys():
            text = verilog.convert(
                elaborated, name=name, platform=self, emit_src=False, strip_internal_attrs=True,
                ports={port: (value, PortDirection.Input if flow == In else PortDirection.Output)
                       for port, flow, value in ports(component)})
        # Submodules and fields have names such as "top.queue" and "word.lane", but not all tools
        # accept the dot. Replace it by an underscore, or by two if that name exists.
        names = set(re.findall(r"\w+", text))
        text = re.sub(r"\\(\w+(?:\.\w+)+) ", lambda match: (
            plain if (plain := match[1].replace(".", "_")) not in names
            else match[1].replace(".", "__")) + " ", text)
        # A zero-width signal, such as the index of a single PE, would be declared with two bits.
        text = re.sub(r"^ *(?:wire|reg) [^;]*\[-1:0\][^;]*;\n", "", text, flags=re.MULTILINE)
        return _pass_parameters(text.split("\n", 1)[1])    # the first line names a Yosys version

    def get_shared(self, shared: Shared) -> Instance:
        module = (self.name if shared.module == DEFAULT_NAME
                  else prefix_text(shared.module, self.name))
        if module not in self.modules:
            self.modules[module] = self.convert(shared.make(), module, is_shared=True)
        wires: dict[str, Any] = {("i_" if flow == In else "o_") + port: value
                                 for port, flow, value in ports(shared)}
        for parameter, value in zip(_PARAMETERS, (shared.name, "")):
            if _declare(parameter) in self.modules[module]:
                wires[f"p_{parameter}"] = value
        if "i_aclk" not in wires:    # the whole machine has a clock and a reset among its ports
            wires |= {"i_clk": ClockSignal(), "i_rst": ResetSignal() | shared.reset}
        return Instance(module, **wires)

    def get_sram(self, sram: Sram) -> Instance:
        image = {"p_IMAGE": sram.image, "p_IMAGE_FOLDER": ""} if sram.image else {}
        return Instance(f"{self.name}_sram" if sram.block else f"{self.name}_regfile",
                        p_WIDTH=sram.width, p_DEPTH=sram.depth, p_ADDR_WIDTH=len(sram.r.addr),
                        **image, i_clk=ClockSignal(),
                        i_r_en=sram.r.en, i_r_addr=sram.r.addr, o_r_data=sram.r.data,
                        i_w_en=sram.w.en, i_w_addr=sram.w.addr, i_w_data=sram.w.data)


def _describe(config: EIEConfig, release: str) -> str:
    """Return the comment that begins a file.

    A parameter outside the interface is listed unless it has its default.
    """
    defaults = EIEConfig().as_dict()
    settings = "".join(f"//   {name} = {value}\n" for name, value in config.as_dict().items()
                       if name in config.interface or value != defaults[name])
    return f"// EIE accelerator, generated by eie-hdl {release}.\n{settings}"


def _declare(parameter: str) -> str:
    return f'parameter {parameter} = ""'


def _pass_parameters(text: str) -> str:
    """Declare the parameters of memory images, which Amaranth lacks, where they are needed.

    A module needs those that it refers to, and those of the modules that it instantiates.
    """
    text = re.sub(r'\.IMAGE\("(\.[^"]*)"\)', r'.IMAGE({IMAGE, "\1"})', text)
    text = re.sub(r"\.IMAGE_FOLDER\([^)]*\)", ".IMAGE_FOLDER(IMAGE_FOLDER)", text)
    modules = {re.match(r"module (\w+)", module)[1]: module    # type: ignore[index]
               for module in re.split(r"^(?=module )", text, flags=re.MULTILINE) if module.strip()}
    children = {name: modules.keys() & {inner for inner, _ in re.findall(_INSTANCE, module,
                                                                         re.MULTILINE)}
                for name, module in modules.items()}
    needs = {name: {parameter for parameter in _PARAMETERS
                    if re.search(rf"(?<!\.)\b{parameter}\b", module)}
             for name, module in modules.items()}
    for _ in modules:    # as often as the hierarchy has levels, or more
        for name, inner in children.items():
            needs[name].update(*(needs[child] for child in inner))

    def declare(match: re.Match[str]) -> str:
        needed = [_declare(parameter) for parameter in _PARAMETERS if parameter in needs[match[1]]]
        return f"module {match[1]} #({', '.join(needed)}) (" if needed else match[0]

    def instantiate(match: re.Match[str]) -> str:
        needed = [f"    .{parameter}({parameter})" for parameter in _PARAMETERS
                  if parameter in needs.get(match[1], ())]
        return (f"  {match[1]} #(\n" + ",\n".join(needed) + f"\n  ) {match[2]} (" if needed
                else match[0])

    text = re.sub(r"^module (\w+) ?\(", declare, text, flags=re.MULTILINE)
    return re.sub(_INSTANCE, instantiate, text, flags=re.MULTILINE)


def to_verilog(component: wiring.Component, name: str, *, prefix: str = DEFAULT_NAME) -> str:
    """Convert `component` to Verilog module `name`, followed by the modules it instantiates.

    The text depends only on the component, the names, and the versions of Amaranth and its Yosys.
    Memories are instances of ``eie_sram`` and ``eie_regfile``.

    Parameters
    ----------
    component : :class:`~amaranth.lib.wiring.Component`
        Component to convert.
    name : :class:`str`
        Its module.
    prefix : :class:`str`
        Replacement of ``eie`` in the names of the modules that it instantiates.
    """
    platform = VerilogPlatform(prefix)
    return "".join([platform.convert(component, name), *platform.modules.values()])


def emit(config: EIEConfig, name: str = DEFAULT_NAME, *,
         bridge: Bridge | None = None, bit_cycles: int = DEFAULT_BIT_CYCLES,
         ram_style: str = RAM_STYLES[0], initial_values: bool = True) -> Emitted:
    """Emit the Verilog of an accelerator.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    name : :class:`str`
        Name of the top module and of the FuseSoC core, and prefix of all other modules, files and
        macros. Machines of different names fit into one design.
    bridge : :class:`str`, optional
        ``uart`` or ``spi``: adds ``eie_uart.v`` or ``eie_spi.v`` with a module of this name, in
        which the machine has a serial line in place of its buses. The other modules are the same
        with and without it.
    bit_cycles : :class:`int`
        As for :class:`~..bridge.uart.Uart`.
    ram_style : :class:`str`
        Attribute of small memories, one of :data:`~.families.RAM_STYLES`.
    initial_values : :class:`bool`
        False if registers have no values before the reset.

    Raises
    ------
    ValueError
        If `ram_style` is unknown.
    VerilogNameError
        If `name` is not a name of :func:`~.names.check_name`, or is that of a module of another
        machine or of a port.
    """
    check_name(name)
    if ram_style not in RAM_STYLES:
        raise ValueError(f"ram_style must be one of {', '.join(RAM_STYLES)}, not {ram_style!r}")
    release = version("eie-hdl")
    title = _describe(config, release)
    text = to_verilog(Eie(config), name, prefix=name)
    if re.search(rf"^  (?:in|out)put (?:\[\d+:0\] )?{name};", text, re.MULTILINE):
        raise VerilogNameError(f"name must not be {name}, which is a port of a module: choose "
                               f"another name")
    _check_other_machines(name, text)
    verilog_files = {f"{name}.v": title + _guard(name) + text}
    waivers = read_source(_WAIVERS)
    top, modules = name_top(name, bridge), text
    if bridge:
        line: Uart | Spi = Uart(bit_cycles=bit_cycles) if bridge == "uart" else Spi()
        platform = VerilogPlatform(name)
        platform.modules[name] = re.split(r"^(?=module )", text, flags=re.MULTILINE)[1]
        bridge_text = platform.convert(BridgedEie(config, line), top)
        verilog_files[f"{top}.v"] = title + bridge_text
        modules += bridge_text
        # The waivers of the generated file hold for this one, too.
        waivers += re.sub(r"\b(eie)\.v", rf"\1_{bridge}.v", "".join(
            rule for rule in waivers.splitlines(keepends=True) if rule.startswith("lint_off")))
    if not initial_values:
        verilog_files = {file: remove_initial_values(text)
                         for file, text in verilog_files.items()}
    for file in _MEMORIES:
        verilog_files[prefix_text(file, name)] = prefix_text(read_source(file), name).replace(
            _RAM_STYLE.format(RAM_STYLES[0]), _RAM_STYLE.format(ram_style))
    memories = list_memories(modules, top)
    waivers_file, bench = prefix_text(_WAIVERS, name), f"{name}_bench.v"
    return Emitted({
        **verilog_files,
        bench: describe_bench(config, name, machine=name),
        f"{name}_words.md": describe_words(config) + describe_memories(memories),
        f"{name}_memories.json": memories_json(memories, name),
        waivers_file: prefix_text(waivers, name),
        f"{name}.f": "".join(f"{file}\n" for file in verilog_files),
        f"{name}.core": describe_core(name, release, toplevel=top, sources=verilog_files,
                                     bench=bench, waivers=waivers_file),
    }, tuple(memories))


def _guard(name: str) -> str:
    """Return text that is a syntax error in a second machine of the same name.

    Verilator only warns of two modules of one name, and takes the first one for both.
    """
    macro = f"{name.upper()}_DEFINED"
    return (f"`ifdef {macro}\nERROR: two machines are named {name}: emit one of them with another "
            f"--name\n`endif\n`define {macro}\n")


def _check_other_machines(name: str, text: str) -> None:
    """Check that no machine of another name has a module called `name`.

    Parameters
    ----------
    text : :class:`str`
        Modules of the machine called `name`, of which others have the like.
    """
    parts = [module.removeprefix(f"{name}_")
             for module in re.findall(r"^module (\w+)", text, re.MULTILINE)[1:]]
    for part in [*parts, "sram", "regfile", "bench", *BRIDGES]:
        if name.endswith(f"_{part}"):
            other = name.removesuffix(f"_{part}")
            raise VerilogNameError(f"name must not be {name}, which is a module of a machine named "
                                   f"{other}: choose another name")
