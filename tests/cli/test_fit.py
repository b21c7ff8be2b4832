"""`eie fit` (`eie_cli.fit`): its table, files and errors."""

import json

import pytest

from eie_cli.fit import DEVICES
from eie_compiler.build import Build
from eie_flows import devices
from eie_hdl.config import EIEConfig
from eie_hdl.extras import install_command

pytest.importorskip("numba", reason=install_command("bench"))


def test_all_devices_are_choices():
    assert list(DEVICES.choices) == list(devices.DEVICES)


def test_machines_are_listed_and_the_chosen_one_compiles_the_network(tmp_path, network, eie):
    toml = tmp_path / "machine.toml"
    code, text = eie("fit", network, "--device", "ecp5-25", "-o", toml)
    assert code == 0, text
    assert "smallest" in text and "fastest" in text and "too small: " in text
    code, printed = eie("fit", network, "--device", "ecp5-25", "--json")
    found = json.loads(printed[printed.index("{"):])
    assert code == 0
    fastest = found["machines"][found["fastest"]]
    config = EIEConfig.from_toml(toml)
    assert config == EIEConfig(**fastest["config"])
    assert f"{config.n_pe} PEs, {fastest['cycles']:,.0f} cycles" in text
    assert eie("compile", network, "--config", toml, "-o", tmp_path / "one")[0] == 0
    assert eie("compile", network, "--fit", "ecp5-25", "-o", tmp_path / "two")[0] == 0
    assert Build.load(tmp_path / "two").config == Build.load(tmp_path / "one").config == config
    # A limit chooses the smallest machine that keeps it.
    slower = found["machines"][found["fastest"] - 1]
    code, text = eie("fit", network, "--device", "ecp5-25", "-o", toml, "--max-cycles",
                     slower["cycles"])
    assert EIEConfig.from_toml(toml).n_pe == slower["config"]["n_pe"]


def test_a_machine_is_either_given_or_chosen(network, tmp_path, eie):
    code, text = eie("compile", network, "--pes", 4, "--fit", "ecp5-25", "-o", tmp_path / "build")
    assert code == 2 and "--fit chooses the machine: leave out --config, --preset and --pes" in text


def test_a_device_without_room_is_one_line(network, eie):
    code, text = eie("fit", network, "--device", "up5k")
    assert code == 2
    assert text.startswith("eie: --device must hold the network, but up5k does not: ")
    assert text.count("\n") == 1
