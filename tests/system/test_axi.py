"""Whole machine on its buses: pauses on every channel, misuse, resets, random packets.

All random choices depend on ``--seed N``, which failure messages include.
"""

import dataclasses
import json

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.registers import Error
from eie_sim.rtl.cocotb_bench import run_bench
from eie_sim.rtl.simulators import SimulationError, compile_design
from eie_sim.rtl.verilator_host import verilog

TINY = PRESETS["tiny"]

#: Wide activations: a row of the activation SRAM takes two beats of a packet.
WIDE = dataclasses.replace(TINY, n_pe=2, act_width=17, acc_width=24)
#: A descriptor takes several beats.
LOOPS = dataclasses.replace(TINY, act_width=9, codebook_width=12, acc_width=24, loops=True,
                            local=True, maximum=True, products=True, tables=True, scales=True)


def on_each(icarus, *, marks):
    """Parametrise a test by simulator and machine.

    `icarus` is the machine on Icarus, and `marks` are those of its test.
    """
    return pytest.mark.parametrize("simulator, config", [
        pytest.param("icarus", icarus, id="icarus", marks=marks),
        pytest.param("verilator", TINY, id="verilator"),
        pytest.param("verilator", LOOPS, id="verilator-loops", marks=pytest.mark.full),
    ], indirect=["simulator"])


# Icarus takes up to a minute for each.
in_short = on_each(WIDE, marks=pytest.mark.full)


@pytest.fixture
def run(request, simulators, tmp_path):
    """Function that runs a bench and returns its counts."""
    seed, n_packets = (request.config.getoption(name) for name in ("seed", "packets"))

    def run(bench, simulator, config):
        design = compile_design(verilog(config, simulators), top="eie", simulator=simulator,
                                cache=simulators, repeated=["eie_pe"])
        try:
            run_bench(design, bench, tmp_path, environment={
                "EIE_CONFIG": json.dumps(config.as_dict()), "EIE_SEED": str(seed),
                "EIE_PACKETS": str(n_packets)})
        except SimulationError as error:
            error.add_note(f"the seed was {seed}")
            raise
        figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
        request.node.user_properties.append(("axi", {"simulator": simulator, **figures}))
        return figures

    return run


@in_short
def test_registers_match_the_register_map(run, simulator, config):
    run("benches.bench_axi_registers", simulator, config)


@in_short
def test_networks_are_loaded_run_read_back_and_replaced(run, simulator, config):
    run("benches.bench_axi", simulator, config)


@on_each(TINY, marks=pytest.mark.full)
def test_every_misuse_has_its_error_and_no_other_effect(run, simulator, config):
    errors = run("benches.bench_axi_misuse,benches.bench_axi_failures", simulator, config)["errors"]
    # The columns of a loop are known before it is started.
    missing = {"NONE", "BAD_POINTER"} if config.loops else {"NONE"}
    assert set(errors) == {error.name for error in Error} - missing


@in_short
def test_resets_at_any_time_leave_a_working_machine_without_residue(run, simulator, config):
    run("benches.bench_axi_reset", simulator, config)


@on_each(WIDE, marks=[])
def test_random_packets_have_the_effects_of_the_host_model(run, simulator, config):
    figures = run("benches.bench_axi_fuzz", simulator, config)
    assert figures["counts"]["fuzz packets"] > 0
