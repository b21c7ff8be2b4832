"""Options shared by several commands."""

import difflib
import functools
from collections.abc import Callable, Collection, Iterable, Sequence, Sized
from pathlib import Path
from typing import Any

import click

from eie_hdl.config import PRESETS, ConfigError, EIEConfig
from eie_hdl.export.families import FAMILIES
from eie_hdl.export.names import MEMORY_MODULES
from eie_hdl.files import protecting

from .errors import COMMAND

__all__ = ["BUILD", "DOCUMENT", "FILE", "FILE_OR_FOLDER", "FOLDER", "INPUT_FOLDER", "NETWORK",
           "OUTPUT_FILE", "Command", "Input", "Output", "Renamed", "accept_loss_option",
           "arithmetic_options", "cells_option", "command", "compress_labels_option",
           "labels_option", "machine_options", "numbers", "pes_option", "published_option",
           "once", "renamed_option", "require_each_once", "require_modules", "run_labels_option",
           "simulator_option", "simulators_option", "target_option", "task_option"]

#: Most names of modules that an error lists.
_MAX_NAMES = 8


class Input(click.Path):
    """Path that is read; the command never replaces it."""


class Output(click.Path):
    """Path that is written; it must not be one that is read."""


class _Network(Input):
    """File of a network, not its build."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if Path(value).is_dir():
            self.fail(f"must be a file that `eie compress` writes, not the folder {value}", param,
                      ctx)
        return super().convert(value, param, ctx)


class _Build(Input):
    """Folder of a build, which must be there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if Path(value).is_file():
            self.fail(f"must be a folder that `eie compile` writes, not the file {value}", param,
                      ctx)
        return super().convert(value, param, ctx)


FILE = Input(exists=True, dir_okay=False, path_type=Path)
NETWORK = _Network(exists=True, dir_okay=False, path_type=Path)
BUILD = _Build(exists=True, file_okay=False, path_type=Path)
FILE_OR_FOLDER = Input(exists=True, path_type=Path)
INPUT_FOLDER = Input(exists=True, file_okay=False, path_type=Path)
OUTPUT_FILE = Output(dir_okay=False, path_type=Path)
FOLDER = Output(file_okay=False, path_type=Path)
#: A file that is revised.
DOCUMENT = Output(exists=True, dir_okay=False, path_type=Path)


class Command(click.Command):
    """Command whose outputs never replace its inputs, and whose errors spell its options."""

    def invoke(self, context: click.Context) -> Any:
        context.meta[COMMAND] = self
        given = {kind: [value for parameter in self.params if isinstance(parameter.type, kind)
                        and (value := context.params.get(parameter.name or ""))]
                 for kind in (Input, Output)}
        with protecting(given[Input], given[Output]):
            return super().invoke(context)


#: Decorator of every command.
command = functools.partial(click.command, cls=Command)

#: Option of the benchmarks that can run LeNet-300-100.
published_option = click.option(
    "--published", type=FILE, metavar="MODEL",
    help="Pruned LeNet-300-100, a file that `eie compress` reads; needs --mnist.  "
         "[default: LeNet-300-100 is left out]")

#: Option of the benchmarks that keep many simulators.
simulators_option = click.option(
    "--simulators", "cache", type=FOLDER,
    help="Folder for compiled simulators.  [default: the cache, see `eie cache`]")

simulator_option = click.option(
    "--sim", "simulator", type=click.Choice(["verilator", "icarus"]), default="verilator",
    show_default=True,
    help="Simulator of the Verilog; icarus needs cocotb. The machine is compiled once and kept, "
         "see `eie cache`.")


def _labels_option(of: str = "") -> Any:
    return click.option(
        "--labels", type=FILE, metavar="Y.npy",
        help="Labels of the inputs, in the same order: classes as integers from 0, or one row of "
             f"floating-point numbers each{of}.  [default: no labels]")


labels_option = _labels_option()
compress_labels_option = _labels_option("; of a graph with several outputs, for the first")
run_labels_option = _labels_option("; for networks with one output")

task_option = click.option(
    "--task", type=click.Choice(["classification", "regression"]),
    help="Meaning of the outputs: scores of classes, or numbers.  [default: that of the labels; "
         "without them, regression for a single output or a convolution, else classification]")

accept_loss_option = click.option(
    "--accept-loss", is_flag=True,
    help="Exit with 0, not 3, if the result is bad; the file is written in either case.")


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


def renamed_option(former: str, present: str, name: str, prefix: str = "") -> Callable[[Any], Any]:
    """Hidden option that is accepted with a note and gives the present option its default.

    Parameters
    ----------
    former, present : :class:`str`
        Options.
    name : :class:`str`
        Parameter of the command that the present option sets.
    prefix : :class:`str`
        Beginning of the former option's value, which the present one does not have.
    """
    def accept(context: click.Context, parameter: click.Parameter, text: str | None) -> None:
        if text is not None:
            click.echo(f"eie: {former} is now {present}; the former name will be removed", err=True)
            context.default_map = {**(context.default_map or {}), name: text.removeprefix(prefix)}
    # With a name of its own, as the present option may bear the former one; before the others,
    # whose defaults it changes.
    return click.option(former, f"former_{former.strip('-')}", hidden=True, is_eager=True,
                        expose_value=False, callback=accept, help=f"Former name of {present}.")


def _check_pes(context: click.Context, parameter: click.Parameter, n_pe: int | None) -> int | None:
    """Name the option, not the field of the configuration, in the error."""
    if n_pe is not None:
        try:
            EIEConfig.check("n_pe", n_pe)
        except ConfigError as error:
            raise ConfigError(str(error).replace("n_pe", parameter.opts[0], 1)) from error
    return n_pe


def pes_option(note: str = "", **attributes: Any) -> Callable[[Any], Any]:
    """Option ``--pes`` of a command, with a `note` at the end of its help."""
    return click.option("--pes", type=int, callback=_check_pes, **attributes,
                        help="Number of processing elements, a power of two from 1 to 256."
                             f"{note}")


def machine_options(command: Callable[..., None], *, pes: bool = True) -> Callable[..., None]:
    """Add ``--config``, ``--preset`` and, if `pes`, ``--pes``; pass them on as one `config`."""
    @click.pass_context
    def with_machine(context: click.Context, /, file: Path | None, preset: str | None,
                     pes: int | None = None, **others: Any) -> None:
        if file and preset:
            raise ConfigError("--config and --preset must not both be given: write "
                              f"preset = \"{preset}\" into {file}")
        config = EIEConfig.from_toml(file) if file else PRESETS[preset or "default"]
        if pes is not None:
            config = EIEConfig.from_mapping({**config.as_dict(), "n_pe": pes})
        context.invoke(command, config=config, **others)

    with_machine.__name__ = command.__name__
    with_machine.__doc__ = command.__doc__
    if pes:
        pes_option("  [default: that of the configuration]")(with_machine)
    click.option("--preset", type=click.Choice(list(PRESETS)),
                 help="Name of a configuration.  [default: default]")(with_machine)
    click.option("--config", "file", type=FILE,
                 help="TOML file with one parameter per line, such as 'n_pe = 64'.")(with_machine)
    # Options that were declared below this one.
    with_machine.__click_params__ += getattr(command, "__click_params__", [])    # type: ignore[attr-defined]
    return with_machine


#: The options of a machine of which only the widths matter.
arithmetic_options = functools.partial(machine_options, pes=False)


def target_option(note: str = "", **attributes: Any) -> Callable[[Any], Any]:
    """Option ``--target`` of a command, with a `note` at the end of its help."""
    return click.option("--target", type=click.Choice(list(FAMILIES)), **attributes,
                        help=f"FPGA family.{note}")


def once(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
         ) -> tuple[str, ...]:
    """Drop repeated values of an option; its callback."""
    return tuple(dict.fromkeys(values))


#: Libraries of cells that a netlist consists of.
cells_option = click.option(
    "--cells", type=click.Choice(["ecp5", "osu018", "sky130_fd_sc_hd"]), multiple=True,
    callback=once, default=["ecp5", "osu018"], show_default="ecp5 and osu018",
    help="Library of cells; can be repeated. Block RAM and LUT RAM are cells of an ECP5; with "
         "standard cells memories stay the Verilog that macros replace.")


def numbers(kind: type[int] | type[float]) -> Callable[..., Any]:
    """Make the callback of an option of comma-separated numbers, which gives a tuple."""
    def parse(context: click.Context, parameter: click.Parameter, text: str | None
              ) -> tuple[int | float, ...] | None:
        if text is None:
            return None
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError as error:
            what = "integers" if kind is int else "numbers"
            raise click.BadParameter(f"must be {what} separated by commas, not {text!r}") from error
    return parse


def require_each_once(given: Sequence[Any], named: Sized) -> None:
    """Refuse ``NAME=VALUE`` of which one name is `given` more than once: `named` has each once."""
    if len(named) < len(given):
        raise click.BadParameter("must name each one once: leave out all but one value for each")


def require_modules(given: Iterable[str], names: Collection[str]) -> None:
    """Refuse a ``--module`` that is not one of the `names` in a machine, or is a memory."""
    logic = [name for name in names if name not in MEMORY_MODULES]
    for name in given:
        if name not in logic:
            nearest = difflib.get_close_matches(name, logic, _MAX_NAMES, cutoff=0)
            exception = " other than its memories" if name in names else ""
            raise click.BadParameter(
                f"--module must be a module of the machine{exception}, not {name or repr(name)}: "
                f"the nearest names, of {len(logic)}, are {', '.join(nearest)}; `eie verilog` "
                "writes all of them")
