"""Export of a network that is a graph as C99 source: programs, steps and the size of its arena."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eie_compiler.graph.operation import Shape
from eie_compiler.graph.operations.arithmetic import Scaling
from eie_compiler.graph_build import GraphBuild
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import FixedPreprocessing
from eie_hdl.files import write_files

from .c_export import check_name
from .c_model import (
    LoadTables,
    count_input_beats,
    count_result_beats,
    machine_table,
    model_tables,
    preprocessing_table,
)
from .c_steps import Steps
from .c_text import array, header, string, structure

__all__ = ["export_network", "network_files"]


def export_network(build: GraphBuild, folder: str | Path, *, name: str = "model"
                   ) -> dict[str, int]:
    """Write a network as C source; return the size of each file in bytes.

    Parameters
    ----------
    build : :class:`~eie_compiler.graph_build.GraphBuild`
        Build to export.
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination folder.
    name : :class:`str`
        Name of the network in C and of its files.

    Raises
    ------
    ExportError
        If `name` is not a C identifier in lower case that a program can give to an object and its
        files; see :mod:`.c_names`.
    GraphError
        If the driver cannot compute a node; the message names it.
    """
    files = network_files(build, name=name)
    write_files(folder, files)
    return {file: len(text.encode()) for file, text in files.items()}


def network_files(build: GraphBuild, *, name: str = "model") -> dict[str, str]:
    """Return the text of each file that :func:`export_network` writes, by file name.

    It depends only on the build and the name. Exceptions are those of :func:`export_network`.
    """
    check_name(name)
    steps = Steps(build.graph, build.programs, name)
    return {f"{name}.h": _header(build, steps, name),
            f"{name}.c": "\n".join(_source(build, steps, name))}


def _header(build: GraphBuild, steps: Steps, name: str) -> str:
    graph, programs = build.graph, build.programs.values()
    sizes = {
        "N_INPUTS": sum(map(math.prod, graph.inputs.values())),
        "N_OUTPUTS": sum(math.prod(graph.shapes[output]) for output in graph.outputs),
        "INPUT_BEATS": max(map(count_input_beats, programs)),
        "RESULT_BEATS": max(map(count_result_beats, programs)),
        "ARENA_WORDS": steps.arena_words}
    shapes = "".join(f"\n   {what} {_comment(tensor)}: {' × '.join(map(str, graph.shapes[tensor]))}"
                     for what, names in (("input", graph.inputs), ("output", graph.outputs))
                     for tensor in names)
    comment = (f"{name}: a network for an EIE accelerator with {build.config.n_pe} PEs, written by "
               f"`eie export`.\n   N_ are numbers of elements, of all inputs or outputs together; "
               f"_BEATS are sizes of\n   eie_memory, and ARENA_WORDS is the size of "
               f"eie_execution.arena.{shapes}")
    return header(name, comment, "eie_network.h", sizes, "eie_network")


def _source(build: GraphBuild, steps: Steps, name: str) -> Iterator[str]:
    # All objects bear the name of the network, so that none can have the same name as it.
    graph, config, machine = build.graph, build.config, f"{name}_expected"
    assert graph.fracs is not None
    yield f"#include \"{name}.h\"\n"
    yield machine_table(config, machine)
    for number, paths in enumerate(build.loads):
        load = LoadTables.make(config, build.programs[paths[0]].images, f"{name}_load{number}")
        yield load.text
        for path in paths:
            program, text = build.programs[path], steps.object_of(path)
            if program.patches is not None and not program.patches.loop:
                yield _patches(program.patches, f"{text}_patches")
            yield model_tables(program, text, load, machine=machine, scope="static ")
    lines: list[str] = []
    for path, step in steps.resets + steps.steps:
        scalings = "NULL"
        if step.scaling is not None:
            scalings = f"{name}_scalings{len(lines)}"
            yield _scalings(step.scaling, scalings)
        lines.append(f"    /* {_comment(path)} */\n    {step.text(scalings)},\n")
    yield f"static const struct eie_step {name}_steps[] = {{\n{''.join(lines)}}};\n"
    sets = {"inputs": tuple(graph.inputs), "outputs": graph.outputs}
    for part, tensors in sets.items():
        rows = []
        for number, tensor in enumerate(tensors):
            preprocessing = "NULL, 0, 1"
            if part == "inputs" and tensor in build.preprocessing:
                table, repeat = _compact(build.preprocessing[tensor], graph.shapes[tensor])
                yield preprocessing_table(f"{name}_preprocessing{number}", table)
                preprocessing = f"{name}_preprocessing{number}, {len(table.shift)}, {repeat}"
            nonnegative = part == "inputs" and tensor in build.nonnegative_inputs
            rows.append(f"    {{{string(tensor)}, {math.prod(graph.shapes[tensor])}, "
                        f"{steps.tensors[tensor].place}, {graph.fracs[tensor]}, "
                        f"{str(nonnegative).lower()}, {preprocessing}}},\n")
        yield f"static const struct eie_tensor {name}_{part}[] = {{\n{''.join(rows)}}};\n"
    keeps_states = any(program.steps for program in build.programs.values())
    yield structure("const struct eie_network", name, {
        "name": f'"{name}"', "width": config.act_width,
        "inputs": f"{name}_inputs", "n_inputs": len(sets["inputs"]),
        "outputs": f"{name}_outputs", "n_outputs": len(sets["outputs"]),
        "steps": f"{name}_steps", "n_steps": len(lines), "n_resets": len(steps.resets),
        **({"resets_states": "true"} if keeps_states else {})})


def _compact(preprocessing: FixedPreprocessing, shape: Shape) -> tuple[FixedPreprocessing, int]:
    """Expand preprocessing to the axes between those along which it differs; return it as vectors,
    and how often each of their elements is repeated.
    """
    sizes = (1,) * (len(shape) - preprocessing.shift.ndim) + preprocessing.shift.shape
    differing = [axis for axis, size in enumerate(sizes) if size > 1] or [len(shape)]
    kept = shape[differing[0]:differing[-1] + 1]
    vectors = (np.broadcast_to(numbers.reshape(sizes[differing[0]:differing[-1] + 1]), kept).ravel()
               for numbers in vars(preprocessing).values())
    return FixedPreprocessing(*vectors), math.prod(shape[differing[-1] + 1:])


def _patches(patches: Patches, name: str) -> str:
    columns = ", ".join(map(str, patches.columns))
    return f"static const int {name}_columns[] = {{{columns}}};\n" + structure(
        "static const struct eie_patches", name, {
            **dict(zip(("channels", "height", "width"), patches.shape)),
            "n_rows": patches.kernel[0], "n_columns": len(patches.columns),
            "row_step": patches.dilation[0], "columns": f"{name}_columns",
            "stride": _pair(patches.stride[0], patches.stride[1] * patches.pixels),
            "padding": _pair(*patches.padding[:2]),
            "across": patches.n_patches // patches.output_shape[0],
            "pixels": patches.pixels, "result": _pair(*patches.output_shape)})


def _pair(*numbers: int) -> str:
    return f"{{{', '.join(map(str, numbers))}}}"


def _scalings(scaling: Scaling, name: str) -> str:
    columns = (np.ravel(part).tolist() for part in (
        scaling.multiplier, scaling.shift, scaling.addend))
    return array("static const struct eie_scaling", name,
                 (f"{{{', '.join(map(str, row))}}}" for row in zip(*columns)))


def _comment(text: str) -> str:
    """Replace what would end a comment."""
    return text.replace("*", "_")
