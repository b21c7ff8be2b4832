"""FPGAs that machines are proposed for, and the block RAMs and multipliers that they need."""

import dataclasses
import functools
from collections.abc import Mapping

from amaranth.hdl import Shape

from eie_hdl.config import ACTS_PER_WORD, EIEConfig, clog2
from eie_hdl.format import N_SEGMENTS, Layouts

__all__ = ["DEVICES", "Device", "count_multipliers", "count_rams", "count_selected_bits",
           "memory_shapes", "ram_rows", "small_memories"]

#: Rows and bits of the table of functions of a PE with ``tables``, a ROM.
_TABLE = 512, 28


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """FPGA, or an ASIC, whose memories are macros of any size.

    Attributes
    ----------
    part : :class:`str`
        Name of the part.
    luts : :class:`int`, optional
        LUTs, or logic cells with a LUT and a flip-flop; None if there are none to run out of, as in
        an ASIC.
    lut_ratio : :class:`float`
        LUTs of this device for one of an ECP5, which has four inputs.
    rams, multipliers : :class:`int`, optional
        Block RAMs and multipliers.
    ram_shapes : :class:`tuple` of pairs of :class:`int`
        Rows, and bits of a row, of a block RAM with one read and one write port.
    factors : :class:`tuple` of :class:`int`
        Bits of the signed factors of a multiplier.
    lut_ram : :class:`bool`
        True if small memories are in LUTs; otherwise they are in block RAMs.
    """

    part: str
    luts: int | None = None
    lut_ratio: float = 1.0
    rams: int | None = None
    multipliers: int | None = None
    ram_shapes: tuple[tuple[int, int], ...] = ()
    factors: tuple[int, int] = (24, 24)
    lut_ram: bool = True


def _shapes(rows: int, bits: int, *narrow: int) -> tuple[tuple[int, int], ...]:
    """Shapes of a block RAM: each narrower one has twice the rows."""
    return tuple((rows << number, width) for number, width in enumerate((bits, *narrow)))


_ecp5 = functools.partial(Device, ram_shapes=_shapes(512, 36, 18, 9, 4, 2, 1), factors=(18, 18))

#: Devices by the names of the command line; sizes are those of the data sheets.
DEVICES: Mapping[str, Device] = {
    "ecp5-25": _ecp5(part="LFE5U-25F", luts=24288, rams=56, multipliers=28),
    "ecp5-45": _ecp5(part="LFE5U-45F", luts=43848, rams=108, multipliers=72),
    "ecp5-85": _ecp5(part="LFE5U-85F", luts=83640, rams=208, multipliers=156),
    "artix7-100": Device(part="XC7A100T", luts=63400, lut_ratio=0.51, rams=270, multipliers=240,
                         ram_shapes=_shapes(512, 36, 18, 9, 4, 2, 1), factors=(25, 18)),
    "up5k": Device(part="iCE40UP5K", luts=5280, lut_ratio=1.28, rams=30, multipliers=8,
                   ram_shapes=_shapes(256, 16, 8, 4, 2), factors=(16, 16), lut_ram=False),
    "asic": Device(part="any process"),
}


def memory_shapes(config: EIEConfig) -> dict[str, tuple[int, int, int]]:
    """List the memories of a machine: rows, bits of a row and instances of each, by name."""
    shapes: dict[str, tuple[int, int, int]] = {}
    for instance, _, _, image in Layouts.of(config).images(config):
        name = instance.partition(".")[2]
        instances = 1 if name == "program" else config.n_pe
        shapes[name] = image.depth, Shape.cast(image.shape).width, instances
    return shapes


def ram_rows(device: Device, rows: int, bits: int) -> int:
    """Compute the greatest number of rows that takes no more block RAMs than `rows` do."""
    if not device.ram_shapes:
        return rows
    count = _count(device, rows, bits)
    return max(count // -(-bits // width) * depth for depth, width in device.ram_shapes)


def count_rams(device: Device, config: EIEConfig) -> int:
    """Count the block RAMs of a machine; 0 if the device has macros instead."""
    if not device.ram_shapes:
        return 0
    shapes = list(memory_shapes(config).values())
    if config.tables:
        shapes.append((*_TABLE, config.n_pe))
    if not device.lut_ram:
        shapes += [(rows, bits, config.n_pe) for rows, bits in small_memories(config)]
    return sum(instances * _count(device, rows, bits) for rows, bits, instances in shapes)


def _count(device: Device, rows: int, bits: int) -> int:
    return _choose_shape(device, rows, bits)[0]


def _choose_shape(device: Device, rows: int, bits: int) -> tuple[int, int]:
    """Least block RAMs of a memory, then the least that its rows are divided into."""
    return min((-(-rows // depth) * -(-bits // width), -(-rows // depth))
               for depth, width in device.ram_shapes)


def count_selected_bits(device: Device, config: EIEConfig) -> int:
    """Count the bits of a PE that are selected from block RAMs of other rows, once for each."""
    return 0 if not device.ram_shapes else sum(
        bits * instances // config.n_pe * (_choose_shape(device, rows, bits)[1] - 1)
        for name, (rows, bits, instances) in memory_shapes(config).items() if name != "program")


def small_memories(config: EIEConfig) -> list[tuple[int, int]]:
    """List rows, and bits of a row, of the small memories of a PE.

    They are the accumulators, the activation queue, and the queue of the scanner; with ``loops``,
    also the segments that wait to be scanned, and with ``local`` their pointers.
    """
    layouts = Layouts.of(config)
    found = [*((config.acc_depth, bits) for bits in config.acc_parts),
             (1 << clog2(config.queue_depth + config.n_in_flight),
              Shape.cast(layouts.column).width),
             (2, Shape.cast(layouts.leaf_scan).width)]
    if config.loops:
        fields = ("source", "last_word", "unwritten", "ends_tile",
                  *(("local",) if config.local else ()), *(("zeros",) if config.maximum else ()))
        found.append((N_SEGMENTS, sum(layouts.start[name].width for name in fields)
                      + 2 * ACTS_PER_WORD))
    if config.local:
        found.append((N_SEGMENTS, layouts.start["origin"].width + layouts.start["closes"].width))
    return found


def count_multipliers(device: Device, config: EIEConfig) -> int:
    """Count the multipliers: one or more for each PE, by the bits of its factors.

    With ``tables``, a further one interpolates. With ``scales``, others multiply what is drained.
    """
    def of_product(width: int, other_width: int) -> int:
        one, other = device.factors
        return min(-(-width // a) * -(-other_width // b) for a, b in ((one, other), (other, one)))

    of_scales = of_product(*[config.act_width + 2] * 2) if config.scales else 0
    return config.n_pe * (of_product(config.act_width, config.codebook_width) + config.tables
                          + of_scales)
