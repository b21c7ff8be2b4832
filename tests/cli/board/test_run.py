"""`eie board ulx3s run` (eie_cli.board.run), which runs eie_sim.demo.on_board, in eie_cli.board."""

import contextlib
import dataclasses
import json

import pytest

from eie_cli.board import run
from eie_driver import bridge_link, serial_bus
from eie_driver.accelerator import Accelerator
from eie_hdl.config import EIEConfig
from eie_sim.demo import on_board
from eie_sim.golden.fake_machine import FakeMachine


@pytest.fixture
def port(monkeypatch):
    """Have every port lead to a machine modelled in Python; return what is done to its results."""
    damage = []

    class Machine(FakeMachine):
        link = bridge_link.BridgeLink(None, byte_time=0)

        def receive(self):
            packet = super().receive()
            if packet is not None and damage:
                packet = packet.copy()
                packet[0] ^= damage.pop()
            return packet

    monkeypatch.setattr(serial_bus, "open_serial", lambda *_, **__: Machine(EIEConfig(n_pe=2)))
    return damage


def test_digits_are_recognised_and_shown(eie, port):
    code, text = eie("board", "ulx3s", "run", "--port", "ttyX", "--images", 3)
    assert code == 0, text
    for line in ("ttyX", "2 PEs", "images", "accuracy", "100.00%", "program cycles per image",
                 "All outputs match the golden model bit for bit."):
        assert line in text


def test_json_has_the_fields_of_the_result(eie, port):
    code, text = eie("board", "ulx3s", "run", "--port", "ttyX", "--images", 2, "--json")
    result = json.loads(text)
    assert code == 0 and result.keys() == {"schema_version", "simulated", "port", "baud"} | {
        field.name for field in dataclasses.fields(on_board.BoardRun)}
    assert (result["images"], result["mismatches"], result["repeats"]) == (2, 0, 0)
    assert (result["simulated"], result["port"], result["baud"]) == (False, "ttyX", 3_000_000)


def test_json_of_a_simulated_board_has_neither_port_nor_baud_rate(eie, port, monkeypatch):
    monkeypatch.setattr(run, "_plug_in", lambda port: contextlib.nullcontext(("pts", {})))
    code, text = eie("board", "ulx3s", "run", "--simulated", "--images", 2, "--json")
    result = json.loads(text)
    assert code == 0
    assert (result["simulated"], result["port"], result["baud"]) == (True, None, None)


def test_a_baud_rate_of_the_simulated_board_is_refused(eie):
    code, text = eie("board", "ulx3s", "run", "--simulated", "--baud", 9600)
    assert code == 2 and "--baud is for --port: leave it out" in text


def test_a_bit_that_differs_is_reported(eie, port, monkeypatch):
    load = Accelerator.load
    monkeypatch.setattr(Accelerator, "load",
                        lambda self, build: (load(self, build), port.append(1)))
    code, text = eie("board", "ulx3s", "run", "--port", "ttyX", "--images", 2)
    assert code == 1 and "1 output unlike those of the golden model" in text
    assert "match" not in text


@pytest.mark.parametrize("options", [[], ["--port", "x", "--simulated"]])
def test_one_board_must_be_named(eie, options):
    code, text = eie("board", "ulx3s", "run", *options)
    assert code == 2 and "give either --port, or --simulated" in text


def test_a_port_that_does_not_exist_is_reported(eie, tmp_path):
    code, text = eie("board", "ulx3s", "run", "--port", tmp_path / "tty")
    assert code == 2 and text.startswith(
        f"eie: --port must be a serial port with a machine, but {tmp_path / 'tty'} does not exist")
    assert text.count("\n") == 1


def test_the_simulated_board_is_plugged_in_while_it_is_used(monkeypatch):
    events = []

    class Board:
        port = "pts"

        def __init__(self, config):
            events.append(config.n_pe)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            events.append("out")

    monkeypatch.setattr("eie_sim.rtl.serial_board.SerialBoard", Board)
    with run._plug_in(None) as (port, _):
        assert (port, events) == ("pts", [4])
    assert events == [4, "out"]
