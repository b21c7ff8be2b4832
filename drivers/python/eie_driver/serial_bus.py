"""Bus of a machine whose bitstream has a UART bridge, through a serial port."""

import errno
import os
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eie_hdl.extras import missing
from eie_hdl.format import BEAT_BYTES
from eie_hdl.frames import DEFAULT_BAUD, MAX_BEATS, MAX_READS, Command, Reply, Status

from .bridge_link import DEFAULT_PATIENCE, BridgeLink
from .bus import Bus, BusError

__all__ = ["SerialBus", "open_serial"]

#: Bits of a byte on the line, with start and stop.
_FRAME_BITS = 10

#: What is wrong with a port, and what to do, by the error of the system.
_PROBLEMS = {
    errno.ENOENT: ("does not exist", "connect the board, or choose one of those that `python -m "
                                     "serial.tools.list_ports` lists"),
    errno.EACCES: ("may not be used by you", "join the group that owns it, such as dialout"),
    errno.EISDIR: ("is a folder", "name a device such as /dev/ttyUSB0"),
    errno.ENOTTY: ("is not a terminal", "name a device such as /dev/ttyUSB0"),
}

#: Seconds between polls of a machine that does not accept beats, or that is waited for.
_POLL = 1e-3


class SerialBus(Bus):
    """Bus to a machine over a link to its bridge.

    Parameters
    ----------
    link : :class:`~.bridge_link.BridgeLink`
        Link to the bridge.
    timeout : :class:`float`, seconds
        Longest time in which the machine accepts no beat of a packet.

    Attributes
    ----------
    link
        The link.
    """

    def __init__(self, link: BridgeLink, *, timeout: float = 5.0) -> None:
        self.link = link
        self._timeout = timeout
        self._expecting = False
        self._packet = bytearray()

    def read(self, address: int) -> int:
        return self.read_all([address])[0]

    def read_all(self, addresses: Sequence[int]) -> list[int]:
        values: list[int] = []
        for first in range(0, len(addresses), MAX_READS):
            part = np.array(addresses[first:first + MAX_READS], "<u2")
            reply = self.link.request(Command.READ, part.tobytes())
            read = np.frombuffer(reply.payload, "<u4").tolist()
            if reply.status == Status.REFUSED:
                raise BusError(f"Machine must have a readable register at "
                               f"0x{part[len(read)]:03X}, but refuses the access")
            values += read
        return values

    def write(self, address: int, value: int) -> None:
        reply = self.link.request(Command.WRITE, address.to_bytes(2, "little")
                                  + value.to_bytes(4, "little"))
        if reply.status == Status.REFUSED:
            raise BusError(f"Machine must accept 0x{value:08X} in the register at 0x{address:03X}, "
                           f"but refuses the access")

    def send(self, beats: NDArray[np.uint64]) -> None:
        sent, deadline = 0, self.now() + self._timeout
        while sent < len(beats):
            part = beats[sent:sent + MAX_BEATS]
            ends_packet = sent + len(part) == len(beats)
            reply = self.link.request(Command.SEND, bytes([ends_packet])
                                      + part.astype("<u8").tobytes())
            accepted = reply.payload[0]
            sent += accepted
            if accepted:
                deadline = self.now() + self._timeout
            elif self.now() > deadline:
                raise BusError(f"Packet of {len(beats)} beats must be accepted, but the machine "
                               f"has taken none after the first {sent} for {self._timeout:g} s")
            else:
                time.sleep(_POLL)

    def expect(self, n_bytes: int) -> None:
        self._expecting = True
        self._packet.clear()

    def receive(self) -> NDArray[np.uint8] | None:
        while self._expecting:
            *beats, keep, is_last = self.link.request(Command.RECEIVE).payload
            if not beats:
                return None
            n_valid = keep.bit_length()
            if keep != (1 << n_valid) - 1 or (n_valid < BEAT_BYTES and not is_last):
                raise BusError(f"Beats of results must have bytes from the lowest on, and all but "
                               f"the last of a packet eight, but TKEEP is 0x{keep:02X}")
            self._packet += bytes(beats[:len(beats) - BEAT_BYTES + n_valid])
            self._expecting = not is_last
            if is_last:
                return np.frombuffer(bytes(self._packet), np.uint8)
        return None

    def wait(self, seconds: float) -> None:
        deadline = self.now() + seconds
        while not self._has_news(self.link.request(Command.READ)) and self.now() < deadline:
            time.sleep(_POLL)

    def now(self) -> float:
        return time.monotonic()

    def _has_news(self, reply: Reply) -> bool:
        return reply.irq or (self._expecting and reply.result)


def open_serial(port: str, *, baud: int = DEFAULT_BAUD, patience: float = DEFAULT_PATIENCE,
                timeout: float = 5.0) -> SerialBus:
    """Open a serial port with a machine.

    Parameters
    ----------
    port : :class:`str`
        Device such as ``/dev/ttyUSB0``, or another URL of pyserial, such as ``socket://host:port``.
    baud : :class:`int`
        Baud rate of the bitstream.
    patience
        As for :class:`~.bridge_link.BridgeLink`.
    timeout
        As for :class:`SerialBus`.

    Raises
    ------
    BusError
        If the port cannot be opened or have the baud rate, or pyserial is missing. The message has
        the reason and the remedy.
    """
    try:
        import serial
    except ImportError as error:
        raise BusError(missing("pyserial", "for serial ports", "serial")) from error
    try:
        line = serial.serial_for_url(port, baudrate=baud, timeout=0)
    except (OSError, OverflowError, ValueError) as error:    # pyserial's own error is an OSError
        # The driver of the port may refuse a rate, with the error of a system call.
        if isinstance(error, OverflowError) or (isinstance(error, ValueError)
                                                and "baud" in str(error)):
            raise BusError(f"baud must be a rate of the port, not {baud}: give that of the "
                           "bitstream") from error
        problem, remedy = _explain(error)
        raise BusError(f"port must be a serial port with a machine, but {port or repr(port)} "
                       f"{problem}: {remedy}") from error
    return SerialBus(BridgeLink(line, byte_time=_FRAME_BITS / baud, patience=patience),
                     timeout=timeout)


def _explain(error: Exception) -> tuple[str, str]:
    """Say what is wrong with a port, and what to do.

    The text of pyserial repeats the port and itself; the system's error is the context of its own.
    """
    cause = error.__context__ or error
    number = cause.args[0] if cause.args else None
    if isinstance(cause, TimeoutError):    # of a socket, without a number
        number = errno.ETIMEDOUT
    if not isinstance(number, int):    # the error of no system call
        return ("is no device or URL of pyserial", "name a device such as /dev/ttyUSB0, or a URL "
                                                   "such as socket://host:port")
    reason = getattr(cause, "strerror", None) or os.strerror(number)
    return _PROBLEMS.get(number, (f"cannot be opened ({reason})", "check the name and what is "
                                                                  "connected"))
