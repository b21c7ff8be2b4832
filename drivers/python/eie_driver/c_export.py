"""Export of a build as C99 source: tables of constants for the C driver."""

from pathlib import Path

from eie_compiler.build import Build
from eie_hdl.files import write_files
from eie_hdl.identifiers import C, find_fault

from .c_model import (
    LoadTables,
    count_input_beats,
    count_result_beats,
    machine_table,
    model_tables,
)
from .c_names import reason_against
from .c_text import header

__all__ = ["ExportError", "check_name", "export", "export_files"]


class ExportError(ValueError):
    """Name that a program in C or C++ cannot use."""


def export(build: Build, folder: str | Path, *, name: str = "model") -> dict[str, int]:
    """Write a build as C source; return the size of each file in bytes.

    Parameters
    ----------
    build : :class:`~eie_compiler.build.Build`
        Build to export.
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination folder.
    name : :class:`str`
        Name of the model in C and of its files.

    Raises
    ------
    ExportError
        If `name` is not a C identifier in lower case that a program can give to an object and
        its files; see :mod:`.c_names`.
    """
    files = export_files(build, name=name)
    write_files(folder, files)
    return {file: len(text.encode()) for file, text in files.items()}


def export_files(build: Build, *, name: str = "model") -> dict[str, str]:
    """Return the text of each file that :func:`export` writes, by file name.

    It depends only on the build and the name.

    Raises
    ------
    ExportError
        If `name` is not a C identifier in lower case that a program can give to an object and
        its files; see :mod:`.c_names`.
    """
    check_name(name)
    return {f"{name}.h": _header(build, name), f"{name}.c": _source(build, name)}


def check_name(name: str) -> None:
    """Check the name of the object and of its files, which are written together.

    Raises
    ------
    ExportError
        If a program in C or C++ cannot use it.
    """
    if fault := find_fault(name, C):
        raise ExportError(f"name {fault}")
    if reason := reason_against(name):
        raise ExportError(f"name must not be {name}, which is {reason}: choose another name")


def _header(build: Build, name: str) -> str:
    sizes = {
        "N_INPUTS": len(build.input.columns),
        "N_OUTPUTS": sum(len(vector.columns) for vector in build.outputs),
        "INPUT_BEATS": count_input_beats(build),
        "RESULT_BEATS": count_result_beats(build)}
    comment = (f"{name}: a network for an EIE accelerator with {build.config.n_pe} PEs, written by "
               f"`eie export`.\n   N_ are numbers of elements, of all outputs together; _BEATS are "
               f"sizes of eie_memory.{_patches(build)}")
    return header(name, comment, "eie.h", sizes, "eie_model")


def _patches(build: Build) -> str:
    """Describe an inference of a convolution, as the driver has no notion of images."""
    if build.patches is None:
        return ""
    patches, (down, across) = build.patches, build.patches.output_shape
    pixels = f"{patches.pixels} neighbours" if patches.pixels > 1 else "one"
    return (f"\n   A convolution: an inference is {pixels} of the {down} × {across} pixels of a "
            f"result. Its input is the\n   patch of the image under it, {patches.shape[0]} "
            f"channels × {patches.kernel[0]} rows × {len(patches.columns)} columns.")


def _source(build: Build, name: str) -> str:
    # All objects bear the name of the model, so that none can have the same name as it.
    load = LoadTables.make(build.config, build.images, name)
    machine = f"{name}_expected"
    return "\n".join([f"#include \"{name}.h\"\n", machine_table(build.config, machine), load.text,
                      model_tables(build, name, load, machine=machine)])
