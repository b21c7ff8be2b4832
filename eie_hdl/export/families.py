"""FPGA families: what the Verilog must do without, and how Yosys maps to their cells."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FAMILIES", "RAM_STYLES", "Family"]

#: Values of the attribute ``ram_style`` of small memories.
RAM_STYLES = ("distributed", "auto", "block", "registers")


@dataclass(frozen=True, kw_only=True)
class Family:
    """FPGA family, or what Yosys supports of it.

    Patterns of cell names are those of :mod:`fnmatch`.

    Attributes
    ----------
    title : :class:`str`
        Vendor and family.
    synth : :class:`str`
        Command of Yosys, without the top module and without pads.
    pads : :class:`tuple` of :class:`str`
        Commands of Yosys that add what place and route needs at the pins of module ``harness``.
    luts : mapping of :class:`str` to :class:`int`
        LUTs that a cell stands for, by pattern.
    carry, flipflops : :class:`tuple` of :class:`str`
        Patterns of the cells of carry chains, which may contain a LUT, and of flip-flops.
    lut_ram, block_ram, multipliers : :class:`tuple` of :class:`str`
        Patterns of the cells of memories in LUTs, of block RAMs and of multipliers; empty if Yosys
        maps to none.
    initial_values : :class:`bool`
        True if flip-flops can have initial values.
    """

    title: str
    synth: str
    pads: tuple[str, ...] = ()
    luts: Mapping[str, int]
    carry: tuple[str, ...]
    flipflops: tuple[str, ...]
    lut_ram: tuple[str, ...] = ()
    block_ram: tuple[str, ...]
    multipliers: tuple[str, ...] = ()
    initial_values: bool = True

    @property
    def ram_style(self) -> str:
        """Attribute ``ram_style`` of small memories."""
        return "distributed" if self.lut_ram else "auto"


#: Families by the names of the command line.
FAMILIES: Mapping[str, Family] = {
    "ecp5": Family(
        title="Lattice ECP5", synth="synth_ecp5", luts={"LUT4": 1}, carry=("CCU2C",),
        flipflops=("TRELLIS_FF",), lut_ram=("TRELLIS_DPR16X4",),
        block_ram=("DP16KD", "PDPW16KD"), multipliers=("MULT18X18D",)),
    "ice40": Family(
        title="Lattice iCE40 UltraPlus", synth="synth_ice40 -device u -dsp", luts={"SB_LUT4": 1},
        carry=("SB_CARRY",), flipflops=("SB_DFF*",), block_ram=("SB_RAM40_4K*",),
        multipliers=("SB_MAC16",)),
    "gowin": Family(
        title="Gowin GW2A", synth="synth_gowin -noiopads",
        pads=("iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O harness",),
        luts={"LUT[1-4]": 1}, carry=("ALU",), flipflops=("DFF*",), lut_ram=("RAM16S*",),
        block_ram=("DP*B", "SDP*B"), multipliers=("MULT*",)),
    "nexus": Family(
        title="Lattice Nexus", synth="synth_nexus -noiopad",
        pads=("iopadmap -bits -inpad IB O:I -outpad OB I:O harness",),
        luts={"LUT4": 1, "WIDEFN9": 2, "INV": 1}, carry=("CCU2",), flipflops=("FD1P3*",),
        lut_ram=("DPR16X4",), block_ram=("*DP*16K",), multipliers=("MULT*",)),
    "gatemate": Family(
        title="Cologne Chip GateMate", synth="synth_gatemate -noiopad -noclkbuf -luttree -nomx8",
        pads=("iopadmap -bits -inpad CC_IBUF Y:I -outpad CC_OBUF A:O harness",
              "clkbufmap -buf CC_BUFG O:I harness"),
        luts={"CC_LUT*": 1, "CC_L2T*": 1, "CC_MX*": 1}, carry=("CC_ADDF",),
        flipflops=("CC_DFF",), block_ram=("CC_BRAM_*",), multipliers=("CC_MULT",)),
    "xilinx7": Family(
        title="AMD 7 series", synth="synth_xilinx -family xc7",
        luts={"LUT[1-6]": 1, "INV": 1, "SRL16E": 1}, carry=("CARRY4",),
        flipflops=("FD?E",), lut_ram=("RAM[36]*",), block_ram=("RAMB*",),
        multipliers=("DSP48E1",)),
    "intel": Family(
        title="Intel Cyclone V", synth="synth_intel_alm -family cyclonev",
        luts={"MISTRAL_ALUT[2-6]": 1, "MISTRAL_NOT": 1}, carry=("MISTRAL_ALUT_ARITH",),
        flipflops=("MISTRAL_FF",), lut_ram=("MISTRAL_MLAB",), block_ram=("MISTRAL_M10K",),
        multipliers=("MISTRAL_MUL*",)),
    # Yosys knows no multiplier of Efinix.
    "efinix": Family(
        title="Efinix Trion", synth="synth_efinix", luts={"EFX_LUT4": 1}, carry=("EFX_ADD",),
        flipflops=("EFX_FF",), block_ram=("EFX_RAM_5K",)),
    # Its small RAMs are blocks of their own, not LUTs.
    "microchip": Family(
        title="Microchip PolarFire", synth="synth_microchip -family polarfire -noiopad",
        luts={"CFG[1-4]": 1}, carry=("ARI1",), flipflops=("SLE",),
        block_ram=("RAM1K20", "RAM64x12"), multipliers=("MACC_PA*",), initial_values=False),
}
