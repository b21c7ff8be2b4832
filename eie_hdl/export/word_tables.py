"""Tables of the words that a host exchanges with a machine, for authors of host software."""

from collections.abc import Iterator

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data

from ..config import EIEConfig
from ..format import BEAT_WIDTH, Layouts, Memory, n_beats, n_pieces, result_lane_width

__all__ = ["describe_words"]


def describe_words(config: EIEConfig) -> str:
    """Describe load packets, memory words and results as Markdown tables."""
    layouts = Layouts.of(config)
    return "".join([
        f"# Words of this machine\n\n"
        f"Bits are numbered from the least significant bit.\n\n"
        f"A packet on `s_axis` is a header followed by `count` words, each in the given number of "
        f"{BEAT_WIDTH}-bit beats, least\nsignificant beat first; bits past the end of a word are "
        f"ignored. TLAST is set in the last beat, and all bits of TKEEP\nin every beat.\n\n",
        _table("Header of a load packet", layouts.load_header),
        _describe_memories(config),
        _table("SPMAT: a word of entries", layouts.spmat_word),
        _table("ACT and INPUT: a word of activations or biases, signed", layouts.act_word),
        _table(f"PROGRAM: a descriptor{', loop.x and loop.y signed' * config.loops}",
               layouts.descriptor),
        _describe_results(config),
    ])


_COUNTS = {
    Memory.PTR: "pointers; even and odd ones are in separate banks",
    Memory.INPUT: "rows of the input buffer",
}


def _describe_memories(config: EIEConfig) -> str:
    memories = Layouts.of(config).memories
    depths = {memory: str(image.depth) for memory, image in memories.items()}
    # An input buffer is a region of the activation SRAMs.
    images = {**memories, Memory.INPUT: memories[Memory.ACT]}
    depths[Memory.INPUT] = f"{config.n_pe} per row"
    return "".join([
        "## Memories\n\n| `memory` | name | words | bits | beats | `address` counts |\n"
        "|---|---|---|---|---|---|\n",
        *(f"| {memory.value} | {memory.name} | {depths[memory]} | {Shape.cast(image.shape).width} "
          f"| {n_beats(image.shape)} | {_COUNTS.get(memory, 'words')} |\n"
          for memory, image in images.items()),
        "\nThe words of a row of INPUT go to the PEs in order, from PE 0; register INPUT_WORDS "
        "holds the number of rows.\n\n"])


def _describe_results(config: EIEConfig) -> str:
    width = result_lane_width(config)
    text = _table("Beat of a packet on `m_axis`", data.ArrayLayout(width, BEAT_WIDTH // width))
    text += (
        f"An element is a {config.act_width}-bit number, sign-extended to {width} bits. Element "
        f"*i* of a vector, and of a READ of ACT, is slot\n`i div {config.n_pe}` of PE "
        f"`i mod {config.n_pe}`, counted from the first row. TKEEP is set for the bytes that hold "
        f"elements.\n")
    if config.readback:
        pieces = "".join(
            f"| {memory.name} | {n_pieces(config, image.shape)} |\n"
            for memory, image in Layouts.of(config).memories.items() if memory is not Memory.ACT)
        text += ("\nA READ of another memory returns each word as several elements, least "
                 f"significant bits first:\n\n| memory | elements of a word |\n|---|---|\n{pieces}")
    return text


def _table(title: str, layout: data.Layout) -> str:
    rows = "".join(f"| `{name}` | {_bits(offset, width)} |\n"
                   for name, offset, width in _fields(layout) if width)
    return f"## {title}\n\n| field | bits |\n|---|---|\n{rows}\n"


def _bits(offset: int, width: int) -> str:
    return f"{offset + width - 1}:{offset}" if width > 1 else str(offset)


def _fields(shape: ShapeLike, name: str = "", offset: int = 0) -> Iterator[tuple[str, int, int]]:
    """Yield name, offset and width of each number in a word."""
    if not isinstance(shape, data.Layout):
        yield name, offset, Shape.cast(shape).width
        return
    for key, field in shape:
        inner = f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}".lstrip(".")
        yield from _fields(field.shape, inner, offset + field.offset)
