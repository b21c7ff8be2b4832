"""Integers of the preprocessing of inputs, for the widths of a machine."""

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph
from ..preprocessing import FixedPreprocessing, Preprocessing, PreprocessingError

__all__ = ["fix_inputs", "fix_preprocessing"]


def fix_preprocessing(config: EIEConfig, preprocessing: Preprocessing, frac: int
                      ) -> FixedPreprocessing:
    """Choose the integers of the preprocessing of an input.

    Parameters
    ----------
    frac : :class:`int`
        Fraction bits of its words.

    Raises
    ------
    CompileError
        If a number of an element suits no format.
    """
    try:
        return preprocessing.fixed(frac, config.act_width)
    except PreprocessingError as error:
        raise CompileError(f"preprocessing: {error}") from error


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
            found[name] = fix_preprocessing(config, preprocessing, graph.fracs[name])
        except CompileError as error:
            raise CompileError(f"input {name!r}: {error}") from error
    return found
