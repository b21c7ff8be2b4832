"""`eie_driver.identity`: identification of a machine."""

import dataclasses
import re

import pytest

from eie_driver.accelerator import Accelerator
from eie_driver.bus import BusError
from eie_driver.errors import (
    ConfigMismatch,
    DriverError,
)
from eie_hdl.format import FORMAT_VERSION
from eie_hdl.registers import PRODUCT_ID, REGISTER, VERSION
from eie_sim.golden.fake_machine import FakeMachine
from support.driver_builds import TINY, compiled


@pytest.mark.parametrize(("register", "value", "message"), [
    ("ID", 0xDEADBEEF, f"ID must be 0x{PRODUCT_ID:08X}, not 0xDEADBEEF: there is no EIE at this "
                       f"address"),
    ("VERSION", VERSION[0] + 1 << 16,
     f"VERSION.major must be {VERSION[0]}, not {VERSION[0] + 1}: use the software version of the "
     "hardware"),
    ("FORMAT", FORMAT_VERSION + 1, f"FORMAT must be {FORMAT_VERSION}, not {FORMAT_VERSION + 1}: "
                                   "use the software version of the hardware"),
    ("CONFIG_N_PE", 48, "Machine must have a valid configuration, but n_pe must be a power of "
                        "two from 1 to 256, not 48"),
])
def test_other_devices_and_versions_are_refused(fake, register, value, message):
    fake.words[register] = value
    with pytest.raises(DriverError, match=f"^{re.escape(message)}$"):
        Accelerator(fake)


def test_the_configuration_is_the_machines(machine):
    assert machine.config == TINY


class _Older(FakeMachine):
    """Machine of version 2.0, without the registers of later parameters."""

    def read(self, address):
        if address in [REGISTER[f"CONFIG_{name}"].address
                       for name in ("LOOPS", "LOCAL", "MAXIMUM", "PRODUCTS", "TABLES", "SCALES")]:
            raise BusError("Read was answered with SLVERR")
        return super().read(address)


def test_a_machine_of_version_2_0_has_no_loops():
    older = _Older(TINY)
    older.set("VERSION", major=2, minor=0)
    assert Accelerator(older).config == TINY


@pytest.mark.parametrize("name", ["", "local", "maximum", "products", "tables",
                                  "scales"])
def test_a_machine_of_version_2_1_may_have_loops(name):
    config = dataclasses.replace(TINY, act_width=9, codebook_width=12, acc_width=21, loops=True,
                                 **({name: True} if name else {}))
    newer = FakeMachine(config)
    newer.set("VERSION", major=2, minor=1)
    assert Accelerator(newer).config == config


def test_a_build_for_other_stages_of_the_mac_is_loaded(machine):
    machine.load(compiled(config=dataclasses.replace(TINY, mac_stages=5)))


def test_a_build_for_another_machine_is_refused_and_every_difference_named(machine):
    other = dataclasses.replace(TINY, queue_depth=8, readback=False)
    with pytest.raises(ConfigMismatch, match=(
            "^Build must be for a machine with queue_depth = 4, not 8; readback = True, not "
            "False: compile it for this machine$")):
        machine.load(compiled(config=other))
