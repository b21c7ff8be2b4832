"""Frames of the serial bridge: what the RTL and the driver know of the line.

A frame is `END`, its bytes with each `END` and `ESCAPE` replaced by two bytes, and `END`: the byte
stuffing of RFC 1055. Its bytes are a header of two, a payload, and the CRC-32 of both, least
significant byte first. Any noise ends with the next `END`.
"""

import enum
import zlib
from typing import NamedTuple

__all__ = ["CRC_BYTES", "DEFAULT_BAUD", "DEFAULT_BIT_CYCLES", "END", "ESCAPE", "ESCAPED",
           "FRAME_BYTES", "HEADER_BYTES", "IRQ_BIT", "MAX_BEATS", "MAX_READS", "MIN_BIT_CYCLES",
           "NONCE_BYTES", "PROTOCOL_VERSION", "RESULT_BIT", "SEQUENCES", "STATUS_WIDTH", "Command",
           "Decoder", "Reply", "Status", "encode", "hello_payload"]

#: Version of commands, replies and their payloads, which the reply to `HELLO` carries.
PROTOCOL_VERSION = 1

#: Baud rate of the bitstreams of this project, which an FT231X of FTDI reaches.
DEFAULT_BAUD = 3_000_000

#: Clock cycles per bit of the UART unless another number is given.
DEFAULT_BIT_CYCLES = 16
#: Least clock cycles per bit: the receiver samples in the middle of one, after a synchroniser.
MIN_BIT_CYCLES = 4

#: Byte before and after each frame; also what an idle SPI bus carries. Empty frames mean nothing.
END = 0xC0
#: First byte of an escaped pair.
ESCAPE = 0xDB
#: Byte that must not appear in a frame -> second byte of its pair.
ESCAPED = {END: 0xDC, ESCAPE: 0xDD}

#: Most bytes of a frame, header and CRC included, before stuffing: the buffers of the bridge.
FRAME_BYTES = 1024
HEADER_BYTES = 2
CRC_BYTES = 4

_MAX_PAYLOAD = FRAME_BYTES - HEADER_BYTES - CRC_BYTES

#: Most registers of a `READ`: four bytes each in the reply.
MAX_READS = _MAX_PAYLOAD // 4
#: Most beats of a `SEND` and of the reply to a `RECEIVE`: eight bytes each, besides one or two.
MAX_BEATS = (_MAX_PAYLOAD - 2) // 8

#: Bytes that a `HELLO` carries and its reply returns.
NONCE_BYTES = 4

#: Number of sequence numbers; the one after the last is 0.
SEQUENCES = 256


class Command(enum.IntEnum):
    """Second byte of a request; the first is its sequence number."""

    #: Begin a session with this sequence number. Four bytes that the reply returns, so that no
    #: reply to an earlier request can be taken for it.
    HELLO = 0
    #: Read the registers at these addresses of two bytes, up to the first that is refused.
    READ = 1
    #: Write a register: address of two bytes, value of four.
    WRITE = 2
    #: Send beats of a packet: a byte, 1 if the last beat ends the packet; the beats. Beats that are
    #: not accepted promptly are left out.
    SEND = 3
    #: Receive beats of results, as many as come promptly.
    RECEIVE = 4


class Status(enum.IntEnum):
    """Outcome of a request: low bits of the second byte of a reply."""

    #: Executed.
    OK = 0
    #: A frame was damaged; the sequence number means nothing. Nothing was executed.
    BAD_FRAME = 1
    #: Sequence number of no session, or neither the last nor the next one. Nothing was executed.
    BAD_SEQUENCE = 2
    #: Unknown command, or a payload of another length. Nothing was executed.
    BAD_COMMAND = 3
    #: The machine refused an access to a register (SLVERR).
    REFUSED = 4


#: Second byte of a reply: width of the status in its low bits, and, as the reply leaves, the number
#: of the bits that are the interrupt request and that a beat of results waits.
STATUS_WIDTH, IRQ_BIT, RESULT_BIT = 3, 6, 7


class Reply(NamedTuple):
    """Contents of a reply.

    Attributes
    ----------
    sequence : :class:`int`
        Sequence number of the request.
    status : :class:`int`
        One of :class:`Status`; any other number is that of another protocol.
    irq : :class:`bool`
        State of the machine's interrupt request.
    result : :class:`bool`
        A beat of results waits.
    payload : :class:`bytes`
        Results of the command.
    """

    sequence: int
    status: int
    irq: bool
    result: bool
    payload: bytes

    @classmethod
    def of(cls, contents: bytes) -> "Reply":
        """Take a frame of at least a header apart."""
        sequence, second = contents[:HEADER_BYTES]
        return cls(sequence, second % (1 << STATUS_WIDTH), bool(second >> IRQ_BIT & 1),
                   bool(second >> RESULT_BIT & 1), contents[HEADER_BYTES:])


def hello_payload() -> bytes:
    """Return what follows the four bytes in the reply to `HELLO`: the version, and the buffers."""
    return bytes([PROTOCOL_VERSION, *FRAME_BYTES.to_bytes(2, "little")])


def encode(contents: bytes) -> bytes:
    """Make a frame of a header and a payload."""
    stuffed = bytearray([END])
    for byte in contents + zlib.crc32(contents).to_bytes(CRC_BYTES, "little"):
        stuffed += bytes([ESCAPE, ESCAPED[byte]]) if byte in ESCAPED else bytes([byte])
    return bytes([*stuffed, END])


class Decoder:
    """Receiver of frames in a stream of bytes, among any noise."""

    def __init__(self) -> None:
        self._frame = bytearray()

    def feed(self, received: bytes) -> list[bytes | None]:
        """Take bytes; return the contents of each frame that they end, None for a damaged one."""
        frames = []
        for byte in received:
            if byte != END:
                # Noise without an END must not fill the memory: a byte too many is a fault.
                if len(self._frame) <= 2 * FRAME_BYTES:
                    self._frame.append(byte)
            elif self._frame:
                frames.append(_unwrap(bytes(self._frame)))
                self._frame.clear()
        return frames


def _unwrap(stuffed: bytes) -> bytes | None:
    """Undo the stuffing and check length and CRC; None if there is any fault."""
    originals = {code: byte for byte, code in ESCAPED.items()}
    contents, escaped = bytearray(), False
    for byte in stuffed:
        if escaped and byte not in originals:
            return None
        if byte == ESCAPE and not escaped:
            escaped = True
            continue
        contents.append(originals[byte] if escaped else byte)
        escaped = False
    if escaped or not HEADER_BYTES + CRC_BYTES <= len(contents) <= FRAME_BYTES:
        return None
    body, crc = bytes(contents[:-CRC_BYTES]), bytes(contents[-CRC_BYTES:])
    return body if zlib.crc32(body).to_bytes(CRC_BYTES, "little") == crc else None
