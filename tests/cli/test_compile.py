"""`eie compile` (`eie_cli.compile`): its errors."""


def test_network_that_does_not_fit_is_one_line(tmp_path, network, eie):
    (tmp_path / "small.toml").write_text("n_pe = 1\nact_depth = 4\n", encoding="utf-8")
    code, text = eie("compile", network, "--config", tmp_path / "small.toml", "-o", tmp_path / "b")
    assert code == 2
    assert text.startswith("eie: ") and text.count("\n") == 1
    assert "act_depth" in text
