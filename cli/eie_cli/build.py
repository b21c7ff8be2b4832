"""`eie compress`, `eie compile` and `eie info`: networks and builds."""

import json
from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .options import FILE, FOLDER, machine_options

__all__ = ["compile_command", "compress_command", "info_command"]


def _densities(context: click.Context, parameter: click.Parameter, text: str
               ) -> float | list[float]:
    try:
        densities = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"must be numbers with commas between, not {text!r}") from error
    return densities[0] if len(densities) == 1 else densities


@click.command("compress")
@click.argument("weights", type=FILE)
@click.option("-o", "--output", "network", required=True, help="Network file to write.",
              type=click.Path(dir_okay=False, path_type=Path))
@click.option("--density", required=True, callback=_densities, metavar="SHARE[,SHARE...]",
              help="Share of the weights to keep, the greatest ones, in all layers or in each.")
@click.option("--v-width", type=int, default=4, show_default=True,
              help="Bits of a codebook index: 4 make 15 shared weights beside zero.")
@click.option("--act-width", type=int, default=16, show_default=True,
              help="Bits of the activations of the machine it is for.")
@click.option("--calibrate", type=FILE, metavar="X.npy",
              help="Inputs, one a row, whose range the number formats are made for. Without them "
                   "they are made for all inputs from -1 to 1.")
def compress_command(weights: Path, network: Path, density: float | list[float], v_width: int,
                     act_width: int, calibrate: Path | None) -> None:
    """Prune dense layers and share their weights.

    WEIGHTS is an .npz file of matrices n_rows x n_cols `NAME.weight` and vectors `NAME.bias`, in
    order of computation. A ReLU follows all layers but the last. Nothing is retrained.
    """
    from eie_compiler.compress import compress_dense, read_weights

    from .arrays import read_array
    from .tables import show_network

    compressed = compress_dense(read_weights(weights), density=density, v_width=v_width,
                                act_width=act_width,
                                calibration=read_array(calibrate) if calibrate else None)
    compressed.save(network)
    show_network(str(network), compressed)


@click.command("compile")
@click.argument("network", type=FILE)
@machine_options
@click.option("--mapping", type=click.Choice(["balanced", "interleaved"]), default="balanced",
              show_default=True, help="How the rows are spread over the PEs.")
@click.option("--outputs", type=click.Choice(["last", "all"]), default="last", show_default=True,
              help="Whose results go to the host: the last layer's or every layer's.")
@click.option("-o", "--output", "folder", type=FOLDER, required=True, help="Build folder to write.")
def compile_command(network: Path, config: EIEConfig, mapping: str, outputs: str, folder: Path
                    ) -> None:
    """Compile a network for a machine.

    NETWORK is a file written by `eie compress`. The build holds the memory images, the program
    among them, and a manifest.
    """
    from eie_compiler.compile import compile_network
    from eie_compiler.network import CompressedNetwork

    from .tables import show_build

    build = compile_network(CompressedNetwork.load(network), config,
                            mapping=mapping, outputs=outputs)    # type: ignore[arg-type]
    build.save(folder)
    show_build(str(folder), build)


@click.command("info")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info_command(path: Path, as_json: bool) -> None:
    """Describe a network file or a build.

    Checks that the file, or every file of the folder, is intact.
    """
    from eie_compiler.build import Build
    from eie_compiler.network import CompressedNetwork

    from .tables import describe_network, show_build, show_network

    if path.is_dir():
        build = Build.load(path)
        if as_json:
            click.echo(json.dumps({"config": build.config.as_dict(), **build.manifest}, indent=1))
        else:
            show_build(str(path), build)
    else:
        network = CompressedNetwork.load(path)
        if as_json:
            click.echo(json.dumps(describe_network(network), indent=1))
        else:
            show_network(str(path), network)
