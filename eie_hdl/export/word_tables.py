"""Bits of the words that a host sees, as tables: for those who write the host's side by hand."""

from collections.abc import Iterator

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data

from ..config import EIEConfig
from ..format import BEAT_WIDTH, Layouts, Memory, n_beats, n_pieces, result_lane_width

__all__ = ["describe_words"]


def describe_words(config: EIEConfig) -> str:
    """Markdown tables of load packets, memory words and results of the machine."""
    layouts = Layouts.of(config)
    return "".join([
        f"# Words of this machine\n\n"
        f"Bits count from the least significant one.\n\n"
        f"A packet on `s_axis` is a header and `count` words, each in as many beats of "
        f"{BEAT_WIDTH} bits as stated, low beat\nfirst; bits behind a word do not matter. TLAST "
        f"comes with the last beat, and all bits of TKEEP are set.\n\n",
        _table("Header of a load packet", layouts.load_header),
        _describe_memories(config),
        _table("SPMAT: a word of entries", layouts.spmat_word),
        _table("ACT and INPUT: a word of activations or biases, signed", layouts.act_word),
        _table("PROGRAM: a descriptor", layouts.descriptor),
        _describe_results(config),
    ])


_COUNTS = {
    Memory.PTR: "pointers; even ones are in one bank, odd ones in the other",
    Memory.INPUT: "rows of the input buffer",
}


def _describe_memories(config: EIEConfig) -> str:
    memories = Layouts.of(config).memories
    depths = {memory: str(image.depth) for memory, image in memories.items()}
    # An input buffer is a part of the activation SRAMs.
    images = {**memories, Memory.INPUT: memories[Memory.ACT]}
    depths[Memory.INPUT] = f"{config.n_pe} a row"
    return "".join([
        "## Memories\n\n| `memory` | name | words | bits | beats | `address` counts |\n"
        "|---|---|---|---|---|---|\n",
        *(f"| {memory.value} | {memory.name} | {depths[memory]} | {Shape.cast(image.shape).width} "
          f"| {n_beats(image.shape)} | {_COUNTS.get(memory, 'words')} |\n"
          for memory, image in images.items()),
        "\nThe words of a row of INPUT are for one PE after the other, PE 0 first; register "
        "INPUT_WORDS says how many rows there are.\n\n"])


def _describe_results(config: EIEConfig) -> str:
    width = result_lane_width(config)
    text = _table("Beat of a packet on `m_axis`", data.ArrayLayout(width, BEAT_WIDTH // width))
    text += (
        f"An element is a number of {config.act_width} bits, extended with its sign to {width}. Of "
        f"a vector, and of a READ of ACT, element *i* is\nof PE `i mod {config.n_pe}`, slot "
        f"`i div {config.n_pe}` from the first row on. TKEEP has the bits of the bytes that hold "
        f"elements.\n")
    if config.readback:
        pieces = "".join(
            f"| {memory.name} | {n_pieces(config, image.shape)} |\n"
            for memory, image in Layouts.of(config).memories.items() if memory is not Memory.ACT)
        text += ("\nA READ of another memory sends each word as several elements, its low bits "
                 f"first:\n\n| memory | elements of a word |\n|---|---|\n{pieces}")
    return text


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
