"""Register map of the AXI4-Lite port, as data: registers, fields and error codes.

The register bank, the SystemRDL, the C header, the reference and the drivers are derived from it.
All configurations have the same registers at the same addresses.
"""

import dataclasses
import enum
from collections.abc import Iterator

from .config import EIEConfig
from .format import COUNTER_WIDTH, COUNTERS, Memory

__all__ = [
    "ADDRESS_WIDTH", "COUNTER_REGISTERS", "PRODUCT_ID", "REGISTER", "REGISTERS", "REGISTER_WIDTH",
    "VERSION", "Access", "Error", "Field", "Register", "config_registers",
]

#: Width of a register.
REGISTER_WIDTH = 32

#: Width of a byte address within the register map.
ADDRESS_WIDTH = 10

#: Value of register ID: "EIE" and the number of the programming model.
PRODUCT_ID = int.from_bytes(b"EIE\x01")

#: Semantic version of the hardware as seen by software: major, minor, patch.
VERSION = (2, 1, 0)


class Error(enum.IntEnum):
    """Error codes. The first error is kept; until it is cleared, no packet or start is accepted.

    The description of a code appears in all references; it ends with the meaning of register
    ERROR_ADDRESS.
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
    BAD_ADDRESS = 3, "packet extending past the end of the memory, not written; its address"
    TRUNCATED = 4, "TLAST before the last word of a packet; address of the first missing word"
    OVERLONG = 5, "no TLAST with the last word of a packet; address after its last word"
    PARTIAL_BEAT = 6, "beat of a packet with TKEEP bits deasserted; address of its word"
    LOAD_IN_USE = 7, "packet for a memory other than an input buffer while a program is running " \
                     "or pending, a vector is being sent, or memory is being read; its address"
    START_BUSY = 8, "start while another start is pending or the core is being reset; number of " \
                    "its descriptor"
    START_RANGE = 9, "start with a descriptor or an input buffer that does not exist; number of " \
                     "the descriptor"
    BAD_DESCRIPTOR = 10, "descriptor with rows, a codebook, a shift, a table or a loop out of " \
                         "range, or with a destination inside its source; its number"
    NO_END = 11, "program that ran into a word that is not a descriptor; its number"
    BAD_POINTER = 12, "activation without pointers, as ptr_base plus its column is out of range; " \
                      "number of the descriptor; with loops, a BAD_DESCRIPTOR instead"
    TIMEOUT = 13, "program, pending start, memory read or result that exceeded WATCHDOG; number " \
                  "of the first descriptor, undefined for a read"
    RESULT_BLOCKED = 14, "as TIMEOUT, while the host stalled a result"
    BAD_READ = 15, "read of words that do not exist or are not readable, or while the machine is " \
                   "busy; its address"


class Access(enum.Enum):
    """Access type of a field, with its abbreviation in tables as value."""

    #: Read-only: driven by the hardware.
    READ = "r"
    #: Read-write: written by the host and used by the hardware.
    WRITE = "rw"
    #: Write-only: a write triggers an action with this value; reads as zero.
    COMMAND = "w"
    #: Set by the hardware; cleared by writing a one.
    STICKY = "rw1c"


@dataclasses.dataclass(frozen=True)
class Field:
    """Bit field of a register.

    Attributes
    ----------
    name : :class:`str`
        Name in lower case, unique within the register.
    low, width : :class:`int`
        Least significant bit and number of bits.
    access : :class:`Access`
        Access type.
    doc : :class:`str`
        Description.
    reset : :class:`int`
        Reset value of a field with `Access.WRITE`; zero for all others.
    """

    name: str
    low: int
    width: int
    access: Access
    doc: str
    reset: int = 0


@dataclasses.dataclass(frozen=True)
class Register:
    """Register of the register map.

    Attributes
    ----------
    name : :class:`str`
        Name in upper case.
    address : :class:`int`
        Byte address, a multiple of four.
    doc : :class:`str`
        Description.
    fields : :class:`tuple` of :class:`Field`
        Fields, from the least significant bit up. All fields of a register have one access type.
    locked : :class:`bool`
        Writable only while the machine is idle.
    """

    name: str
    address: int
    doc: str
    fields: tuple[Field, ...]
    locked: bool = False

    @property
    def access(self) -> Access:
        """Access type of its fields."""
        return self.fields[0].access

    def width(self, field: str = "value") -> int:
        """Return the width of a field."""
        return self._field(field).width

    def pack(self, **values: int) -> int:
        """Pack field values into a word; fields that are not given are zero.

        Raises
        ------
        ValueError
            If a field does not exist or a value is out of range.
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
        """Return the values of all fields of a word."""
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
    """Return the only field of a register."""
    return (Field("value", 0, width, access, doc, reset),)


R, RW, W, RW1C = Access.READ, Access.WRITE, Access.COMMAND, Access.STICKY

_CONFIG_BASE  = 0x10
_CONTROL_BASE = 0x80
_COUNTER_BASE = 0x100

#: Registers that a running program depends on.
_LOCKED = ("WATCHDOG", "INPUT_BASE", "INPUT_WORDS", "INPUT_STRIDE")

_MEMORIES = ", ".join(f"{memory.value} {memory.name}" for memory in Memory)
_ERRORS = "; ".join(f"{error.value} {error.name}" for error in Error)


def _identification() -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    yield "ID", "Identification.", _value(R, f"0x{PRODUCT_ID:08X}: \"EIE\" and 1")
    yield "VERSION", "Semantic version of the hardware.", _fields(
        ("patch", 0, 8, R, "fixes"),
        ("minor", 8, 8, R, "backward-compatible additions"),
        ("major", 16, 8, R, "incompatible changes"))
    yield "FORMAT", "Version of packets, words and programs.", _value(
        R, "must equal the version that a build was made for")


def config_registers(config: EIEConfig) -> dict[str, int]:
    """Return the values of the registers CONFIG_… by name, in the order of their parameters."""
    return {f"CONFIG_{name.upper()}": int(value) for name, value in config.interface.items()}


def _configuration() -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    for register, parameter in zip(config_registers(EIEConfig()), EIEConfig().interface):
        yield (register, f"Parameter {parameter} of the configuration.",
               _value(R, f"{parameter} of EIEConfig"))


def _control() -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    yield "CONTROL", "Commands; several may be given in one write.", _fields(
        ("clear", 0, 1, W, "clear the error, cancel the pending start, and expect a header next; "
                           "allowed only while no transfer to the machine is in progress"),
        ("soft_reset", 1, 1, W, "stop all activity, clear all memories, and return all registers "
                                "to their reset values"),
        ("new_model", 2, 1, W, "restart the checksum"),
        ("latch", 3, 1, W, "capture the counters; otherwise captured when a program ends"))
    yield "STATUS", "Status of the machine.", _fields(
        ("idle", 0, 1, R, "nothing is running, pending or being sent, and no packet is "
                          "waiting or being received"),
        ("busy", 1, 1, R, "a program is running, or memory is being read"),
        ("queued", 2, 1, R, "a start is pending"),
        ("receiving", 3, 1, R, "a packet is being received"),
        ("resetting", 4, 1, R, "a soft reset is clearing the memories, or a failed program is "
                               "being stopped"),
        ("error", 5, 1, R, "register ERROR holds an error code"),
        ("overflow", 6, 1, R, "an accumulator overflowed in the last completed program"),
        ("buffer", 7, 1, R, "input buffer of the running program, or of the older of two"))
    yield "ERROR", "First error since the last clear.", _fields(
        ("code", 0, 8, R, _ERRORS),
        ("memory", 8, 3, R, f"for packet errors, memory in the header: {_MEMORIES}"),
        ("pe", 16, 8, R, "for packet errors, PE in the header"))
    yield "ERROR_ADDRESS", "Address of the error.", _value(
        R, "its meaning depends on the error code", width=24)
    yield "IRQ_ENABLE", "Events that assert irq.", _fields(
        ("done", 0, 1, RW, "end of a program"), ("error", 1, 1, RW, "error"))
    yield "IRQ_STATUS", "Events since they were last cleared. irq is level-sensitive: it is " \
                        "asserted while an enabled event is set.", _fields(
        ("done", 0, 1, RW1C, "a program has ended, and its last vector has begun to leave"),
        ("error", 1, 1, RW1C, "an error has occurred"))
    yield "START", "Start a program. One start can be pending while two other programs " \
                   "run.", _fields(
        ("descriptor", 0, 16, W, "number of the first descriptor"),
        ("buffer", 16, 1, W, "input buffer that the program reads"))
    yield "WATCHDOG", "Time limit of a program, of a memory read, and of a start that is pending " \
                      "while nothing runs.", _value(
        RW, "clock cycles since a program last started or ended; 0 disables the limit",
        reset=1 << 24)
    yield "INPUT_BASE", "Location of the input buffers.", _value(
        RW, "first row of buffer 0 in the activation SRAMs", width=16)
    yield "INPUT_WORDS", "Size of the input buffers.", _fields(
        ("words", 0, 16, RW, "rows of a buffer"))
    yield "CHECKSUM", "CRC-32 of the beats of all packets, including headers and excluding " \
                      "packets for input buffers, since the last new_model.", _value(
        R, "as zlib.crc32 of their bytes, least significant first")
    yield "PROGRAMS", "Programs completed without an error since reset.", _value(
        R, "modulo 2 ** 32")
    yield "OVERFLOW", "Accumulator overflow in the last completed program.", _fields(
        ("tile", 0, 16, R, "number of the first tile with an overflow, from 0; the tiles of a "
                           "loop have one number"),
        ("any", 16, 1, R, "an accumulator overflowed"))
    yield "PE_INDEX", "PE selected for counter PE_BUSY.", _value(
        RW, "modulo the number of PEs; takes effect with the next tile", width=8)
    yield "READ_PLACE", "Memory and PE of the next READ.", _fields(
        ("memory", 0, 3, RW, f"{_MEMORIES}; ACT returns the rows of all PEs, as a vector"),
        ("pe", 8, 8, RW, "PE whose memory is read"))
    yield "READ_ADDRESS", "Start address of the next READ.", _value(
        RW, "address of a word", width=24)
    yield "READ", "Read memory; the words are returned as a result packet. Memories other than " \
                  "ACT are readable only in a configuration with readback.", _fields(
        ("count", 0, 24, W, "number of words; each is returned in elements of act_width bits, "
                            "least significant bits first"))
    yield "INPUT_STRIDE", "Distance of the input buffers, and of the regions of programs.", _value(
        RW, "rows from buffer 0 to buffer 1, which are the offset of programs of buffer 1; 0: "
            "buffer 1 does not exist", width=16)


def _counters() -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    for name, doc in COUNTERS.items():
        for low in range(0, COUNTER_WIDTH, REGISTER_WIDTH):
            half = "HI" if low else "LO"
            yield (f"{name.upper()}_{half}",
                   f"Counter {name}, captured at the last end of a program or latch: {doc}.",
                   _value(R, f"bits {low + REGISTER_WIDTH - 1}:{low}"))


def _assign_addresses(base: int, registers: Iterator[tuple[str, str, tuple[Field, ...]]]
                      ) -> Iterator[Register]:
    for number, (name, doc, fields) in enumerate(registers):
        yield Register(name, base + number * REGISTER_WIDTH // 8, doc, fields,
                       locked=name in _LOCKED)


#: All registers, in order of address.
REGISTERS: tuple[Register, ...] = (
    *_assign_addresses(0, _identification()), *_assign_addresses(_CONFIG_BASE, _configuration()),
    *_assign_addresses(_CONTROL_BASE, _control()), *_assign_addresses(_COUNTER_BASE, _counters()))

#: Registers of the counters, in order of address: the low and the high half of each. The hardware
#: has them in a memory.
COUNTER_REGISTERS: tuple[Register, ...] = tuple(
    register for register in REGISTERS if register.address >= _COUNTER_BASE)

#: Registers by name.
REGISTER = {register.name: register for register in REGISTERS}
