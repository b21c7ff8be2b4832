"""All cases of `eie_bench.onchip`: each simulator and part is there."""

import pytest

from eie_hdl.extras import install_command

pytest.importorskip("onnx", reason=install_command("onnx"))

from eie_bench.onchip.all_cases import make_cases  # noqa: E402


def test_small_cases_are_on_both_simulators():
    cases = make_cases(None, None, seed=1)
    parts = {engine: {case.part for case in cases if case.engine == engine}
             for engine in ("verilator", "icarus")}
    assert parts == {"verilator": {"depthwise", "pooling", "geometry", "cell", "small cell",
                                   "integers", "small integers"},
                     "icarus": {"geometry", "small cell", "small integers"}}
    assert not [case for case in make_cases(None, None, seed=1, icarus=False)
                if case.engine == "icarus"]
