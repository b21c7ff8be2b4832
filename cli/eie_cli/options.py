"""Options that several subcommands have."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from eie_hdl.config import PRESETS, ConfigError, EIEConfig

__all__ = ["FILE", "FOLDER", "Renamed", "machine_options", "numbers", "simulator_option"]

#: A file that must be there, and a folder that need not.
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

simulator_option = click.option(
    "--sim", "simulator", type=click.Choice(["verilator", "icarus"]), default="verilator",
    show_default=True, help="Simulator of the hardware; built once and kept, see `eie cache`.")


class Renamed(click.Choice[str]):
    """Choices of which some had another name; the former name is accepted with a note.

    Parameters
    ----------
    choices : sequence of :class:`str`
        Present names.
    former : :class:`str`
        Present name by former name.
    """

    def __init__(self, choices: Sequence[str], **former: str) -> None:
        super().__init__(choices)
        self._former = former

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in self._former and param:
            click.echo(f"eie: {param.opts[0]} {value} is now {param.opts[0]} "
                       f"{self._former[value]}; the former name will be removed", err=True)
        return super().convert(self._former.get(value, value), param, ctx)


def machine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--config``, ``--preset`` and ``--pes``, and pass them on as one `config`."""
    @click.option("--config", "file", type=FILE,
                  help="TOML file of parameters, such as 'n_pe = 64', one a line.")
    @click.option("--preset", type=click.Choice(list(PRESETS)),
                  help="Configuration by name.  [default: default]")
    @click.option("--pes", type=int, help="Processing elements, instead of what was configured.")
    @click.pass_context
    def with_machine(context: click.Context, /, file: Path | None, preset: str | None,
                     pes: int | None, **others: Any) -> None:
        if file and preset:
            raise ConfigError("--config and --preset must not both be given: write "
                              f"preset = \"{preset}\" into {file}")
        config = EIEConfig.from_toml(file) if file else PRESETS[preset or "default"]
        if pes is not None:
            config = EIEConfig.from_mapping({**config.as_dict(), "n_pe": pes})
        context.invoke(command, config=config, **others)

    with_machine.__name__ = command.__name__
    with_machine.__doc__ = command.__doc__
    # Options that were declared below this one.
    with_machine.__click_params__ += getattr(command, "__click_params__", [])    # type: ignore[attr-defined]
    return with_machine


def numbers(kind: type[int] | type[float]) -> Callable[..., Any]:
    """Callback for an option of numbers with commas between, which makes a tuple of them."""
    def parse(context: click.Context, parameter: click.Parameter, text: str | None
              ) -> tuple[int | float, ...] | None:
        if text is None:
            return None
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError as error:
            what = "integers" if kind is int else "numbers"
            raise click.BadParameter(f"must be {what} with commas between, not {text!r}") from error
    return parse
