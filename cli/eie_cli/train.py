"""`eie train`: dense models from data."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from eie_hdl.config import EIEConfig

from .console import make_table, print_table, working
from .options import FILE, OUTPUT_FILE, accept_loss_option, command, numbers
from .training_options import (
    Learning,
    find_teacher,
    learning_options,
    show_stages,
    training_session,
)
from .verdict import conclude, conclude_untrained, warn_of_labels, warn_of_outputs

if TYPE_CHECKING:
    from eie_compiler.model import Model

__all__ = ["train_command"]


@command("train")
@click.argument("data", type=FILE)
@click.option("--layers", required=True, callback=numbers(int), metavar="N[,N...]",
              help="Number of outputs of each layer but the last, whose number follows from the "
                   "data.")
@click.option("-o", "--output", required=True, help="File of weights to write.",
              type=OUTPUT_FILE)
@click.option("--dsd", type=float, metavar="SHARE",
              help="Train dense, sparse and dense again, with the same number of epochs each. "
                   "SHARE of the weights, 0.25 to 0.5, is held at zero in the sparse stage; 0 is "
                   "the control, with three dense stages.  [default: one dense stage]")
@click.option("--binary", "binary", type=int, metavar="SCALES",
              help="Then train binary weights, with as many epochs: those of a row are plus or "
                   "minus one scale. Rows share SCALES scales a layer: 1 with codes of 2 bits, 7 "
                   "with 4, 127 with 8.  [default: no binary weights]")
@accept_loss_option
@learning_options
def train_command(data: Path, layers: tuple[int, ...], output: Path, dsd: float | None,
                  binary: int | None, accept_loss: bool, learning: Learning) -> None:
    """Train a fully connected network.

    DATA is an .npz file of train_inputs, train_labels, test_inputs and test_labels; *_images of
    bytes are read as pixels. Integer labels are classes; other labels are numbers to approximate.
    Writes `NAME.weight` and `NAME.bias` of layers fc1, fc2, ... Needs the extra [train].

    The last line says whether the network is good, doubtful or bad on the validation data, or on
    the test data if none are held out: compressed as `eie compress` does by default, in the
    fixed-point arithmetic of the machine. The exit code is 3 if it is bad, or if the network in
    floating point is no better than a constant answer.
    """
    from eie_compiler.compression.compress import compress
    from eie_compiler.compression.fidelity import measure_fidelity
    from eie_compiler.training.data import read_data
    from eie_compiler.training.loop import train
    from eie_compiler.training.module import Module
    from eie_compiler.training.recipes import binary_stage, dense_stages, dsd_stages
    from eie_compiler.training.retrain import N_SAMPLES
    from eie_compiler.training.weights import write_weights

    loaded = read_data(data, validation=learning.validation, seed=learning.seed)
    module = Module.new([loaded.n_inputs, *layers, loaded.n_outputs], learning.seed)
    how = {"rate": learning.rate, "decay": learning.decay, "dropout": learning.dropout}
    stages = (dense_stages(learning.epochs, **how) if dsd is None
              else dsd_stages(learning.epochs, dsd, len(layers) + 1, **how))
    config = EIEConfig()
    if binary is not None:
        stages.append(binary_stage(learning.epochs, binary, rate=learning.rate,
                                   dropout=learning.dropout))
        # A code for each scale and sign, and one for zero.
        config = EIEConfig(v_width=max(config.v_width, (2 * binary).bit_length()))
    teacher = find_teacher(learning, loaded)
    with training_session(learning, output) as session:
        records = train(module, loaded, stages, seed=learning.seed, batch=learning.batch,
                        threads=learning.threads, teacher=teacher, resume=learning.resume,
                        **session._asdict())
        model = module.to_model()
        write_weights(output, model)
    show_stages(str(output), loaded.classifies, records)
    if "scales" in records[-1]:
        _show_scales(model, records[-1]["scales"])
    name, part = loaded.held_out
    with working("measuring the accuracy"):
        network = compress(model, v_width=config.v_width,
                           calibration=loaded.train.inputs[:N_SAMPLES])
        check = {"data": f"{name} inputs", **measure_fidelity(
            model, network, config, part.inputs, labels=part.targets)}
    if check["labels"] and not check["labels"]["judge"]:
        conclude_untrained(check, str(output), accept_loss=accept_loss)
    else:
        warn_of_labels(check)
        warn_of_outputs(check)
        how_compressed = ("its defaults" if config == EIEConfig()
                          else f"--v-width {config.v_width}")
        conclude(check, str(output), accept_loss=accept_loss,
                 lead=f"after `eie compress` with {how_compressed}, ")


def _show_scales(model: "Model", scales: list[int]) -> None:
    """Print how many rows of each layer share a scale."""
    print_table(make_table("layer", "rows", "scales", "a scale for each row",
                           title="Binary weights"), [
        [layer.name, str(layer.n_rows), str(n), "yes" if n == layer.n_rows else "no, shared"]
        for layer, n in zip(model.layers, scales, strict=True)])
