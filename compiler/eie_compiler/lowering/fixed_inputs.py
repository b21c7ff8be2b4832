"""Integers of the preprocessing of inputs, for the widths of a machine."""

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph
from ..network import CompressedNetwork
from ..preprocessing import FixedPreprocessing, Preprocessing, PreprocessingError

__all__ = ["fix_input", "fix_inputs"]


def fix_input(config: EIEConfig, network: CompressedNetwork) -> FixedPreprocessing | None:
    """Choose the integers of the preprocessing of the input of a network; None if it has none.

    Raises
    ------
    CompileError
        If a number of an element suits no format.
    """
    return None if network.preprocessing is None else \
        _fix(config, network.preprocessing, network.input_frac)


def fix_inputs(config: EIEConfig, graph: Graph) -> dict[str, FixedPreprocessing]:
    """Choose the integers of the preprocessing of each input of a graph that has any, by name.

    Raises
    ------
    CompileError
        If a number of an element suits no format; the message names the input.
    """
    found = {}
    for name, preprocessing in graph.preprocessing.items():
        assert graph.fracs is not None
        try:
            found[name] = _fix(config, preprocessing, graph.fracs[name])
        except CompileError as error:
            raise CompileError(f"input {name!r}: {error}") from error
    return found


def _fix(config: EIEConfig, preprocessing: Preprocessing, frac: int) -> FixedPreprocessing:
    """Choose the integers of the preprocessing of an input with these fraction bits."""
    try:
        return preprocessing.fixed(frac, config.act_width)
    except PreprocessingError as error:
        raise CompileError(f"preprocessing: {error}") from error
