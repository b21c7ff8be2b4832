"""Requests to the bridge of a machine over a line that may lose or damage bytes."""

import collections
import os
import time
from typing import Any, Protocol

from eie_hdl.frames import (
    FRAME_BYTES,
    NONCE_BYTES,
    SEQUENCES,
    Command,
    Decoder,
    Reply,
    Status,
    encode,
    hello_payload,
)

from .bus import BusError

__all__ = ["DEFAULT_PATIENCE", "BridgeLink", "Line"]

#: Seconds for a request and its reply, besides those of their bytes.
DEFAULT_PATIENCE = 0.25

#: Part of the time for a reply after which a request is sent again if a frame was damaged.
_SETTLE = 1 / 8


class Line(Protocol):
    """Line of bytes in both directions, such as a port of pyserial."""

    #: Longest time that :meth:`read` waits, in seconds.
    timeout: Any

    def write(self, data: bytes) -> Any:
        """Send all bytes."""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, at least one unless the time is over."""

    @property
    def in_waiting(self) -> int:
        """Number of bytes that :meth:`read` returns at once."""


class BridgeLink:
    """Requests that are executed exactly once, although bytes are lost or damaged.

    A request is sent again, with the same sequence number, until its reply comes. The bridge
    executes it once, and sends the same reply again.

    Parameters
    ----------
    line : :class:`Line`
        The line.
    byte_time : :class:`float`, seconds
        Time of a byte on the line.
    patience : :class:`float`, seconds
        Time of a request and its reply, besides that of their bytes.
    attempts : :class:`int`
        Times that a request is sent before it fails.

    Attributes
    ----------
    repeats : :class:`int`
        Requests that were sent again: 0 on a sound line.
    """

    def __init__(self, line: Line, *, byte_time: float, patience: float = DEFAULT_PATIENCE,
                 attempts: int = 20) -> None:
        self._line = line
        self._byte_time, self._patience, self._attempts = byte_time, patience, attempts
        self._decoder = Decoder()
        self._frames: collections.deque[bytes] = collections.deque()
        self._sequence: int | None = None    # of the last request; None without a session
        self.repeats = 0

    def request(self, command: Command, payload: bytes = b"") -> Reply:
        """Have a request executed, and return its reply.

        After an interrupted call, as by Ctrl-C, the next one begins a new session: the interrupted
        request has been executed once, or not at all.

        Raises
        ------
        BusError
            If no reply comes, the machine refuses an access, or the bridge has been reset.
        """
        sequence = self._sequence
        if sequence is None:
            sequence = self._begin()
        self._sequence = None
        sequence = (sequence + 1) % SEQUENCES
        reply = self._exchange(sequence, command, payload)
        if reply.status == Status.BAD_SEQUENCE:
            raise BusError("Bridge must be in the session of this driver, but it was reset, or "
                           "another program uses the line: clear the machine, and load it again")
        if reply.status not in (Status.OK, Status.REFUSED):
            raise BusError(f"Bridge must execute {command.name}, but answers with status "
                           f"{reply.status}: use the software version of the hardware")
        self._sequence = sequence
        return reply

    def _begin(self) -> int:
        """Begin a session; return its first sequence number."""
        nonce = os.urandom(NONCE_BYTES)
        sequence = nonce[0]
        reply = self._exchange(sequence, Command.HELLO, nonce, nonce)
        if reply.status != Status.OK or reply.payload[NONCE_BYTES:] != hello_payload():
            named = reply.payload[NONCE_BYTES:].hex() or "none"
            raise BusError(f"Bridge must use the protocol {hello_payload().hex()}, not {named}: "
                           f"use the software version of the hardware")
        return sequence

    def _exchange(self, sequence: int, command: Command, payload: bytes, begin: bytes = b""
                  ) -> Reply:
        """Send a request until its reply comes, the payload of which begins with these bytes."""
        contents = bytes([sequence, command]) + payload
        request = encode(contents)
        # A frame has at most two bytes on the line for each of its own, and two delimiters.
        slack = self._patience + self._byte_time * (len(request) + 2 * FRAME_BYTES + 2)
        for attempt in range(self._attempts):
            self.repeats += attempt > 0
            try:
                self._line.write(request)
                deadline = time.monotonic() + slack
                while (frame := self._receive(deadline)) is not None:
                    # No reply has the payload of its request with the command as status; without
                    # payload, a damaged READ is answered by its own bytes.
                    if payload and frame == contents:
                        raise BusError("Line must lead to a bridge, but returns the request itself:"
                                       " TX and RX are joined; connect each to the other of the "
                                       "machine")
                    if not frame or (reply := Reply.of(frame)).status == Status.BAD_FRAME:
                        # The reply or the request was damaged, or it was noise before it. Noise
                        # may end several frames: one repetition for each would be more noise.
                        deadline = min(deadline, time.monotonic() + slack * _SETTLE)
                    elif reply.sequence == sequence and reply.payload.startswith(begin):
                        return reply
            except OSError as error:
                raise BusError(f"Line must stay connected, but: {error}") from error
        raise BusError(f"Bridge must reply, but has not after {self._attempts} attempts of "
                       f"{slack:.2g} s: check the port, the baud rate and the bitstream")

    def _receive(self, deadline: float) -> bytes | None:
        """Wait for the next frame; return its contents, empty if damaged, None if there is none."""
        while not self._frames:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._line.timeout = left
            received = self._line.read(max(1, self._line.in_waiting))
            self._frames.extend(frame or b"" for frame in self._decoder.feed(received))
        return self._frames.popleft()
