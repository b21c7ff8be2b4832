"""SerialBus; its accesses are tested on the RTL, in tests/hdl/bridge/test_bridge.py."""

import sys

import pytest

from eie_driver.bus import BusError
from eie_driver.serial_bus import open_serial


def test_a_port_that_does_not_exist_is_reported(tmp_path):
    port = tmp_path / "tty"
    with pytest.raises(BusError, match=f"^Port must be one with a machine, but {port} cannot be "
                                       "opened: .*No such file or directory"):
        open_serial(str(port))


def test_a_port_that_returns_what_it_is_sent_is_no_bridge():
    bus = open_serial("loop://")
    with pytest.raises(BusError, match="^Bridge must use the protocol 010004, not : use the "
                                       "software version of the hardware$"):
        bus.read(0)


def test_missing_pyserial_is_reported_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(BusError, match=r"^pyserial must be installed for serial ports, but was "
                                       r"not found: pip install .*\[serial\]"):
        open_serial("/dev/ttyUSB0")
