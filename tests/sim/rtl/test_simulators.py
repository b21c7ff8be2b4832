"""Designs are compiled once, and failures of benches are reported.

Benches run in a process of `eie_sim.rtl.cocotb_process`.
"""

import re

import pytest

from eie_hdl.export.names import read_source
from eie_sim.rtl.cocotb_bench import run_bench
from eie_sim.rtl.simulators import SimulationError, compile_design
from support.short import icarus_in_short

#: A memory with the row selected by a port on another port.
SHOW = {"show.v": """
module show(input wire clk, input wire [1:0] row, output wire [71:0] word);
    eie_sram #(.WIDTH(72), .DEPTH(4), .ADDR_WIDTH(2), .IMAGE({"pe_0", ".spmat.hex"})) pe_0 (
        .clk(clk), .r_en(1'b1), .r_addr(row), .r_data(word),
        .w_en(1'b0), .w_addr(2'd0), .w_data(72'd0));
endmodule
""", "eie_sram.v": read_source("eie_sram.v")}

BENCH = """
import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def rows_are_those_of_the_file(dut):
    for row, word in enumerate([0x123456789abcdef01, 2]):
        dut.row.value = row
        for clk in (0, 1):
            dut.clk.value = clk
            await Timer(1, "ns")
        assert dut.word.value == word, f"row {row} is {dut.word.value}"
"""


#: A memory whose ports have the same row.
COLLIDE = {**SHOW, "collide.v": '''
module collide(input wire clk, input wire r_en, input wire w_en, input wire [1:0] row,
               output wire [7:0] word);
    eie_sram #(.WIDTH(8), .DEPTH(4), .ADDR_WIDTH(2)) act (
        .clk(clk), .r_en(r_en), .r_addr(row), .r_data(word),
        .w_en(w_en), .w_addr(2'd2), .w_data(8'd5));
endmodule
'''}

COLLIDE_BENCH = '''
import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def ports_meet(dut):
    for r_en, w_en, row in [(0, 1, 2), (1, 0, 2), (1, 1, 1), LAST]:
        dut.r_en.value, dut.w_en.value, dut.row.value = r_en, w_en, row
        for clk in (0, 1):
            dut.clk.value = clk
            await Timer(1, "ns")
'''


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Function that writes a bench and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        (tmp_path / "bench_show.py").write_text(text, encoding="utf-8")
        return "bench_show"
    return write


@pytest.fixture
def design(simulator, simulators):
    return compile_design(SHOW, top="show", simulator=simulator, cache=simulators)


def images(folder, text="123456789abcdef01\n2\n"):
    folder.mkdir()
    (folder / "pe_0.spmat.hex").write_text(text, encoding="utf-8")
    return [f"+eie_images={folder}"]


def test_a_memory_is_loaded_from_its_image(design, bench, tmp_path):
    run_bench(design, bench(BENCH), tmp_path / "run", plusargs=images(tmp_path / "images"))
    log = (tmp_path / "run/simulator.log").read_text(encoding="utf-8")
    assert not re.search(r"readmemh|ERROR|%Warning", log)


def test_a_failed_check_is_reported_with_its_message(design, bench, tmp_path):
    plusargs = images(tmp_path / "images", "123456789abcdef01\n3\n")
    with pytest.raises(SimulationError, match=r"bench_show in \w+ failed: row 1 is 0+11\n"):
        run_bench(design, bench(BENCH), tmp_path / "run", plusargs=plusargs)


def test_an_image_that_is_missing_stops_the_simulation(design, bench, tmp_path):
    with pytest.raises(SimulationError, match="ERROR: .*: cannot read the image "
                                              ".*nowhere/pe_0.spmat.hex"):
        run_bench(design, bench(BENCH), tmp_path / "run",
                  plusargs=[f"+eie_images={tmp_path}/nowhere"])


@pytest.mark.parametrize(("text", "message"), [
    ("1\n2\n3\n4\n5\n", r"ERROR: .*pe_0.spmat.hex has 5 words, the memory 4"),
    ("1\n1" + 18 * "0" + "\n", r"ERROR: .*: word 1 of the image .*spmat.hex has more than 72 bits"),
    (40 * "f" + "\n2\n", r"ERROR: .*: word 0 of the image .*pe_0.spmat.hex has more than 72 bits"),
    ("1\nqq\n", r"ERROR: .*: word 1 of the image .*pe_0.spmat.hex is not hexadecimal"),
])
def test_an_image_that_does_not_fit_stops_the_simulation(design, bench, tmp_path, text, message):
    with pytest.raises(SimulationError, match=message):
        run_bench(design, bench(BENCH), tmp_path / "run",
                  plusargs=images(tmp_path / "images", text))


# The tests of the engine verilator have the same in it.
@icarus_in_short
def test_reading_the_row_that_is_written_is_fatal(bench, tmp_path, simulator, simulators):
    design = compile_design(COLLIDE, top="collide", simulator=simulator, cache=simulators)
    run_bench(design, bench(COLLIDE_BENCH.replace("LAST", "(1, 1, 3)")), tmp_path / "apart")
    with pytest.raises(SimulationError, match=r"collide\.act: row 2 is read in the cycle in which "
                                              "it is written"):
        run_bench(design, bench(COLLIDE_BENCH.replace("LAST", "(1, 1, 2)")), tmp_path / "together")


# How a bench ends does not depend on the simulator.
@icarus_in_short
def test_a_bench_without_tests_fails(design, bench, tmp_path):
    with pytest.raises(SimulationError, match="(?s)ended without results.*No tests were disc"):
        run_bench(design, bench("import cocotb\n"), tmp_path / "run")


@icarus_in_short
def test_a_bench_that_skips_all_tests_fails(design, bench, tmp_path):
    text = "import cocotb\n\n@cocotb.test(skip=True)\nasync def skipped(dut):\n    pass\n"
    with pytest.raises(SimulationError, match=r"bench_show in \w+ ran no test"):
        run_bench(design, bench(text), tmp_path / "run")


@icarus_in_short
def test_a_bench_that_cannot_be_imported_fails(design, bench, tmp_path):
    with pytest.raises(SimulationError, match=r"(?s)bench_show in \w+ .*no_such_module"):
        run_bench(design, bench("import no_such_module\n"), tmp_path / "run")


@icarus_in_short
def test_a_simulation_that_does_not_end_is_killed(design, bench, tmp_path):
    text = BENCH.replace("for row", "import time; time.sleep(3600)\n    for row")
    with pytest.raises(SimulationError, match=r"\w+ did not end within 3 s"):
        run_bench(design, bench(text), tmp_path / "run", timeout=3)


@icarus_in_short
def test_a_design_is_compiled_once(design, simulators):
    stamp = design.folder.stat().st_mtime_ns
    again = compile_design(SHOW, top="show", simulator=design.simulator, cache=simulators)
    assert again == design
    assert again.folder.stat().st_mtime_ns == stamp


def test_another_text_makes_another_design(simulators, icarus):
    other = {**SHOW, "show.v": SHOW["show.v"] + "\n// changed\n"}
    first, second = (compile_design(files, top="show", simulator=icarus, cache=simulators)
                     for files in (SHOW, other))
    assert first.folder != second.folder


def test_verilog_that_does_not_compile_is_reported(simulator, tmp_path):
    with pytest.raises(SimulationError, match=r"(?s)(verilator|iverilog) failed.*bad\.v"):
        compile_design({"bad.v": "module bad(; endmodule\n"}, top="bad", simulator=simulator,
                    cache=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_folder_that_make_cannot_work_in_is_refused(tmp_path, verilator):
    with pytest.raises(SimulationError, match="set EIE_CACHE to a folder without spaces"):
        compile_design(SHOW, top="show", simulator=verilator, cache=tmp_path / "a b")


def test_an_unknown_simulator_is_refused(tmp_path):
    with pytest.raises(ValueError, match="^simulator must be one of verilator, icarus, "
                                         "not 'spice'$"):
        compile_design(SHOW, top="show", simulator="spice", cache=tmp_path)


@icarus_in_short
def test_waveforms_can_be_limited_to_an_instance(simulator, simulators, bench, tmp_path):
    sizes = []
    for waves in ("", "pe_0"):
        design = compile_design(SHOW, top="show", simulator=simulator, cache=simulators,
                                waves=waves)
        run_bench(design, bench(BENCH), tmp_path / f"run-{waves}",
                  plusargs=images(tmp_path / f"images-{waves}"))
        assert design.waves is not None
        sizes.append((tmp_path / f"run-{waves}" / design.waves).stat().st_size)
    assert 0 < sizes[1] < sizes[0]
    if design.waves.endswith(".vcd"):
        assert "pe_0" in (tmp_path / "run-pe_0" / design.waves).read_text(encoding="utf-8")


def test_no_waveform_is_written_unasked(design, bench, tmp_path):
    run_bench(design, bench(BENCH), tmp_path / "run", plusargs=images(tmp_path / "images"))
    assert design.waves is None
    assert not [path for path in (tmp_path / "run").iterdir()
                if path.suffix in (".vcd", ".fst")]
