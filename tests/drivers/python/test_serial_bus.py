"""SerialBus; its accesses are tested on the RTL, in tests/hdl/bridge/test_bridge.py."""

import errno
import fcntl
import os
import socket
import sys

import pytest
import serial

from eie_driver.bus import BusError
from eie_driver.serial_bus import open_serial


@pytest.mark.parametrize("port, problem", [
    ("FOLDER/tty", "FOLDER/tty does not exist: connect the board, or choose one of those that "
                   "`python -m serial.tools.list_ports` lists"),
    ("FOLDER", "FOLDER is a folder: name a device such as /dev/ttyUSB0"),
    ("FOLDER/file", "FOLDER/file is not a terminal: name a device such as /dev/ttyUSB0"),
    ("", "'' does not exist: connect the board, or choose one of those that `python -m "
         "serial.tools.list_ports` lists"),
    ("socket://127.0.0.1:0", "socket://127.0.0.1:0 cannot be opened (Connection refused): check "
                             "the name and what is connected"),
    *((url, f"{url} is no device or URL of pyserial: name a device such as /dev/ttyUSB0, or a URL "
            "such as socket://host:port") for url in ("wire://x", "socket://x")),
])
def test_a_port_that_cannot_be_opened_is_reported_in_a_sentence(tmp_path, port, problem):
    (tmp_path / "file").touch()
    with pytest.raises(BusError) as caught:
        open_serial(port.replace("FOLDER", str(tmp_path)))
    assert str(caught.value) == ("port must be a serial port with a machine, but "
                                 + problem.replace("FOLDER", str(tmp_path)))


def test_a_port_without_permission_is_reported(monkeypatch):
    """As pyserial reports it, also if a test may use everything."""
    def refuse(port, **settings):
        error = serial.SerialException(errno.EACCES, f"could not open port {port}")
        error.__context__ = PermissionError(errno.EACCES, "Permission denied", port)
        raise error

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(BusError, match="^port must be a serial port with a machine, but ttyX may "
                                       "not be used by you: join the group that owns it, such as "
                                       "dialout$"):
        open_serial("ttyX")


def test_a_socket_that_does_not_answer_is_reported(monkeypatch):
    def wait(address, timeout):
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", wait)
    with pytest.raises(BusError, match=r"^port must be a serial port with a machine, but "
                                       r"socket://host:1 cannot be opened \(Connection timed out"
                                       r"\): check the name and what is connected$"):
        open_serial("socket://host:1")


@pytest.mark.parametrize("baud, is_refused", [(10 ** 12, False), (-5, False), (12345, True)])
def test_a_baud_rate_that_no_port_has_is_reported(monkeypatch, baud, is_refused):
    """Also one that the driver of the port refuses."""
    def refuse(*arguments):
        raise OSError(errno.EINVAL, "Invalid argument")

    main, port = os.openpty()
    try:
        name = os.ttyname(port)
        with monkeypatch.context() as patch:
            if is_refused:
                patch.setattr(fcntl, "ioctl", refuse)
            with pytest.raises(BusError, match=f"^baud must be a rate of the port, not {baud}: "
                                               "give that of the bitstream$"):
                open_serial(name, baud=baud)
    finally:
        os.close(main)
        os.close(port)


def test_a_port_that_returns_what_it_is_sent_is_no_bridge():
    bus = open_serial("loop://")
    with pytest.raises(BusError, match="^Line must lead to a bridge, but returns the request "
                                       "itself: "):
        bus.read(0)


def test_missing_pyserial_is_reported_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(BusError, match=r"^pyserial must be installed for serial ports, but was "
                                       r"not found: pip install .*\[serial\]"):
        open_serial("/dev/ttyUSB0")
