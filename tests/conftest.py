"""Fixtures of all tests; what they are made of is in eie_sim.testing."""

import functools
import re

import pytest

from eie_sim import testing


def pytest_addoption(parser):
    parser.addoption("--vcd", action="store_true", help="write a waveform of every simulation")


@pytest.fixture
def simulate(request):
    """:func:`eie_sim.testing.simulate`, with a waveform named after the test if one is wanted."""
    vcd = None
    if request.config.getoption("vcd"):
        vcd = re.sub(r"[^\w.-]+", "_", request.node.name) + ".vcd"
    return functools.partial(testing.simulate, vcd=vcd)


@pytest.fixture(params=testing.STALLS.values(), ids=testing.STALLS.keys())
def stalls(request):
    """Probabilities of stalling the inputs and the outputs."""
    return request.param
