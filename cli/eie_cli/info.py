"""`eie info`: description of a network or a build."""

from pathlib import Path

import click

from .options import FILE_OR_FOLDER, command

__all__ = ["info_command"]


@command("info")
@click.argument("path", type=FILE_OR_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def info_command(path: Path, as_json: bool) -> None:
    """Describe a network file or a build.

    Checks that the file, or every file of the folder, is intact.
    """
    from eie_compiler.files.graph_file import read_any
    from eie_compiler.files.json_file import to_json
    from eie_compiler.graph.graph import Graph
    from eie_compiler.graph_build import GraphBuild
    from eie_compiler.graph_folder import read_any_build

    from .console import show_build
    from .graph_builds import show_graph_build
    from .graph_tables import describe_graph, show_graph
    from .network_tables import describe_network, show_network

    if path.is_dir():
        build = read_any_build(path)
        if as_json:
            predicted = {"predicted": build.predicted} if isinstance(build, GraphBuild) else {}
            click.echo(to_json({"config": build.config.as_dict(), **build.report, **predicted}))
        elif isinstance(build, GraphBuild):
            show_graph_build(str(path), build)
        else:
            show_build(str(path), build)
    else:
        network = read_any(path)
        if isinstance(network, Graph):
            if as_json:
                click.echo(to_json(describe_graph(network)))
            else:
                show_graph(path, network)
        elif as_json:
            click.echo(to_json(describe_network(network)))
        else:
            show_network(path, network)
