"""`eie compare` (`eie_cli.compare`): one table over densities and widths of codes."""

import json
import re

import numpy as np
import pytest

from eie_compiler.frontends import read_model


@pytest.fixture
def files(tmp_path, weights):
    """Inputs, and the classes that the model gives them."""
    samples = np.random.default_rng(96).normal(size=(100, 6))
    np.save(tmp_path / "x.npy", samples)
    np.save(tmp_path / "y.npy", read_model(weights)(samples).argmax(axis=1))
    return tmp_path / "x.npy", tmp_path / "y.npy"


def test_table_and_file_have_a_row_for_each_combination(tmp_path, weights, files, eie):
    pytest.importorskip("numba")
    code, text = eie("compare", weights, "--calibrate", files[0], "--labels", files[1],
                     "--density", "1,0.2", "--bits", "3,8", "-o", tmp_path / "new" / "table.json")
    assert code == 0
    assert text.startswith(f"{weights}: 16 PEs, 100 inputs; 100.0% in floating point\n")
    lines = re.findall(r"^ *(1|0\.2) +(\d) +(\d+\.\d%) +(good|doubtful|bad) +[\d,]+ +\d+ +\d+ "
                       r"+\d+\.\d +\d+% *$", text, re.M)
    report = json.loads((tmp_path / "new" / "table.json").read_text(encoding="utf-8"))
    assert report["schema_version"] == 1 and report["complete"] and report["config"]["n_pe"] == 16
    assert lines == [(f"{row['density']:g}", str(row["v_width"]),
                      f"{row['check']['labels']['network']:.1%}", row["check"]["verdict"])
                     for row in report["rows"]]
    assert [line[:2] for line in lines] == [("1", "3"), ("1", "8"), ("0.2", "3"), ("0.2", "8")]
    assert lines[1][3] == "good" and lines[3][3] == "bad"


def test_default_is_a_sweep_of_both(weights, files, eie):
    code, text = eie("compare", weights, "--calibrate", files[0])
    assert code == 0
    assert len(re.findall(r"^ *(?:1|0\.5|0\.3|0\.15|0\.08) +[2-8] ", text, re.M)) == 35
    assert " agreement " in text


def test_what_does_not_fit_the_machine_is_said_below(tmp_path, weights, files, eie):
    pytest.importorskip("numba")
    code, text = eie("compare", weights, "--calibrate", files[0], "--preset", "tiny", "--task",
                     "regression", "--density", "1", "--bits", "3,4")
    assert code == 0
    assert re.search(r"^ +1 +3 +\d\.\d{4} +\S+ +[\d,]+ +\d+ +\d+ ", text, re.M)
    assert re.search(r"^ +1 +4 +\d\.\d{4} +\S+ +[\d,]+ +– +– +– +– *$", text, re.M)
    assert re.search(r"^1 × 4: v_width must be 4, for which the network was compressed, not 3: ",
                     text, re.M)


@pytest.mark.parametrize("options, message", [
    (("--bits", "1"), "eie: --bits must be integers from 2 to 8, not 1\n"),
    (("--density", "2"), "eie: --density must be above 0 and at most 1, not 2.0\n"),
])
def test_wrong_settings_are_refused(weights, files, eie, options, message):
    assert eie("compare", weights, "--calibrate", files[0], *options) == (2, message)


def test_an_interruption_keeps_the_rows_that_are_measured(tmp_path, weights, files, eie,
                                                          monkeypatch):
    from eie_bench import compare

    real = compare.compress

    def interrupt(model, *, v_width, **options):
        if v_width == 5:
            raise KeyboardInterrupt
        return real(model, v_width=v_width, **options)

    monkeypatch.setattr(compare, "compress", interrupt)
    call = ("compare", weights, "--calibrate", files[0], "--density", "1", "-o",
            tmp_path / "table.json", "--bits")
    code, text = eie(*call, "3,4,5,6")
    assert code == 130
    assert re.findall(r"^ *1 +(\d) ", text, re.M) == ["3", "4"]
    assert text.endswith("eie: warning: only 2 of 4 combinations were measured\n"
                         "eie: interrupted\n")
    report = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert not report["complete"] and [row["v_width"] for row in report["rows"]] == [3, 4]
    (tmp_path / "table.json").unlink()
    assert eie(*call, "5") == (130, "eie: interrupted\n")
    assert not (tmp_path / "table.json").exists()


def test_outputs_and_labels_that_mislead_are_warned_of(tmp_path, eie):
    rng = np.random.default_rng(97)
    samples = rng.normal(size=(100, 40))
    weight = rng.normal(size=(2, 40))
    weight[1] *= 1e-2
    np.savez(tmp_path / "scaled.npz", **{"a.weight": weight})
    np.save(tmp_path / "x.npy", samples)
    np.save(tmp_path / "y.npy", rng.normal(size=(100, 2)))
    call = ("compare", tmp_path / "scaled.npz", "--calibrate", tmp_path / "x.npy", "--density", "1",
            "--bits", "4,8", "--task", "regression")
    code, text = eie(*call)
    assert code == 0
    assert re.search(r"^eie: warning: 1 × 4(, 1 × 8)?: the verdict is of all outputs; with 1 × 4, "
                     r"1 output alone would be bad: R² of output 1 is ", text, re.M)
    _, text = eie(*call, "--labels", tmp_path / "y.npy")
    assert "eie: warning: the floating-point model reaches only " in text


def test_a_table_without_any_measurement_is_a_failure(weights, files, eie, monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("eie_bench.compare.compress", fail)
    code, text = eie("compare", weights, "--calibrate", files[0], "--bits", "4", "--density", "1")
    assert code == 1
    assert "1 × 4: MemoryError" in text
