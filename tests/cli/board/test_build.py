"""`eie board ulx3s build` (eie_cli.board.build)."""

import json

import pytest

from eie_flows import ulx3s
from eie_flows.mapping import Counts
from eie_flows.provenance import Provenance
from eie_hdl.config import EIEConfig

REPORT = ulx3s.BoardReport(
    provenance=Provenance(EIEConfig(n_pe=2), None, {"pyosys": "0.70"}),
    counts=Counts(7000, 700, 7100, 300, 45, 4, {}, {"LUT4": 7000}), clock_mhz=75, mhz=90.04,
    baud=3_000_000, seed=3, size=591_024, seconds=279.6)


@pytest.fixture
def calls(monkeypatch):
    """Replace the build; return its arguments."""
    calls = []

    def build(config, folder, *, seed, progress):
        calls.append((config.n_pe, str(folder), seed))
        return REPORT

    monkeypatch.setattr(ulx3s, "build", build)
    return calls


def test_size_and_clock_rate_are_shown(eie, calls):
    code, text = eie("board", "ulx3s", "build", "--pes", 2, "--seed", 3, "-o", "out")
    assert code == 0, text
    assert calls == [(2, "out", 3)]
    for line in ("out/eie_ulx3s.bit", "2 PEs", "7,000", "75 MHz", "90.0 MHz, 20% more", "591,024",
                 "280", "pyosys 0.70"):
        assert line in text


def test_json_has_the_fields_of_the_report(eie, calls):
    code, text = eie("board", "ulx3s", "build", "--json")
    assert code == 0, text
    result = json.loads(text.removeprefix("checking the tools\n"))
    assert calls == [(4, "build/board", 1)]
    assert (result["luts"], result["cells"], result["mhz"]) == (7000, {"LUT4": 7000}, 90.04)


def test_the_number_of_pes_is_checked(eie, calls):
    code, text = eie("board", "ulx3s", "build", "--pes", 3)
    assert code == 2 and "--pes must be a power of two" in text
    assert not calls
