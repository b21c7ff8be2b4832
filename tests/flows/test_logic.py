"""Estimates of LUTs, against the machines that they are fitted to."""

import json

import pytest

from eie_flows.devices import DEVICES, small_memories
from eie_flows.logic import MEASURED, estimate_luts, measured_error
from eie_flows.measure_logic import format_rows
from eie_hdl.config import EIEConfig

ECP5 = DEVICES["ecp5-85"]
MACHINES = json.loads(MEASURED.read_text(encoding="utf-8"))


def test_the_error_for_machines_outside_the_fit_is_small():
    assert 0 < measured_error() < 0.1


def test_the_default_pe_has_the_luts_of_the_synthesis():
    """986 LUT4, 105 carry cells of two and 68 LUT RAMs of six; docs/synthesis.md."""
    two, one = (estimate_luts(ECP5, EIEConfig(n_pe=n_pe)) for n_pe in (4, 2))    # one node
    assert (two - one) / 2 == pytest.approx(986 + 2 * 105 + 6 * 68, rel=0.05)


@pytest.mark.parametrize("machine", MACHINES["machines"], ids=lambda machine: str(
    machine["changes"]))
def test_whole_machines_are_close_to_the_synthesis(machine):
    config = EIEConfig(**machine["changes"])
    units = {name: value for name, value in machine["changes"].items() if name != "n_pe"}
    (pe,) = [each for each in MACHINES["pes"] if each["changes"] == units]
    rams = sum(-(-rows // 16) * -(-bits // 4) for rows, bits in small_memories(config))
    sites = machine["lut4"] + 2 * machine["carry"] + config.n_pe * (
        pe["lut4"] + 2 * pe["carry"] + 6 * rams)
    assert estimate_luts(ECP5, config) == pytest.approx(sites, rel=0.02)


def test_the_file_is_as_it_is_written():
    """By `eie_flows.measure_logic`."""
    text = MEASURED.read_text(encoding="utf-8")
    assert format_rows(json.loads(text)) == text


def test_other_devices_have_their_own_luts():
    config = EIEConfig(n_pe=4)
    assert estimate_luts(DEVICES["artix7-100"], config) == pytest.approx(
        0.51 * estimate_luts(ECP5, config), abs=1)
    # The LUT RAMs of the accumulators and the queues.
    assert estimate_luts(DEVICES["up5k"], config) == pytest.approx(
        1.28 * (estimate_luts(ECP5, config) - 4 * 6 * 68), abs=1)


@pytest.mark.parametrize("changes, cells", [
    ({"entries_per_word": 4}, 6375),
    ({"z_width": 4, "entries_per_word": 4, "acc_depth": 16, "act_width": 8, "codebook_width": 8,
      "acc_width": 24, "queue_depth": 4}, 5627)])
def test_logic_cells_of_an_ice40_are_those_that_nextpnr_packed(changes, cells):
    config = EIEConfig(n_pe=1, spmat_depth=1024, ptr_depth=256, act_depth=256, n_codebooks=3,
                       program_depth=5, **changes)
    assert estimate_luts(DEVICES["up5k"], config) == pytest.approx(cells, rel=0.03)
