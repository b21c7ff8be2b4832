"""Timing diagrams of the docs against the machine, cycle by cycle."""

import json
import random
from pathlib import Path

import pytest
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from eie_hdl.config import PRESETS
from eie_hdl.format import Layouts, Memory
from eie_hdl.lib.registered_reset import RESET_CYCLES
from eie_hdl.packing import pack
from eie_hdl.registers import REGISTER
from eie_hdl.top import Eie

WAVES = Path(__file__).parents[2] / "docs" / "waves"
NAMES = ["back-to-back", "load"]

CONFIG = PRESETS["tiny"]
LAYOUTS = Layouts.of(CONFIG)
INPUT_BASE = 8

#: Limit of cycles represented by a gap mark.
GAP = 100


def header(memory, count, buffer=0):
    fields = dict.fromkeys(("address", "pe", "everyone", "reserved"), 0)
    return int(pack(LAYOUTS.load_header, {**fields, "memory": memory.value, "count": count,
                                          "buffer": buffer})[0])


def echo():
    """Descriptor of a program that returns its input."""
    zeros = dict.fromkeys(("codebook", "last_word", "destination", "bias", "shift", "bias_shift",
                           "relu"), 0)
    return int(pack(LAYOUTS.descriptor, {
        "start": {**zeros, "source": INPUT_BASE, "send": 1, "last_lane": 3,
                  "last_pe": CONFIG.n_pe - 1},
        "end": zeros, "ptr_base": 0, "offset_source": 1, "offset_destination": 0,
        "frees_input": 1, "alone": 1, "barrier": 1, "result_barrier": 0, "final": 1,
        "valid": 1})[0])


def meaning(inputs):
    """Values of the labels in the diagrams."""
    labels = {"done": REGISTER["IRQ_STATUS"].pack(done=1)}
    labels |= {name: register.address for name, register in REGISTER.items()}
    for number, vector in enumerate(inputs):
        labels[f"head {number}"] = header(Memory.INPUT, CONFIG.n_pe, number)
        labels[f"buffer {number}"] = REGISTER["START"].pack(buffer=number)
        labels |= {f"x{number}[{pe}]": row for pe, row in enumerate(vector)}
        # The word of PE 0, then that of PE 1, ..
        elements = b"".join(row.to_bytes(4, "little") for row in vector)
        labels |= {f"y{number}[{beat}]": int.from_bytes(elements[8 * beat:8 * beat + 8], "little")
                   for beat in range(2)}
    return labels


def read_diagram(name, labels):
    """Values drawn in each column by signal, with `None` for any value; and the clock."""
    text = (WAVES / f"{name}.json").read_text(encoding="utf-8")
    drawn = [row for row in json.loads(text)["signal"] if row]
    waves = {}
    for row in drawn[1:]:
        names, states = iter(row.get("data", [])), []
        for mark in row["wave"]:
            if mark in ".|":
                states.append(states[-1])
            else:
                states.append({"0": 0, "1": 1, "x": None}[mark] if mark in "01x" else
                              labels[next(names)])
        waves[row["name"]] = states
        assert next(names, None) is None
    clock = drawn[0]["wave"]
    assert {len(states) for states in waves.values()} == {len(clock)}
    return waves, clock


class Machine:
    """The top module, clocked by hand."""

    def __init__(self):
        self.dut = Eie(CONFIG)
        pins = list(self.dut.signature.flatten(self.dut))
        self.pins = {"_".join(path): pin for path, _, pin in pins}
        self.inputs = {"_".join(path) for path, member, _ in pins if member.flow == In}

    def set(self, **values):
        for name, value in values.items():
            self.ctx.set(self.pins[name], value)

    def get(self, name):
        value = self.ctx.get(self.pins[name])
        return int(getattr(value, "value", value))

    async def settle(self):
        await self.ctx.delay(1e-9)

    async def tick(self, cycles=1):
        for level in (1, 0) * cycles:
            await self.settle()
            self.set(aclk=level)
        await self.settle()

    async def send(self, *beats):
        for number, beat in enumerate(beats):
            self.set(s_axis_tvalid=1, s_axis_tdata=beat, s_axis_tlast=number == len(beats) - 1)
            await self.settle()
            assert self.get("s_axis_tready")
            await self.tick()
        self.set(s_axis_tvalid=0)

    async def write(self, register, **fields):
        self.set(s_axil_awvalid=1, s_axil_awaddr=REGISTER[register].address,
                 s_axil_wvalid=1, s_axil_wdata=REGISTER[register].pack(**fields))
        await self.tick()
        self.set(s_axil_awvalid=0, s_axil_wvalid=0)
        await self.tick(4)

    async def prepare(self):
        """Load the program, and set the location of the input buffers."""
        self.set(s_axis_tkeep=0xff, s_axil_wstrb=0xf, s_axil_bready=1, m_axis_tready=1)
        await self.tick()
        self.set(aresetn=1)
        await self.tick(RESET_CYCLES)    # until the machine is out of reset
        await self.send(header(Memory.PROGRAM, 1), echo())
        await self.tick(8)    # until idle: only then can the input buffers be changed
        await self.write("INPUT_BASE", value=INPUT_BASE)
        await self.write("INPUT_WORDS", words=1)
        await self.write("INPUT_STRIDE", value=1)
        await self.write("IRQ_ENABLE", done=1)

    def differences(self, waves, column):
        return [(name, column, states[column]) for name, states in waves.items()
                if states[column] not in (None, self.get(name))]

    async def play(self, waves, clock):
        """Drive the inputs as drawn, and compare the outputs."""
        for column, mark in enumerate(clock):
            self.set(**{name: states[column] for name, states in waves.items()
                        if name in self.inputs and states[column] is not None})
            await self.settle()
            cycles = 0
            while mark == "|" and cycles < GAP and self.differences(waves, column + 1):
                assert self.differences(waves, column) == []
                await self.tick()
                cycles += 1
            if mark != "|":
                assert self.differences(waves, column) == []
                await self.tick()


def test_all_diagrams_are_there():
    assert sorted(path.stem for path in WAVES.glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_machine_matches_the_diagram(name):
    rng = random.Random(1)
    inputs = [[rng.getrandbits(32) for _ in range(CONFIG.n_pe)] for _ in range(2)]
    labels = meaning(inputs)
    waves, clock = read_diagram(name, labels)
    machine = Machine()

    async def bench(ctx):
        machine.ctx = ctx
        await machine.prepare()
        if labels["head 0"] not in waves["s_axis_tdata"]:    # it precedes the diagram
            await machine.send(labels["head 0"], *inputs[0])
        await machine.tick(GAP)
        await machine.play(waves, clock)

    simulator = Simulator(machine.dut)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("name", NAMES)
def test_docs_show_the_diagram(name, tmp_path):
    wavedrom = pytest.importorskip("wavedrom")
    source = (WAVES / f"{name}.json").read_text(encoding="utf-8")
    wavedrom.render(source).saveas(tmp_path / "waves.svg")
    assert (tmp_path / "waves.svg").read_bytes() == (WAVES / f"{name}.svg").read_bytes(), (
        "`make waves` updates them")
    assert f"(waves/{name}.svg)" in (WAVES.parent / "host.md").read_text(encoding="utf-8")
