import re

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Tanh
from eie_compiler.lowering.fixed_inputs import fix_inputs
from eie_compiler.preprocessing import Preprocessing
from eie_hdl.config import PRESETS

TINY = PRESETS["tiny"]


def graph(scale):
    return Graph({"x": (3,), "z": (3,)}, (Node("a", Tanh(), ("x",)), Node("b", Tanh(), ("z",))),
                 ("a", "b"), {"x": 5, "z": 3, "a": 4, "b": 4}, preprocessing={
                     "z": Preprocessing(np.zeros(3), np.array([1.0, scale, 2.0]))})


def test_words_of_an_input_have_its_format_and_the_width_of_the_machine():
    made, x = graph(0.5), np.random.default_rng(1).normal(size=(9, 3))
    fixed = fix_inputs(TINY, made)
    assert list(fixed) == ["z"]
    assert fixed["z"].quantise(x, TINY.act_width).tolist() == made.preprocessing["z"].fixed(
        3, TINY.act_width).quantise(x, TINY.act_width).tolist()


def test_an_input_without_a_format_is_named():
    message = ("input 'z': preprocessing: scale of element 1 must suit 3 fraction bits, not be "
               "1e-308")
    with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
        fix_inputs(TINY, graph(1e-308))
