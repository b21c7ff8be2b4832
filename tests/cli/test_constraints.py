"""`eie constraints` (`eie_cli.constraints`): files in all formats."""

from eie_hdl.export.constraints import write_constraints


def test_all_files_are_written(tmp_path, eie):
    code, text = eie("constraints", "--mhz", 80, "--io-percent", 10, "--name", "left",
                     "-o", tmp_path / "new")
    assert code == 0 and "OpenSTA" in text
    assert {path.name: path.read_text(encoding="utf-8")
            for path in (tmp_path / "new").iterdir()} == write_constraints(
                80, name="left", io_percent=10)


def test_a_bridge_has_files_of_its_own(tmp_path, eie):
    code, _ = eie("constraints", "--mhz", 80, "--bridge", "spi", "-o", tmp_path)
    assert code == 0
    assert (tmp_path / "eie_spi.sdc").read_text(encoding="utf-8") == write_constraints(
        80, bridge="spi")["eie_spi.sdc"]


def test_a_rate_that_is_no_number_is_refused(tmp_path, eie):
    code, text = eie("constraints", "--mhz", "nan", "-o", tmp_path / "new")
    assert (code, text) == (2, "eie: clock rate must be a positive number of MHz, not nan\n")
    assert not (tmp_path / "new").exists()
