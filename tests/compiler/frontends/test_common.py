"""Places in messages of the front ends, and the limit on repeated use of weights."""

import pytest

from eie_compiler.frontends import common
from eie_compiler.frontends.common import FrontEndError, ReuseLimit, at
from eie_compiler.model import ModelError


def test_a_message_is_prefixed_with_its_places_once_each():
    with pytest.raises(FrontEndError, match="^m.onnx: layer 'a': weight must be finite$"):
        with at("m.onnx"), at("layer 'a'"), at("layer 'a'"):
            raise ModelError("weight must be finite")


def test_other_errors_pass_unchanged():
    with pytest.raises(KeyError, match="^'a'$"):
        with at("m.onnx"):
            raise KeyError("a")


def test_only_repeated_use_counts_against_the_limit(monkeypatch):
    monkeypatch.setattr(common, "_MAX_REPEATED", 5)
    limit = ReuseLimit()
    limit.take("a", 100, 100)    # every number for the first time
    limit.take("b", 4, 8)
    limit.take("b", 6, 8)    # 4 for the first time, 2 again
    limit.take("a", 3, 100)
    with pytest.raises(FrontEndError, match="^numbers used repeatedly must be at most 5, not 6: "
                                            "share fewer weights between layers$"):
        limit.take("b", 1, 8)
