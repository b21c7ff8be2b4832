"""`eie compile` (`eie_cli.compile`): its errors."""

import pytest


def test_network_that_does_not_fit_is_one_line(tmp_path, network, eie):
    (tmp_path / "small.toml").write_text("n_pe = 1\nact_depth = 4\n", encoding="utf-8")
    code, text = eie("compile", network, "--config", tmp_path / "small.toml", "-o", tmp_path / "b")
    assert code == 2
    assert text.startswith("eie: ") and text.count("\n") == 1
    assert "act_depth" in text


@pytest.mark.parametrize("name, made_for, width, option", [
    ("act_width", 16, 8, "--act-width 8"),
    ("v_width", 4, 3, "--v-width 3"),
    ("v_width", 4, 8, "--v-width 8"),
    ("codebook_width", 16, 5, "--config FILE with codebook_width = 5"),
    ("codebook_width", 16, 17, "--config FILE with codebook_width = 17"),
])
def test_a_machine_of_other_widths_than_the_networks_is_refused(
        tmp_path, network, eie, name, made_for, width, option):
    file = tmp_path / "machine.toml"
    file.write_text(f"{name} = {width}\n", encoding="utf-8")
    code, text = eie("compile", network, "--config", file, "-o", tmp_path / "b")
    assert code == 2
    assert text == (
        f"eie: {name} must be {made_for}, for which the network was compressed, not {width}: "
        f"choose another machine (--config or --preset of `eie compile`), or compress the model "
        f"again for this one (`eie compress {option}`)\n")
    assert not (tmp_path / "b").exists()


def test_a_network_for_the_widths_of_a_machine_is_compiled_for_it(tmp_path, weights, eie):
    file = tmp_path / "machine.toml"
    file.write_text("act_width = 8\ncodebook_width = 5\n", encoding="utf-8")
    assert eie("compress", weights, "--config", file, "-o", tmp_path / "n.npz")[0] == 0
    code, text = eie("compile", tmp_path / "n.npz", "--config", file, "-o", tmp_path / "b")
    assert code == 0, text
