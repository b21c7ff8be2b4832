"""`eie cache`: compiled simulators kept from one run to the next."""

import itertools
import time

import click

from .options import command

__all__ = ["cache_command"]

_BYTES_PER_MIB = 1 << 20


@command("cache")
@click.option("--clear", is_flag=True,
              help="Remove all entries, but no other files; refused while another process uses the "
                   "cache.  [default: show the entries]")
def cache_command(clear: bool) -> None:
    """Show or clear the cache of compiled simulators.

    Prints the folder, the number of its entries and their size in total, then for each kind of
    entry the number, the size, and the dates of the oldest and the newest. An entry is a compiled
    simulator, which takes up to a minute to build, or generated Verilog:

    \b
    eie-icarus, eie-verilator  compiled simulator of --engine cocotb
    eie-verilated              the machine, compiled by Verilator
    library                    compiled simulator of --engine verilator
    bridge                     compiled simulator of the C driver
    verilator-runtime          runtime library of Verilator
    verilog                    generated Verilog
    peer-verilator             compiled designs of NNgen, for `eie bench peers`
    cells                      synthesised designs, for `eie bench peers`

    The folder is ~/.cache/eie-hdl, unless the environment variable XDG_CACHE_HOME or EIE_CACHE
    selects another. Entries of former releases and of other configurations are kept until the
    cache is cleared.
    """
    from eie_sim.rtl.cache import cache_folder, clear_cache, list_entries

    from .console import make_console, make_table, print_table

    folder = cache_folder()
    if clear:
        removed = clear_cache(folder)
        click.echo(f"{folder}: {len(removed)} entries removed, "
                   f"{_mebibytes(sum(entry.size for entry in removed))}")
        return
    entries = list_entries(folder)
    click.echo(f"{folder}: {len(entries)} entries, "
               f"{_mebibytes(sum(entry.size for entry in entries))}")
    if not entries:
        return
    make_console().print()
    rows = []
    for kind, group in itertools.groupby(entries, lambda entry: entry.kind):
        members = list(group)
        rows.append([kind, f"{len(members):,}", _mebibytes(sum(entry.size for entry in members)),
                     _date(members[0].made), _date(members[-1].made)])
    print_table(make_table("kind", "entries", "size", "oldest", "newest"), rows)


def _mebibytes(size: int) -> str:
    return f"{size / _BYTES_PER_MIB:,.1f} MiB"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
