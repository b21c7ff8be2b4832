"""`eie cache`: simulators kept from one run to the next."""

import itertools
import time

import click

__all__ = ["cache_command"]

_BYTES_PER_MIB = 1 << 20


@click.command("cache")
@click.option("--clear", is_flag=True, help="Remove all simulators.")
def cache_command(clear: bool) -> None:
    """Show or clear the cache of simulators.

    Prints where they are kept, how many there are, how large they are, and when they were built. A
    simulator takes up to a minute to build. It is kept with its Verilog in the cache folder of the
    user, or in the folder that the environment variable EIE_CACHE names. Simulators of other
    releases or of machines that have changed are not used again, but stay until they are removed.
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
