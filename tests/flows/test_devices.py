"""Block RAMs and multipliers of machines, against those that were synthesised."""

import dataclasses

import pytest

from eie_flows.devices import (
    DEVICES,
    count_multipliers,
    count_rams,
    memory_shapes,
    ram_rows,
    small_memories,
)
from eie_hdl.config import LATER_PARAMETERS, EIEConfig

ECP5 = DEVICES["ecp5-85"]


@pytest.mark.parametrize("changes, expected", [
    ({}, 10), ({"acc_depth": 1024, "z_width": 8, "spmat_depth": 2048}, 16),
    ({"act_width": 8, "codebook_width": 8, "acc_width": 24}, 9),
    ({"loops": True, "tables": True}, 11)])
def test_a_pe_of_an_ecp5_has_the_block_rams_that_yosys_finds(changes, expected):
    """`eie synth` with these parameters."""
    config = EIEConfig(n_pe=1, **changes)
    rows, bits, _ = memory_shapes(config)["program"]
    machine, program = count_rams(ECP5, config), -(-rows // 512) * -(-bits // 36)
    assert machine - program == expected


def test_block_rams_grow_with_the_pes():
    one, two = (count_rams(ECP5, EIEConfig(n_pe=n_pe)) for n_pe in (64, 128))
    assert two - one == 64 * 10


@pytest.mark.parametrize("rows, bits, expected", [
    (1, 36, 512), (512, 36, 512), (513, 36, 1024), (10, 18, 1024), (10, 80, 512), (10, 3, 4096),
    (600, 80, 1024)])
def test_a_memory_has_all_rows_of_its_block_rams(rows, bits, expected):
    assert ram_rows(ECP5, rows, bits) == expected


def test_memories_of_an_asic_have_the_rows_that_are_needed():
    asic = DEVICES["asic"]
    assert ram_rows(asic, 10, 80) == 10
    assert count_rams(asic, EIEConfig()) == 0


@pytest.mark.parametrize("changes, expected", [
    ({}, 68), ({"loops": True}, 77), ({"loops": True, "local": True, "maximum": True}, 81),
    (dict.fromkeys(LATER_PARAMETERS, True), 87)])
def test_small_memories_of_an_ecp5_are_the_lut_rams_that_yosys_finds(changes, expected):
    """Cells of 16 × 4; docs/synthesis.md."""
    memories = small_memories(EIEConfig(**changes))
    assert sum(-(-rows // 16) * -(-bits // 4) for rows, bits in memories) == expected


def test_small_memories_are_in_block_rams_where_luts_cannot_hold_them():
    device = DEVICES["up5k"]
    in_luts = dataclasses.replace(device, lut_ram=True)
    # 64 × 40, 32 × 38 and 2 × 30 in block RAMs of 256 × 16.
    assert count_rams(device, EIEConfig(n_pe=4)) - count_rams(in_luts, EIEConfig(n_pe=4)) == 4 * 8


def test_a_table_takes_a_multiplier():
    config = EIEConfig(n_pe=4, loops=True, tables=True)
    assert count_multipliers(ECP5, config) == 8


@pytest.mark.parametrize("act_width, expected", [(9, 2), (16, 2), (17, 5), (24, 6)])
def test_scales_take_multipliers_of_two_bits_more_than_an_activation(act_width, expected):
    config = EIEConfig(n_pe=1, act_width=act_width, acc_width=42, loops=True, scales=True)
    assert count_multipliers(ECP5, config) == expected


@pytest.mark.parametrize("device, act_width, codebook_width, expected", [
    ("ecp5-85", 16, 16, 1), ("ecp5-85", 18, 18, 1), ("ecp5-85", 19, 18, 2), ("ecp5-85", 24, 24, 4),
    ("artix7-100", 24, 18, 1), ("artix7-100", 18, 24, 1), ("up5k", 17, 8, 2), ("asic", 24, 24, 1)])
def test_wide_products_take_several_multipliers(device, act_width, codebook_width, expected):
    config = EIEConfig(n_pe=2, act_width=act_width, codebook_width=codebook_width, acc_width=56)
    assert count_multipliers(DEVICES[device], config) == 2 * expected
