"""What `eie train` and `eie compress --retrain` share: options, progress, checkpoint and log."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from rich.markup import escape
from rich.progress import Progress, TimeElapsedColumn

from .console import make_console, make_table, print_table

if TYPE_CHECKING:
    from eie_compiler.training.data import Data
    from eie_compiler.training.loop import Stage
    from eie_compiler.training.module import Module

__all__ = ["Learning", "learn", "learning_options"]


class Learning(NamedTuple):
    """How to learn; each is an option of the same name."""

    epochs: int
    rate: float
    decay: float
    dropout: float
    batch: int
    seed: int
    validation: float
    threads: int
    resume: bool
    log: Path | None


_OPTIONS = [
    click.option("--epochs", type=click.IntRange(min=0), default=20, show_default=True,
                 help="Passes over the training data in each stage."),
    click.option("--rate", type=float, default=1e-3, show_default=True,
                 help="Rate of learning; falls evenly to 0 in each stage."),
    click.option("--decay", type=float, default=1e-2, show_default=True,
                 help="Decay of the weights."),
    click.option("--dropout", type=float, default=0.0, show_default=True,
                 help="Share of the hidden activations that is left out; less where weights are "
                      "pruned."),
    click.option("--batch", type=click.IntRange(min=1), default=128, show_default=True,
                 help="Inputs of one step."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                 help="Of all that is random: the same seed gives the same network, on processors "
                      "of one kind."),
    click.option("--validation", type=float, default=0.1, show_default=True,
                 help="Share of the training data held out, to choose options by."),
    click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True,
                 help="Of PyTorch; another number may give other last bits."),
    click.option("--resume", is_flag=True,
                 help="Go on where a run of the same options was stopped."),
    click.option("--log", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                 help="Write a line of JSON for each epoch."),
]


def learning_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of :class:`Learning`, and pass them on as one `learning`."""
    def with_learning(**options: Any) -> None:
        learning = Learning(**{field: options.pop(field) for field in Learning._fields})
        command(**options, learning=learning)

    with_learning.__name__ = command.__name__
    with_learning.__doc__ = command.__doc__
    with_learning.__click_params__ = getattr(command, "__click_params__", [])    # type: ignore[attr-defined]
    for option in reversed(_OPTIONS):
        with_learning = option(with_learning)
    return with_learning


@contextlib.contextmanager
def learn(module: "Module", data: "Data", stages: "Sequence[Stage]", learning: Learning,
          output: Path) -> Iterator[None]:
    """Train, with a bar and a log; the body writes the result to `output`.

    The checkpoint is a file beside it, which goes when the result is there.
    """
    from eie_compiler.training import TrainingError
    from eie_compiler.training.loop import train

    checkpoint = output.with_name(f"{output.name}.checkpoint.npz")
    if checkpoint.exists() and not learning.resume:
        raise TrainingError(f"{checkpoint} must not be there, but is, of a run that was stopped: "
                            f"go on with --resume, or delete it to begin anew")
    with contextlib.ExitStack() as stack:
        advance = stack.enter_context(_bar(stages))
        log = learning.log and stack.enter_context(learning.log.open("w", encoding="utf-8"))

        def tell(record: dict[str, Any]) -> None:
            advance(record)
            if log:
                log.write(json.dumps(record) + "\n")
                log.flush()

        try:
            records = train(module, data, stages, seed=learning.seed, batch=learning.batch,
                            threads=learning.threads, checkpoint=checkpoint,
                            resume=learning.resume, on_epoch=tell)
        except KeyboardInterrupt:
            if checkpoint.exists():
                click.echo("\nstopped: the same command with --resume goes on", err=True)
            raise
    _show_stages(str(output), data.classifies, records)
    yield
    checkpoint.unlink()


@contextlib.contextmanager
def _bar(stages: "Sequence[Stage]") -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar of all epochs; silent in a pipe."""
    console = make_console()
    if not console.is_interactive:
        yield lambda record: None
        return
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("", total=sum(stage.epochs for stage in stages))

        def advance(record: dict[str, Any]) -> None:
            bar.update(task, description=escape(record["stage"]), advance=record["epoch"] > 0)

        yield advance


def _show_stages(title: str, classifies: bool, records: list[dict[str, Any]]) -> None:
    """How each stage ended."""
    def error(value: float | None) -> str:
        return "–" if value is None else f"{value:.2%}" if classifies else f"{value:.4g}"

    what = "error" if classifies else "squared error"
    print_table(make_table("stage", "epochs", "density", f"validation {what}", f"test {what}",
                           "seconds", title=title), [
        [record["stage"], str(record["epochs"]), f"{record['density']:.1%}",
         error(record["validation"]), error(record["test"]),
         f"{sum(each['seconds'] for each in records if each['stage'] == record['stage']):.1f}"]
        for record in records if "test" in record])
