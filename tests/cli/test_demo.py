"""`eie demo` (`eie_cli.demo`), which runs `eie_sim.demo.demo`: its figures and files."""

import json

from eie_compiler.build import Build
from eie_sim import inference
from eie_sim.demo.digits import HELD_OUT


def test_demo_shows_its_figures_and_keeps_all_files(tmp_path, eie, icarus, monkeypatch):
    monkeypatch.setattr(inference, "BACK_TO_BACK", 4)    # Icarus takes half a second each
    code, text = eie("demo", "--pes", 2, "--images", 1, "--sim", icarus, "-o", tmp_path)
    assert code == 0, text
    for figure in ("accuracy, hardware", "program cycles per image", "end-to-end cycles per image",
                   "bound of end-to-end cycles per image", "latency of a single inference",
                   "PE utilisation", "padding", "entry balance", "memory used"):
        assert figure in text
    assert "All 10 outputs, and the counts of" in text
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["images"] == 1
    measured, program = report["inference"]["end_to_end"], report["inference"]["counters"]["cycles"]
    assert measured["inferences"] == 4
    assert measured["bound"] < measured["cycles"] < program["mean"] + 20
    assert "net cycles" not in text    # these programs wait for no results
    assert report["accuracy"].keys() == {"dense", "compressed", "hardware"}
    assert (tmp_path / "verilog" / "eie.v").exists()
    assert Build.load(tmp_path / "build").config.n_pe == 2


def test_more_images_than_there_are_are_refused(tmp_path, eie):
    code, text = eie("demo", "--images", HELD_OUT + 1, "-o", tmp_path / "demo")
    assert code == 2 and f"{HELD_OUT + 1} is not in the range 1<=x<={HELD_OUT}" in text
    assert not (tmp_path / "demo").exists()
