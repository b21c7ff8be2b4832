"""`eie compile` and `eie info`: networks and builds."""

import json
from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .options import FILE, FOLDER, machine_options

__all__ = ["compile_command", "info_command"]


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
    from eie_compiler.lowering.compile import compile_network
    from eie_compiler.network import CompressedNetwork

    from .console import show_build

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

    from .console import show_build
    from .network_tables import describe_network, show_network

    if path.is_dir():
        build = Build.load(path)
        if as_json:
            click.echo(json.dumps({"config": build.config.as_dict(), **build.manifest}, indent=1))
        else:
            show_build(str(path), build)
    else:
        network = CompressedNetwork.load(path)
        if as_json:
            click.echo(json.dumps(describe_network(path, network), indent=1))
        else:
            show_network(path, network)
