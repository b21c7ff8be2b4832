"""`eie train`: dense networks from data."""

from pathlib import Path

import click

from .options import FILE, numbers
from .training_options import Learning, learn, learning_options

__all__ = ["train_command"]


@click.command("train")
@click.argument("data", type=FILE)
@click.option("--layers", required=True, callback=numbers(int), metavar="N[,N...]",
              help="Outputs of each layer but the last, which the data tell.")
@click.option("-o", "--output", required=True, help="File of weights to write.",
              type=click.Path(dir_okay=False, path_type=Path))
@click.option("--dsd", type=float, metavar="SHARE",
              help="Train dense, sparse and dense again, as many epochs each; SHARE of the weights "
                   "are held at zero in between, 0.25 to 0.5. 0 is the control: three stages, all "
                   "of them dense.")
@learning_options
def train_command(data: Path, layers: tuple[int, ...], output: Path, dsd: float | None,
                  learning: Learning) -> None:
    """Train a fully connected network.

    DATA is an .npz file of train_inputs, train_labels, test_inputs and test_labels; *_images of
    bytes are taken as pixels. Integer labels are classes, others are numbers to come near to.
    Writes `NAME.weight` and `NAME.bias` of layers fc1, fc2, ...; needs the extra [train].
    """
    from eie_compiler.training.data import read_data
    from eie_compiler.training.module import Module
    from eie_compiler.training.recipes import dense_stages, dsd_stages
    from eie_compiler.training.weights import write_weights

    loaded = read_data(data, validation=learning.validation, seed=learning.seed)
    module = Module.new([loaded.n_inputs, *layers, loaded.n_outputs], learning.seed)
    how = {"rate": learning.rate, "decay": learning.decay, "dropout": learning.dropout}
    stages = (dense_stages(learning.epochs, **how) if dsd is None
              else dsd_stages(learning.epochs, dsd, len(layers) + 1, **how))
    with learn(module, loaded, stages, learning, output):
        write_weights(output, module.to_model())
