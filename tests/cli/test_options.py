"""`eie_cli.options`: options that several commands share."""

import click
import pytest

from eie_cli.options import require_modules
from eie_compiler.build import Build
from eie_hdl.config import EIEConfig


def test_configuration_comes_from_a_file(tmp_path, network, eie):
    (tmp_path / "machine.toml").write_text('preset = "isca2016"\nn_pe = 8\nptr_depth = 64\n',
                                           encoding="utf-8")
    code, _ = eie("compile", network, "--config", tmp_path / "machine.toml", "-o", tmp_path / "b")
    assert code == 0
    assert Build.load(tmp_path / "b").config == EIEConfig.isca2016(n_pe=8, ptr_depth=64)


@pytest.mark.parametrize("arguments, message", [
    (["--pes", "3"], "eie: --pes must be a power of two from 1 to 256, not 3\n"),
    (["--config", "FILE"], "eie: FILE: n_pes is not a parameter; those are n_pe, v_width"),
    (["--config", "FILE", "--preset", "tiny"],
     "eie: --config and --preset must not both be given: write preset = \"tiny\" into FILE\n"),
])
def test_wrong_configuration_is_one_line(tmp_path, eie, arguments, message):
    path = tmp_path / "machine.toml"
    path.write_text("n_pes = 8\n", encoding="utf-8")
    arguments = [argument.replace("FILE", str(path)) for argument in arguments]
    code, text = eie("verilog", *arguments, "-o", tmp_path / "v")
    assert code == 2
    assert text.startswith(message.replace("FILE", str(path)))
    assert text.count("\n") == 1
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("name, exception, found", [
    ("eie_pe_drains", "", "eie_pe_drains"), ("", "", "''"),
    ("eie_sram", " other than its memories", "eie_sram"),
    ("eie_regfile", " other than its memories", "eie_regfile")])
def test_a_module_that_is_not_there_or_a_memory_is_refused_and_others_are_named(name, exception,
                                                                                found):
    names = ["eie_regfile", "eie_sram", "eie_pe_drain"]
    require_modules(["eie_pe_drain"], names)
    with pytest.raises(click.BadParameter) as raised:
        require_modules(["eie_pe_drain", name], names)
    assert raised.value.message == (
        f"--module must be a module of the machine{exception}, not {found}: the nearest names, of "
        "1, are eie_pe_drain; `eie verilog` writes all of them")
