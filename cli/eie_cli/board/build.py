"""`eie board ulx3s build`: the bitstream."""

from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from ..console import format_count, make_table, print_table, working
from ..options import FOLDER, command, pes_option

__all__ = ["BOARD_FOLDER", "BOARD_PES", "build_command"]

#: Folder of the bitstream.
BOARD_FOLDER = Path("build/board")

#: PEs of the machine on the board.
BOARD_PES = 4


@command("build")
@pes_option(default=BOARD_PES, show_default=True)
@click.option("--seed", type=click.IntRange(1), default=1, show_default=True,
              help="Seed of the placer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("-o", "--output", "folder", type=FOLDER, default=BOARD_FOLDER, show_default=True,
              help="Folder for the bitstream, board.json, netlists and logs.")
def build_command(pes: int, seed: int, as_json: bool, folder: Path) -> None:
    """Build the bitstream for an ULX3S with an ECP5-85F.

    A machine with a UART bridge at the FTDI, clocked by the PLL. Takes minutes; needs the extra
    [board]. It fails if the machine does not reach the clock rate by nextpnr's timing model: try
    another --seed, or fewer --pes.
    """
    from eie_compiler.files.json_file import to_json
    from eie_flows.devices import DEVICES
    from eie_flows.ulx3s import BITSTREAM, build

    with working("checking the tools", log=True) as progress:
        report = build(EIEConfig(n_pe=pes), folder, seed=seed, progress=progress)
    if as_json:
        click.echo(to_json(report.as_dict()))
        return
    counts, device, origin = report.counts, DEVICES["ecp5-85"], report.provenance
    print_table(make_table(str(folder / BITSTREAM), format_count(origin.config.n_pe, "PE")), [
        ["LUT4 (LUT RAM aside)", f"{counts.luts:,}"],
        ["carry cells, two LUTs each", f"{counts.carry:,}"],
        ["flip-flops", f"{counts.flipflops:,}"],
        ["LUT RAM", f"{counts.lut_ram:,}"],
        [f"block RAM, of {device.rams}", str(counts.block_ram)],
        [f"multipliers, of {device.multipliers}", str(counts.multipliers)],
        ["clock", f"{report.clock_mhz} MHz"],
        ["Fmax by nextpnr", f"{report.mhz:.1f} MHz, {report.mhz / report.clock_mhz - 1:.0%} more"],
        ["baud rate", f"{report.baud:,}"],
        ["bytes of the bitstream", f"{report.size:,}"],
        ["seconds", f"{report.seconds:.0f}"],
        ["tools", ", ".join(f"{name} {version}" for name, version in origin.tools.items())]])
