"""Bits of the words that a host sees, as a table: for those who wire up the Verilog by hand."""

from collections.abc import Iterator

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data

from .config import EIEConfig
from .format import Layouts, Memory, n_beats

__all__ = ["describe_words"]


def describe_words(config: EIEConfig) -> str:
    """Markdown tables of load packets, memory words and results of the machine."""
    layouts = Layouts(config)
    parts = [
        "# Words of this machine\n\n"
        "Bits count from the least significant one. A load packet is a header and `count` words, "
        "each in as many\nbeats of 64 bits as stated, low beat first; bits behind a word do not "
        "matter.\n",
        _table("Header of a load packet", layouts.load_header),
        "## Memories\n\n| `memory` | name | words | bits | beats | `address` counts |\n"
        "|---|---|---|---|---|---|\n",
        *(f"| {memory.value} | {memory.name} | {image.depth} | {Shape.cast(image.shape).width} "
          f"| {n_beats(image.shape)} | {_COUNTS.get(memory, 'words')} |\n"
          for memory, image in layouts.memories.items()),
        "\n",
        _table("SPMAT: a word of entries", layouts.spmat_word),
        _table("ACT: a word of activations or biases, signed", layouts.act_word),
        _table("PROGRAM: a descriptor", layouts.descriptor),
        _table("`result_payload`", layouts.result),
    ]
    return "".join(parts)


_COUNTS = {Memory.PTR: "pointers; even ones are in one bank, odd ones in the other"}


def _table(title: str, layout: data.Layout) -> str:
    rows = "".join(f"| `{name}` | {_bits(offset, width)} |\n"
                   for name, offset, width in _fields(layout) if width)
    return f"## {title}\n\n| field | bits |\n|---|---|\n{rows}\n"


def _bits(offset: int, width: int) -> str:
    return f"{offset + width - 1}:{offset}" if width > 1 else str(offset)


def _fields(shape: ShapeLike, name: str = "", offset: int = 0) -> Iterator[tuple[str, int, int]]:
    """Name, offset and width of each number in a word."""
    if not isinstance(shape, data.Layout):
        yield name, offset, Shape.cast(shape).width
        return
    for key, field in shape:
        inner = f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}".lstrip(".")
        yield from _fields(field.shape, inner, offset + field.offset)
