"""A machine modelled in Python, and its driver."""

import pytest

from eie_driver.accelerator import Accelerator
from eie_sim.golden.fake_machine import FakeMachine
from support.driver_builds import TINY


@pytest.fixture
def fake():
    return FakeMachine(TINY)


@pytest.fixture
def machine(fake):
    return Accelerator(fake, timeout=0.5)
