"""Tables of words for authors of host software, compared with the layouts."""

import dataclasses
import re

import numpy as np
import pytest
from amaranth.hdl import Shape

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.export.word_tables import describe_words
from eie_hdl.format import Layouts, Memory, n_beats
from eie_hdl.packing import unpack

#: Every shape of tree, and zero for every width that allows it.
CONFIGS = {
    **PRESETS,
    "one_pe": dataclasses.replace(PRESETS["tiny"], n_pe=1, n_codebooks=1),
    "two_pes_wide": EIEConfig(n_pe=2, v_width=8, z_width=8, entries_per_word=1),
    "eight_pes_shallow": dataclasses.replace(PRESETS["tiny"], n_pe=8, acc_depth=4,
                                             entries_per_word=16, drop_empty_columns=False),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_tables_of_words_have_the_bits_of_the_layouts(config):
    text = describe_words(config)
    layouts = Layouts.of(config)
    tables = {"Header of a load packet": layouts.load_header,
              "PROGRAM: a descriptor": layouts.descriptor}
    for title, layout in tables.items():
        table = text.split(f"## {title}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| `(\S+)` \| (\d+)(?::(\d+))? \|$", table, re.MULTILINE)
        covered = 0
        for name, high, low in rows:
            mask = (1 << int(high) + 1) - (1 << int(low or high))
            beats = np.array([mask >> 64 * n & (1 << 64) - 1 for n in range(2)], np.uint64)
            # All bits of the named field are set, and no others.
            fields = dict(flatten(unpack(layout, beats)))
            width = int(high) - int(low or high) + 1
            assert fields.pop(name) in (-1, (1 << width) - 1)
            assert not any(fields.values())
            covered |= mask
        assert covered == (1 << layout.size) - 1


def test_table_of_memories_is_complete():
    table = describe_words(PRESETS["tiny"]).split("## Memories\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d) \| (\w+) \| (\d+)(?: per row)? \| (\d+) \| (\d+) \|", table,
                      re.MULTILINE)
    assert [(int(number), name) for number, name, *_ in rows] == [
        (memory.value, memory.name) for memory in Memory]
    images = Layouts.of(PRESETS["tiny"]).memories
    for number, _, depth, width, beats in rows[:-1]:
        image = images[Memory(int(number))]
        assert (int(depth), int(width)) == (image.depth, Shape.cast(image.shape).width)
        assert int(beats) == n_beats(image.shape)
    assert rows[-1][2:] == (str(PRESETS["tiny"].n_pe), *rows[Memory.ACT.value][3:])


@pytest.mark.parametrize("act_width, lanes", [(8, 8), (9, 4), (16, 4), (17, 2), (24, 2)])
def test_the_table_of_results_has_lanes_of_whole_bytes(act_width, lanes):
    text = describe_words(dataclasses.replace(PRESETS["default"], act_width=act_width))
    table = text.split("## Beat of a packet on `m_axis`\n")[1]
    assert re.findall(r"^\| `\[(\d)\]` \| (\d+):(\d+) \|$", table, re.MULTILINE) == [
        (str(lane), str((lane + 1) * 64 // lanes - 1), str(lane * 64 // lanes))
        for lane in range(lanes)]


def test_only_a_machine_with_readback_has_a_table_of_reads():
    titles = {readback: "elements of a word" in describe_words(
        dataclasses.replace(PRESETS["tiny"], readback=readback)) for readback in (False, True)}
    assert titles == {False: False, True: True}


def flatten(fields, prefix=""):
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, int(value)
