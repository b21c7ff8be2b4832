"""`eie_driver.machine`: waiting, counters and errors of a machine."""

import re

import numpy as np
import pytest

from eie_driver.errors import (
    DriverError,
    DriverTimeout,
    MachineError,
)
from eie_hdl.registers import Error
from support.driver_builds import compiled, random_words


def test_counters_are_made_of_both_halves_and_latched_on_request(machine, fake):
    fake.set("MACS_LO", value=5)
    fake.set("MACS_HI", value=7)
    assert machine.counters()["macs"] == 7 << 32 | 5
    assert "CONTROL" not in fake.log
    machine.counters(now=True)
    assert fake.log[-1] == "CONTROL"


def test_an_error_of_the_machine_is_reported_with_its_text_and_state(machine, fake):
    machine.load(compiled())
    fake.set("ERROR", memory=2, pe=3)
    fake.fail(Error.BAD_ADDRESS, 77)
    with pytest.raises(MachineError, match=(
            r"^Machine must be cleared: BAD_ADDRESS at 77, memory 2, PE 3 "
            rf"\({re.escape(Error.BAD_ADDRESS.doc)}\); STATUS: idle, error$")) as error:
        machine.infer(np.zeros(20))
    assert (error.value.code, error.value.address) == (Error.BAD_ADDRESS, 77)


def test_an_error_during_a_program_is_reported_at_once(machine, fake):
    build = compiled()
    machine.load(build)
    fake._start = lambda: fake.fail(Error.NO_END, 1)
    before = fake.now()
    with pytest.raises(MachineError, match="^Machine must be cleared: NO_END at 1,"):
        machine.run(random_words(build), words=True)
    assert fake.now() - before < 0.5


def test_a_program_that_sends_nothing_is_abandoned(machine, fake):
    build = compiled()
    machine.load(build)
    fake._start = lambda: fake.set("STATUS", idle=0, busy=1)
    with pytest.raises(DriverTimeout, match=(
            "^The next packet of results must come within 0.5 s; STATUS: busy$")):
        machine.run(random_words(build), words=True)


def test_results_of_another_length_are_refused(machine, fake):
    build = compiled()
    machine.load(build)
    start = fake._start

    def shorten():
        start()
        fake.results[-1] = fake.results[-1][:-3]

    fake._start = shorten
    with pytest.raises(DriverError, match="^Packet of results must have 10 bytes, not 7; STATUS: "
                                          "idle$"):
        machine.run(random_words(build), words=True)


@pytest.mark.parametrize(("call", "register", "status", "message"), [
    (lambda machine: machine.load(compiled()), None, {"idle": 0, "receiving": 1},
     "Idle state must come within 0.5 s; STATUS: receiving"),
    (lambda machine: machine.clear(), "_control", {"idle": 0},
     "Idle state must come within 0.5 s; STATUS: nothing"),
    (lambda machine: machine.reset(), "_control", {"idle": 0, "resetting": 1},
     "The end of the reset must come within 0.5 s; STATUS: resetting"),
])
def test_a_machine_that_never_becomes_idle_is_abandoned(machine, fake, call, register, status,
                                                         message):
    if register:
        setattr(fake, register, lambda: None)
    fake.set("STATUS", **status)
    with pytest.raises(DriverTimeout, match=f"^{re.escape(message)}$"):
        call(machine)
