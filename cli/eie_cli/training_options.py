"""Options, progress, checkpoint and log of `eie train` and `eie compress --retrain`."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .console import make_table, print_table, working
from .options import FILE, OUTPUT_FILE
from .progress import progress_bar

if TYPE_CHECKING:
    from eie_compiler.training.data import Data
    from eie_compiler.training.teacher import Teacher

__all__ = ["Learning", "Session", "find_teacher", "learning_options", "show_stages",
           "training_session"]


class Learning(NamedTuple):
    """Values of the training options, by name."""

    epochs: int
    rate: float
    decay: float
    dropout: float
    batch: int
    seed: int
    validation: float
    threads: int
    teacher: Path | None
    teacher_temperature: float | None
    teacher_weight: float | None
    resume: bool
    log: Path | None


_OPTIONS = [
    click.option("--epochs", type=click.IntRange(min=0), default=20, show_default=True,
                 help="Number of passes over the training data in each stage."),
    click.option("--rate", type=float, default=1e-3, show_default=True,
                 help="Learning rate at the beginning of each stage, from which it falls linearly "
                      "to 0."),
    click.option("--decay", type=float, default=1e-2, show_default=True,
                 help="Weight decay."),
    click.option("--dropout", type=float, default=0.0, show_default=True,
                 help="Share of the hidden activations that is dropped; lower where weights are "
                      "pruned."),
    click.option("--batch", type=click.IntRange(min=1), default=128, show_default=True,
                 help="Number of inputs per step."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                 help="Seed of all random choices. The same seed gives the same network on "
                      "processors of the same type."),
    click.option("--validation", type=float, default=0.1, show_default=True,
                 help="Share of the training data that is held out to choose options by."),
    click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True,
                 help="Number of PyTorch threads; changing it may alter low-order bits."),
    click.option("--teacher", type=FILE, metavar="MODEL",
                 help="Trained model of the same task, a file that `eie compress` reads, whose "
                      "scores for the training data are learnt besides the labels.  [default: "
                      "labels only]"),
    click.option("--teacher-temperature", type=float, metavar="T",
                 help="Divisor of the scores of both before the softmax.  [default: 4]"),
    click.option("--teacher-weight", type=float, metavar="W",
                 help="Weight of the teacher in the loss, 0 to 1; that of the labels is 1 - W.  "
                      "[default: 0.9]"),
    click.option("--resume", is_flag=True,
                 help="Continue a stopped run of the same options."),
    click.option("--log", type=OUTPUT_FILE, metavar="FILE",
                 help="Write one line of JSON per epoch to FILE."),
]


def learning_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of :class:`Learning` and pass them as one argument `learning`."""
    def with_learning(**options: Any) -> None:
        learning = Learning(**{field: options.pop(field) for field in Learning._fields})
        command(**options, learning=learning)

    with_learning.__name__ = command.__name__
    with_learning.__doc__ = command.__doc__
    with_learning.__click_params__ = getattr(command, "__click_params__", [])    # type: ignore[attr-defined]
    for option in reversed(_OPTIONS):
        with_learning = option(with_learning)
    return with_learning


def find_teacher(learning: Learning, data: "Data") -> "Teacher | None":
    """Read the teacher, if one is given, and compute its scores for the training data."""
    from eie_compiler.training.teacher import read_teacher

    options = {name: value for name, value in (("temperature", learning.teacher_temperature),
                                               ("weight", learning.teacher_weight))
               if value is not None}
    if learning.teacher is None:
        if options:
            raise click.UsageError(f"--teacher-{next(iter(options))} needs --teacher")
        return None
    with working("computing the teacher's scores"):
        return read_teacher(learning.teacher, data, **options)


class Session(NamedTuple):
    """Checkpoint and callbacks that :func:`training_session` gives to the training loop."""

    checkpoint: Path
    on_epoch: Callable[[dict[str, Any]], None]
    progress: Callable[[str, int, int], None]


@contextlib.contextmanager
def training_session(learning: Learning, output: Path) -> Iterator[Session]:
    """Open the progress bar and the log of a training; the body trains and writes `output`.

    The checkpoint is a file next to the output and is deleted once the output is complete.
    """
    from eie_compiler.files.json_file import to_json
    from eie_compiler.training import TrainingError
    from eie_hdl.files import open_log

    checkpoint = output.with_name(f"{output.name}.checkpoint.npz")
    if checkpoint.exists() and not learning.resume:
        raise TrainingError(f"{checkpoint} must not exist, but a stopped run has left it: continue "
                            f"with --resume, or delete it to start over")
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(progress_bar("training"))
        log = learning.log and stack.enter_context(open_log(learning.log))

        def on_epoch(record: dict[str, Any]) -> None:
            if log:
                log.write(to_json(record, indent=None) + "\n")
                log.flush()

        try:
            yield Session(checkpoint, on_epoch, progress)
        except KeyboardInterrupt:
            if checkpoint.exists():
                click.echo("\nstopped: the same command with --resume continues", err=True)
            raise
    checkpoint.unlink()


def show_stages(title: str, classifies: bool, records: list[dict[str, Any]]) -> None:
    """Print the results at the end of each stage."""
    def error(value: float | None) -> str:
        return "–" if value is None else f"{value:.2%}" if classifies else f"{value:.4g}"

    what = "error" if classifies else "squared error"
    print_table(make_table("stage", "epochs", "density", f"validation {what}", f"test {what}",
                           "seconds", title=title), [
        [record["stage"], str(record["epochs"]), f"{record['density']:.1%}",
         error(record["validation"]), error(record["test"]),
         f"{sum(each['seconds'] for each in records if each['stage'] == record['stage']):.1f}"]
        for record in records if "test" in record])
