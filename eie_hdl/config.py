"""Configuration of an accelerator. Imports only the standard library, so that it loads fast."""

import dataclasses
import reprlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ACTS_PER_WORD", "FILLING_LIMIT", "LATER_PARAMETERS", "MAX_ACC_WIDTH",
           "MIN_SCALE_WIDTH", "MIN_TABLE_WIDTH", "PRESETS", "ZERO_WIDTH", "ConfigError",
           "EIEConfig", "clog2", "read_toml"]

#: Most bytes of a TOML file, and dots in a line: dotted keys take time beyond proportion.
_MAX_TOML = 1 << 16
_MAX_DOTS = 200

#: Parameters that the first hardware of the major version and the first builds of the format do not
#: have. They are false there.
LATER_PARAMETERS = ("loops", "local", "maximum", "products", "tables", "scales")

#: Activations per word of the activation SRAM, and width of the local LNZD.
ACTS_PER_WORD = 4

#: While an activation queue is filling, a message is sent only if at most this many are in flight.
FILLING_LIMIT = 4

#: Greatest width of an accumulator, in bits: sums fit a 64-bit integer.
MAX_ACC_WIDTH = 60

#: Least width of an activation with ``tables``: the operand of a function has 4 bits before its
#: binary point beside the sign, and one after it.
MIN_TABLE_WIDTH = 6

#: Bits of a zero point of quantised results with ``scales``.
ZERO_WIDTH = 8

#: Least width of an activation with ``scales``: a quantised result has a bit less, but as many as a
#: zero point, or more.
MIN_SCALE_WIDTH = ZERO_WIDTH + 1


class ConfigError(ValueError):
    """Invalid configuration; the message names the field, the value and the valid range."""


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file from any source, in limited time and memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ConfigError
        If it is too large or not TOML; the message does not name the file.
    """
    with Path(path).open("rb") as file:
        content = file.read(_MAX_TOML + 1)
    if len(content) > _MAX_TOML:
        raise ConfigError(f"must be a TOML file of at most {_MAX_TOML} bytes")
    if max(line.count(b".") for line in content.split(b"\n")) > _MAX_DOTS:
        raise ConfigError(f"must be TOML with at most {_MAX_DOTS} dots in a line")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:    # also of numbers with thousands of digits
        raise ConfigError(f"must be TOML: {error}") from error


def clog2(n: int) -> int:
    """Bits needed to index `n` items, ceil(log2(n))."""
    return (n - 1).bit_length()


@dataclasses.dataclass(frozen=True)
class _Range:
    low: int
    high: int
    power_of_two: bool = False

    def __str__(self) -> str:
        kind = "a power of two" if self.power_of_two else "an integer"
        return f"{kind} from {self.low} to {self.high}"

    def check(self, name: str, value: object) -> None:
        if type(value) is not int:
            raise ConfigError(f"{name} must be {self}, not {reprlib.repr(value)}")
        if not self.low <= value <= self.high or self.power_of_two and value.bit_count() != 1:
            raise ConfigError(f"{name} must be {self}, not {reprlib.repr(value)}")


def _integer(default: int, low: int, high: int, *, power_of_two: bool = False) -> int:
    """Integer field with its valid range."""
    return dataclasses.field(default=default,
                             metadata={"range": _Range(low, high, power_of_two)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class EIEConfig:
    """Parameters of an EIE accelerator. The defaults are tuned, and sized for an ECP5-85.

    :meth:`isca2016` is the published machine. All numbers are two's complement fixed point.

    Parameters
    ----------
    n_pe : :class:`int`, power of two, 1 to 256
        Processing elements.
    v_width : :class:`int`, 2 to 8
        Bits of a codebook index. A codebook has ``2 ** v_width`` entries; entry 0 is zero.
    z_width : :class:`int`, 2 to 8
        Bits of a zero run; a longer run needs a padding entry. With ``log2(acc_depth)`` bits or
        more, no padding is needed.
    entries_per_word : :class:`int`, power of two, 1 to 16
        Entries per word of the spmat SRAM; a power of two, so that a pointer is (word, lane).
    queue_depth : :class:`int`, 2 to 256
        Columns in the activation queue of a PE at which it asserts back-pressure. The queue has
        ``2 * n_levels + 5`` more slots for messages in flight; with 64 PEs, the default fills the
        32 rows of two LUT RAMs.
    drop_empty_columns : :class:`bool`
        If true, a PE drops columns without entries before its queue. If false, they take a slot
        and a cycle, as in the paper.
    act_width, codebook_width : :class:`int`, 4 to 24
        Bits of an activation (and of a bias) and of a codebook entry.
    acc_width : :class:`int`, ``act_width + codebook_width`` to 60
        Bits of an accumulator.
    acc_depth : :class:`int`, power of two, 4 to 1024
        Accumulators per PE, and rows per tile.
    spmat_depth, ptr_depth, act_depth : :class:`int`
        Words of the spmat SRAM, of *each* of the two pointer banks, and of the activation SRAM,
        which holds four activations per word.
    n_codebooks : :class:`int`, 1 to 256
        Codebooks per PE.
    program_depth : :class:`int`
        Descriptors in the program memory of the CCU.
    readback : :class:`bool`
        If true, the host can read all memories. Activations can always be read.
    mac_stages : :class:`int`, 4 or 5
        Stages of the multiply-accumulate pipeline. With 4, a multiplication and an addition take a
        cycle each. With 5, for the clock rates of ASICs, the halves of a sum are added in
        successive cycles, together with the last addition of the multiplication; multipliers of an
        FPGA are not used. Neither results nor builds depend on it.
    loops : :class:`bool`
        If true, a descriptor can run a whole convolution: its tile is repeated for each pixel, and
        the source of a pixel is a list of segments of a feature map. Other layers take a few cycles
        longer, as starts are walked first.
    local : :class:`bool`
        If true, a loop can be in local mode: a PE multiplies the activations that it stores itself,
        without a broadcast, as depthwise and grouped convolutions need. Requires ``loops``.
    maximum : :class:`bool`
        If true, a tile can take the maximum of activations instead of a sum of products, as pooling
        needs, and activations that are zero can be processed, too. Requires ``loops``, and with 5
        ``mac_stages`` an ``acc_width`` of ``2 * act_width`` or more.
    products : :class:`bool`
        If true, a tile can add products of two stored activations, as the gates of recurrent cells
        need. Requires ``loops``, and an ``act_width`` of at most ``codebook_width``, as one of them
        takes the place of a weight.
    tables : :class:`bool`
        If true, sigmoid or tanh can be applied to the results of a tile. Requires ``loops``, and an
        ``act_width`` of 6 or more.
    scales : :class:`bool`
        If true, each row of a tile can have a scale of its own, and results can be quantised to
        fewer bits with a zero point, as integer models need. Requires ``loops``, an ``act_width``
        of 9 or more, and a ``codebook_width`` of ``8 + clog2(act_width)`` or more, as an unused
        entry of the codebook has the zero point and the number of bits.

    Raises
    ------
    ConfigError
        If a value is out of range. The message names the field, the value and the valid range.
    """

    n_pe: int = _integer(16, 1, 256, power_of_two=True)
    v_width: int = _integer(4, 2, 8)
    z_width: int = _integer(6, 2, 8)
    entries_per_word: int = _integer(8, 1, 16, power_of_two=True)
    queue_depth: int = _integer(21, 2, 256)
    drop_empty_columns: bool = True
    act_width: int = _integer(16, 4, 24)
    codebook_width: int = _integer(16, 4, 24)
    acc_width: int = _integer(40, 8, MAX_ACC_WIDTH)
    acc_depth: int = _integer(64, 4, 1024, power_of_two=True)
    spmat_depth: int = _integer(1024, 2, 1 << 20)
    ptr_depth: int = _integer(1024, 2, 1 << 20)
    act_depth: int = _integer(512, 2, 1 << 16)
    n_codebooks: int = _integer(4, 1, 256)
    program_depth: int = _integer(64, 2, 4096)
    readback: bool = False
    mac_stages: int = _integer(4, 4, 5)
    loops: bool = False
    local: bool = False
    maximum: bool = False
    products: bool = False
    tables: bool = False
    scales: bool = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self.check(field.name, getattr(self, field.name))
        if self.acc_width < self.act_width + self.codebook_width:
            raise ConfigError(
                f"acc_width must hold a product, act_width + codebook_width = "
                f"{self.act_width + self.codebook_width} bits or more, not {self.acc_width}")
        if self.spmat_depth * self.entries_per_word <= self.acc_depth:
            raise ConfigError(
                f"spmat_depth must hold more than one full column, more than acc_depth = "
                f"{self.acc_depth} entries at {self.entries_per_word} per word, "
                f"not {self.spmat_depth} words")
        if self.local and not self.loops:
            raise ConfigError("loops must be true if local is, as local mode is one of loops")
        if self.maximum and not self.loops:
            raise ConfigError("loops must be true if maximum is, as maxima are those of loops")
        # A maximum is in the part of an accumulator that is added first.
        least = self.act_width * len(self.acc_parts)
        if self.maximum and self.acc_width < least:
            raise ConfigError(
                f"acc_width must be {least} bits or more, or mac_stages 4, if maximum is true, "
                f"not {self.acc_width}")
        if self.products and not self.loops:
            raise ConfigError("loops must be true if products is, as products are those of loops")
        if self.products and self.act_width > self.codebook_width:
            raise ConfigError(
                f"act_width must be at most codebook_width = {self.codebook_width} if products is "
                f"true, not {self.act_width}")
        if self.tables and not self.loops:
            raise ConfigError("loops must be true if tables is, as tables are those of loops")
        if self.tables and self.act_width < MIN_TABLE_WIDTH:
            raise ConfigError(
                f"act_width must be {MIN_TABLE_WIDTH} or more if tables is true, "
                f"not {self.act_width}")
        self._check_scales()

    def _check_scales(self) -> None:
        if not self.scales:
            return
        if not self.loops:
            raise ConfigError("loops must be true if scales is, as scales are those of loops")
        if self.act_width < MIN_SCALE_WIDTH:
            raise ConfigError(
                f"act_width must be {MIN_SCALE_WIDTH} or more if scales is true, "
                f"not {self.act_width}")
        least = ZERO_WIDTH + clog2(self.act_width)
        if self.codebook_width < least:
            raise ConfigError(
                f"codebook_width must be {ZERO_WIDTH} + clog2(act_width) = {least} or more if "
                f"scales is true, not {self.codebook_width}")

    @classmethod
    def check(cls, name: str, value: object) -> None:
        """Raise :class:`ConfigError` unless `value` is valid for parameter `name`."""
        field = cls.__dataclass_fields__[name]
        if "range" in field.metadata:
            field.metadata["range"].check(name, value)
        elif type(value) is not bool:
            raise ConfigError(f"{name} must be true or false, not {reprlib.repr(value)}")

    @classmethod
    def isca2016(cls, **changes: Any) -> "EIEConfig":
        """Return the machine of the paper (Han et al., ISCA 2016, sections 3 to 5) with `changes`.

        64 PEs; 4-bit codebook indices and zero runs; 128 KB spmat, 32 KB pointers and 2 KB
        activations per PE; a queue depth of 8; an empty column takes a cycle. The paper states no
        accumulator width: 32 bits hold one full product.
        """
        return cls(**{
            "n_pe": 64, "z_width": 4, "queue_depth": 8, "drop_empty_columns": False,
            "acc_width": 32, "spmat_depth": 16384, "ptr_depth": 8192, "act_depth": 256, **changes})

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "EIEConfig":
        """Create a configuration from a mapping; ``preset`` names the base that the rest changes.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is invalid.
        """
        changes = dict(values)
        preset = changes.pop("preset", "default")
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(preset, str) or preset not in PRESETS:
            raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, not "
                              f"{reprlib.repr(preset)}")
        for name in changes:
            if name not in names:
                raise ConfigError(f"{reprlib.repr(name)[1:-1]} is not a parameter; those are "
                                  f"{', '.join(names)}")
        return dataclasses.replace(PRESETS[preset], **changes)

    @classmethod
    def from_toml(cls, path: str | Path) -> "EIEConfig":
        """Read a TOML file of ``name = value`` lines, with an optional ``preset = "name"``.

        Raises
        ------
        ConfigError
            If the file is not TOML or a value is invalid; the message names the file.
        """
        try:
            return cls.from_mapping(read_toml(path))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """Return names and values, as :meth:`from_mapping` accepts them."""
        return dataclasses.asdict(self)

    @property
    def interface(self) -> dict[str, Any]:
        """Names and values of the parameters that builds and drivers depend on: all but mac_stages.

        Each has a register CONFIG_….
        """
        return {name: value for name, value in self.as_dict().items() if name != "mac_stages"}

    @property
    def entry_width(self) -> int:
        """Bits of an entry: codebook index plus zero run."""
        return self.v_width + self.z_width

    @property
    def max_run(self) -> int:
        """Longest run of zeros that one entry can skip."""
        return (1 << self.z_width) - 1

    @property
    def n_entries(self) -> int:
        """Entries in the spmat SRAM of a PE."""
        return self.spmat_depth * self.entries_per_word

    @property
    def n_pointers(self) -> int:
        """Pointers in both banks of a PE."""
        return 2 * self.ptr_depth

    @property
    def tile_words(self) -> int:
        """Activation words written by a full tile of ``acc_depth`` rows."""
        return self.acc_depth // ACTS_PER_WORD

    @property
    def n_levels(self) -> int:
        """Levels of 4:1 nodes between the CCU and the PEs."""
        return -(-clog2(self.n_pe) // 2)

    @property
    def acc_parts(self) -> tuple[int, ...]:
        """Bits of the parts of an accumulator, added one after another, the lowest first."""
        n_parts = self.mac_stages - 3
        return tuple((part + 1) * self.acc_width // n_parts - part * self.acc_width // n_parts
                     for part in range(n_parts))

    @property
    def table_stages(self) -> int:
        """Stages that sigmoid and tanh add to the write-back; 0 without ``tables``.

        They read an entry, register it, multiply and add. Words of more than 17 bits are rounded to
        a position before. With 5 ``mac_stages``, the multiplication takes two.
        """
        if not self.tables:
            return 0
        return 4 + (self.act_width > 17) + (self.mac_stages > 4)

    @property
    def scale_stages(self) -> int:
        """Stages that scales of rows add to the write-back; 0 without ``scales``.

        They saturate the operand, multiply, and subtract the zero point after rows are rounded.
        With 5 ``mac_stages``, the multiplication takes two.
        """
        return 3 + (self.mac_stages > 4) if self.scales else 0

    @property
    def n_in_flight(self) -> int:
        """Messages that can still reach an activation queue after it asserts back-pressure.

        A message takes one cycle to leave the CCU, one per level of the tree, one in the input
        register of the PE, and two in the pointer read; queue status takes one cycle in the PE and
        one per level. (Tests fill every slot.)
        """
        return 2 * self.n_levels + 5

    @property
    def max_tiles(self) -> int:
        """Most tiles that are started but not yet written.

        With ``loops``, as many pixels of one work each must hide the latency of a tile.
        """
        return 7 if self.loops else 3

    @property
    def max_shift(self) -> int:
        """Largest right shift of an accumulator: enough to bring its highest bits into range."""
        return (1 << clog2(self.acc_width - self.act_width + 1)) - 1

    @property
    def max_bias_shift(self) -> int:
        """Largest left shift of a bias: ``2 ** shift`` enters the multiplier as a weight."""
        return self.codebook_width - 2


#: Named configurations, as accepted by the command line and TOML files.
PRESETS: dict[str, EIEConfig] = {
    "default": EIEConfig(),
    "isca2016": EIEConfig.isca2016(),
    # For tests: unusual widths, small memories.
    "tiny": EIEConfig(n_pe=4, v_width=3, z_width=2, entries_per_word=2, queue_depth=4,
                      act_width=8, codebook_width=7, acc_width=20, acc_depth=16, spmat_depth=256,
                      ptr_depth=128, act_depth=64, n_codebooks=3, program_depth=16,
                      readback=True),
}
