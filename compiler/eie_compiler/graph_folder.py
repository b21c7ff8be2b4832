"""Build folders of graphs: network, images of each load, and manifest; docs/build-folder.md."""

import dataclasses
import hashlib
import reprlib
from collections.abc import Iterator
from pathlib import Path

from eie_hdl.config import ConfigError
from eie_hdl.files import write_file
from eie_hdl.format import Layouts, image_file

from .build import Build
from .errors import CompileError
from .files.graph_file import encode_graph, read_graph
from .files.hex_images import to_hex
from .files.json_file import JsonError, check_fields
from .files.manifest_folder import (
    MANIFEST,
    BuildError,
    parse_config,
    read_kind,
    read_listed,
    read_manifest,
    replaced,
    write_manifest,
)
from .graph_build import GraphBuild
from .lowering.graph import compile_graph
from .lowering.row_mapping import MAPPINGS
from .network import NetworkError

__all__ = ["read_any_build", "read_graph_build", "write_graph_build"]

_KIND = "eie-graph-build"
_NETWORK = "network.npz"

_IS_COMPILED = f"what this version compiles {_NETWORK} to, but differs: compile again"

_FIELDS = {"schema_version": int, "kind": str, "format": int, "config": dict, "mapping": str,
           "loads": list, "report": dict, "files": dict, "checksum": str}
_OPTIONAL_FIELDS = {"predicted": dict}
_CYCLES = {"net_cycles": float, "cycles": float}


def write_graph_build(folder: str | Path, build: GraphBuild) -> None:
    """Write the network, the images of each load, and the manifest.

    Files of an earlier build in the folder are removed, all others are kept. If this is
    interrupted, the folder holds the earlier build, or one that :func:`read_graph_build` refuses.

    Raises
    ------
    BuildError
        If the folder is not of a build but has a file that would be replaced.
    NetworkError
        If a name of the graph is invalid in a file.
    OSError
        If a file cannot be written.
    """
    contents = {_NETWORK: encode_graph(build.graph), **dict(_images(build))}
    with replaced(Path(folder), _KIND, contents) as stage:
        for name, content in contents.items():
            write_file(stage / name, content)
        write_manifest(stage, _KIND, build.config, {
            "mapping": build.mapping, "loads": build.loads, "report": build.report,
            **({"predicted": build.predicted} if build.predicted is not None else {}),
            "files": {name: hashlib.sha256(content).hexdigest()
                      for name, content in contents.items()}})


def read_graph_build(folder: str | Path) -> GraphBuild:
    """Read a folder written by :func:`write_graph_build`, and verify it.

    The network is compiled again, which must give the same images: the folder has no other
    description of where vectors are. The report is also made again.

    Raises
    ------
    BuildError
        If a file is missing or changed, a field of the manifest is invalid, the folder is of
        another version, or images are not those of the network.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    manifest = read_manifest(path, _KIND)
    try:
        check_fields("manifest", manifest, _FIELDS, _OPTIONAL_FIELDS)
        config, mapping, sums = parse_config(manifest), manifest["mapping"], manifest["files"]
        if mapping not in MAPPINGS:
            raise JsonError(f"mapping must be {' or '.join(MAPPINGS)}, not {reprlib.repr(mapping)}")
        read_listed(folder, _NETWORK, sums)
        build = compile_graph(read_graph(folder / _NETWORK), config, mapping=mapping,
                              strips={}, keep_dead_channels=True)
        if predicted := manifest.get("predicted"):
            check_fields("predicted", predicted, dict.fromkeys(build.programs, dict))
            for node, cycles in predicted.items():
                check_fields(f"predicted.{node}", cycles, _CYCLES)
            build = dataclasses.replace(build, predicted=predicted)
    except (CompileError, ConfigError, JsonError, NetworkError) as error:
        raise BuildError(f"{path}: {error}") from error
    if manifest["loads"] != build.loads:
        raise BuildError(f"{path}: loads must be {_IS_COMPILED}")
    names = {_NETWORK}
    for name, content in _images(build):
        names.add(name)
        if hashlib.sha256(content).hexdigest() != sums.get(name):
            raise BuildError(f"{folder / name} must be {_IS_COMPILED}")
        read_listed(folder, name, sums)
    if others := sorted(set(sums) - names):
        raise BuildError(f"{path}: files must be those of the build, not {reprlib.repr(others[0])}")
    return build


def read_any_build(folder: str | Path) -> Build | GraphBuild:
    """Read the folder of a build of a chain or of a graph; raise as the readers of each."""
    return read_graph_build(folder) if read_kind(folder) == _KIND else Build.load(folder)


def _images(build: GraphBuild) -> Iterator[tuple[str, bytes]]:
    """List the names and contents of the image files of all loads."""
    instances = list(Layouts.of(build.config).images(build.config))
    for number, paths in enumerate(build.loads):
        images = build.programs[paths[0]].images
        for instance, _, _, image in instances:
            yield (f"load_{number}/{image_file(instance)}",
                   to_hex(image.shape, images[instance]))
