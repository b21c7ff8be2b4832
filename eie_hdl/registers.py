"""What the host sees through AXI4-Lite, as data: registers, their fields, and error codes.

From this come the register bank, its SystemRDL, the C header and the reference, and the drivers.
All machines have the same registers at the same addresses.
"""

import dataclasses
import enum
from collections.abc import Iterator

from .config import EIEConfig
from .format import COUNTER_WIDTH, COUNTERS, Memory

__all__ = [
    "ADDRESS_WIDTH", "PRODUCT_ID", "REGISTER", "REGISTERS", "REGISTER_WIDTH", "VERSION", "Access",
    "Error", "Field", "Register",
]

#: Bits of a register.
REGISTER_WIDTH = 32

#: Bits of an address: bytes of the range that the registers take.
ADDRESS_WIDTH = 10

#: What the register ID reads: "EIE" and the number of the programming model.
PRODUCT_ID = int.from_bytes(b"EIE\x01")

#: Semantic version of all that software sees of the hardware: major, minor, patch.
VERSION = (1, 0, 0)


class Error(enum.IntEnum):
    """Why the machine has stopped taking packets and starting programs. The first one stays.

    The text of a code becomes its line in every reference, and says what the address in register
    ERROR_ADDRESS is.
    """

    doc: str

    def __new__(cls, value: int, doc: str = "") -> "Error":
        error = int.__new__(cls, value)
        error._value_ = value
        error.doc = doc
        return error

    NONE = 0, "no error"
    BAD_HEADER = 1, "packet for a memory that does not exist, or reserved bits set; its address"
    BAD_PE = 2, "packet for a PE that does not exist; its address"
    BAD_ADDRESS = 3, "packet with words beyond the end of the memory; its address. None is written"
    TRUNCATED = 4, "TLAST came before the last word of a packet; address of the first missing word"
    OVERLONG = 5, "no TLAST with the last word of a packet; address behind the packet"
    PARTIAL_BEAT = 6, "a beat of a packet with TKEEP bits not set; address of its word"
    LOAD_IN_USE = 7, "packet for a memory or input buffer that a program uses or waits to use, " \
                     "or during a read of memory; its address"
    START_BUSY = 8, "start while another one waits, or while the core is being reset; its " \
                    "descriptor"
    START_RANGE = 9, "start at a descriptor that does not exist, or from an input buffer that " \
                     "does not; its descriptor"
    BAD_DESCRIPTOR = 10, "descriptor with rows, a codebook or a shift that do not exist, or with " \
                         "a destination inside its source; its number"
    NO_END = 11, "the program ran on to a word that is no descriptor; its number"
    BAD_POINTER = 12, "an activation has no pointers: ptr_base and column are beyond the end; " \
                      "the number of the descriptor"
    TIMEOUT = 13, "a program, its start or a read took longer than WATCHDOG allows; the number " \
                  "of the first descriptor, of no meaning for a read"
    RESULT_BLOCKED = 14, "as TIMEOUT, in a cycle in which the host did not take a result"
    BAD_READ = 15, "read of words that do not exist or cannot be read, or while the machine is " \
                   "busy; its address"


class Access(enum.Enum):
    """Who does what with a field. The value is how it is written in tables."""

    #: The host reads what the hardware says.
    READ = "r"
    #: The host writes and reads back; the hardware uses it.
    WRITE = "rw"
    #: Writing does something, with this value; reads as zero.
    COMMAND = "w"
    #: The hardware sets it; the host reads it, and clears it by writing a one.
    STICKY = "rw1c"


@dataclasses.dataclass(frozen=True)
class Field:
    """Some bits of a register.

    Attributes
    ----------
    name : :class:`str`
        Name, in lower case; unique in the register.
    low, width : :class:`int`
        Least significant bit, and number of bits.
    access : :class:`Access`
        Who does what with it.
    doc : :class:`str`
        What it means.
    reset : :class:`int`
        Value after reset of a field with `Access.WRITE`; zero for all others.
    """

    name: str
    low: int
    width: int
    access: Access
    doc: str
    reset: int = 0


@dataclasses.dataclass(frozen=True)
class Register:
    """A word of the register map.

    Attributes
    ----------
    name : :class:`str`
        Name, in upper case.
    address : :class:`int`
        Byte address, a multiple of four.
    doc : :class:`str`
        What it is for.
    fields : :class:`tuple` of :class:`Field`
        Fields, from the least significant bit up. All fields of a register have the same access.
    locked : :class:`bool`
        Whether it cannot be written while the machine is not idle.
    """

    name: str
    address: int
    doc: str
    fields: tuple[Field, ...]
    locked: bool = False

    @property
    def access(self) -> Access:
        """Who does what with its fields."""
        return self.fields[0].access

    def width(self, field: str = "value") -> int:
        """Bits of a field."""
        return self._field(field).width

    def pack(self, **values: int) -> int:
        """Word with these values of fields; those that are not given are zero.

        Raises
        ------
        ValueError
            If there is no such field, or a value does not fit.
        """
        word = 0
        for name, value in values.items():
            field = self._field(name)
            if not 0 <= value < 1 << field.width:
                raise ValueError(f"{self.name}.{name} must be from 0 to {(1 << field.width) - 1}, "
                                 f"not {value}")
            word |= int(value) << field.low
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """Values of all fields in a word."""
        return {field.name: word >> field.low & (1 << field.width) - 1 for field in self.fields}

    def _field(self, name: str) -> Field:
        fields = {field.name: field for field in self.fields}
        if name not in fields:
            raise ValueError(f"Field of {self.name} must be one of {', '.join(fields)}, not {name}")
        return fields[name]


def _fields(*fields: tuple[str, int, int, Access, str] | tuple[str, int, int, Access, str, int]
            ) -> tuple[Field, ...]:
    return tuple(Field(*field) for field in fields)


def _value(access: Access, doc: str, *, width: int = REGISTER_WIDTH, reset: int = 0
           ) -> tuple[Field, ...]:
    """The one field of a register that has no others."""
    return (Field("value", 0, width, access, doc, reset),)


R, RW, W, RW1C = Access.READ, Access.WRITE, Access.COMMAND, Access.STICKY

_CONFIG_BASE  = 0x10
_CONTROL_BASE = 0x80
_COUNTER_BASE = 0x100

#: What a program relies on.
_LOCKED = ("WATCHDOG", "INPUT_BASE", "INPUT_WORDS")

_MEMORIES = ", ".join(f"{memory.value} {memory.name}" for memory in Memory)
_ERRORS = "; ".join(f"{error.value} {error.name}" for error in Error)


def _identification() -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    yield "ID", "What this is.", _value(R, f"0x{PRODUCT_ID:08X}: the letters EIE and 1")
    yield "VERSION", "Semantic version of the hardware.", _fields(
        ("patch", 0, 8, R, "corrections"),
        ("minor", 8, 8, R, "additions that software of the same major version need not know"),
        ("major", 16, 8, R, "changes that software must know"))
    yield "FORMAT", "Version of packets, words and programs.", _value(
        R, "a build must have been made for the same one")


def _configuration() -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    for field in dataclasses.fields(EIEConfig):
        yield (f"CONFIG_{field.name.upper()}", f"Parameter {field.name} of the configuration.",
               _value(R, f"{field.name} of EIEConfig"))


def _control() -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    yield "CONTROL", "Commands; several may be given at once.", _fields(
        ("clear", 0, 1, W, "forget the error and the start that waits, and expect a header next: "
                           "only while no transfer to the machine is under way"),
        ("soft_reset", 1, 1, W, "stop everything, write zeros to all memories, and give all "
                                "registers their reset values"),
        ("new_model", 2, 1, W, "begin the checksum anew"),
        ("latch", 3, 1, W, "copy the counters now; otherwise they are copied when a program ends"))
    yield "STATUS", "What the machine is doing.", _fields(
        ("idle", 0, 1, R, "nothing runs, nothing waits, no packet is half received"),
        ("busy", 1, 1, R, "a program runs, or memory is being read for the host"),
        ("queued", 2, 1, R, "a start waits"),
        ("receiving", 3, 1, R, "a packet has begun and not ended"),
        ("resetting", 4, 1, R, "a soft reset writes zeros, or a failed program is being stopped"),
        ("error", 5, 1, R, "register ERROR holds a code"),
        ("overflow", 6, 1, R, "an accumulator overflowed in the last program that ended"),
        ("buffer", 7, 1, R, "input buffer of the program that runs"))
    yield "ERROR", "The first error since the last clear.", _fields(
        ("code", 0, 8, R, _ERRORS),
        ("memory", 8, 3, R, f"of errors of packets: {_MEMORIES}"),
        ("pe", 16, 8, R, "of errors of packets: the PE in the header"))
    yield "ERROR_ADDRESS", "Where the error arose.", _value(
        R, "what it is the address of depends on the code", width=24)
    yield "IRQ_ENABLE", "Which events raise irq.", _fields(
        ("done", 0, 1, RW, "end of a program"), ("error", 1, 1, RW, "error"))
    yield "IRQ_STATUS", "Events since they were last cleared. While an enabled one is set, irq " \
                        "is high.", _fields(
        ("done", 0, 1, RW1C, "a program has ended, its results have been taken by the output "
                             "queue"),
        ("error", 1, 1, RW1C, "an error has occurred"))
    yield "START", "Start a program. While another one runs it waits; one can wait.", _fields(
        ("descriptor", 0, 16, W, "number of the first descriptor"),
        ("buffer", 16, 1, W, "input buffer that it reads"))
    yield "WATCHDOG", "Longest time of a program, of a read of memory, and of a start that waits " \
                      "while nothing runs.", _value(
        RW, "cycles; 0 is for ever", reset=1 << 24)
    yield "INPUT_BASE", "Where the input buffers are.", _value(
        RW, "row of the activation SRAMs at which buffer 0 begins", width=16)
    yield "INPUT_WORDS", "Size of the input buffers.", _fields(
        ("words", 0, 16, RW, "rows of a buffer; buffer 1 is behind buffer 0"),
        ("double", 16, 1, RW, "whether there is a buffer 1"))
    yield "CHECKSUM", "CRC-32 of the beats of all packets, headers included, other than those " \
                      "for input buffers, since the last new_model.", _value(
        R, "as zlib.crc32 of their bytes, lowest first")
    yield "PROGRAMS", "Programs that have ended without an error since reset.", _value(
        R, "modulo 2 ** 32")
    yield "OVERFLOW", "Of the last program that ended.", _fields(
        ("tile", 0, 16, R, "number of its first tile, from 0, in which an accumulator overflowed"),
        ("any", 16, 1, R, "whether one did"))
    yield "PE_INDEX", "PE whose busy cycles the counter PE_BUSY counts.", _value(
        RW, "modulo the number of PEs; used from the next tile on", width=8)
    yield "READ_PLACE", "What the next READ sends.", _fields(
        ("memory", 0, 3, RW, f"{_MEMORIES}; ACT sends the rows of all PEs, in order of column "
                             f"number"),
        ("pe", 8, 8, RW, "PE whose memory is read"))
    yield "READ_ADDRESS", "Where the next READ begins.", _value(RW, "address of a word", width=24)
    yield "READ", "Read memory: the words come as a packet of results. Memories other than ACT " \
                  "can be read if the machine was made with readback.", _fields(
        ("count", 0, 24, W, "number of words; each of them in pieces of act_width bits, low first"))


def _counters() -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    for name, doc in COUNTERS.items():
        for low in range(0, COUNTER_WIDTH, REGISTER_WIDTH):
            half = "HI" if low else "LO"
            yield (f"{name.upper()}_{half}",
                   f"Counter {name}, as of the last program that ended or the last latch: {doc}.",
                   _value(R, f"bits {low + REGISTER_WIDTH - 1}:{low}"))


def _place(base: int, registers: Iterator[tuple[str, str, tuple[Field, ...]]]
           ) -> Iterator[Register]:
    for number, (name, doc, fields) in enumerate(registers):
        yield Register(name, base + number * REGISTER_WIDTH // 8, doc, fields,
                       locked=name in _LOCKED)


#: All registers, in order of address.
REGISTERS: tuple[Register, ...] = (
    *_place(0, _identification()), *_place(_CONFIG_BASE, _configuration()),
    *_place(_CONTROL_BASE, _control()), *_place(_COUNTER_BASE, _counters()))

#: The same by name.
REGISTER = {register.name: register for register in REGISTERS}
