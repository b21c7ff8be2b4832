"""Memories as macros: wrappers, models, black boxes, Liberty and LEF."""

import re

import pytest

from eie_flows.asic.macros import (
    Macro,
    Process,
    describe_blackboxes,
    describe_lef,
    describe_liberty,
    describe_models,
    describe_wrappers,
    list_macros,
)
from eie_hdl.export.memories import MemoryKind
from eie_hdl.export.names import read_source
from eie_sim.rtl.toolchain import find_icarus
from support.verilog_runs import run_icarus

PROCESS = Process(130, 1.8, 0.06, "met3", "met4", ("met1", "met2", "met3"))
RAM = Macro(64, 12, True, 2, PROCESS)
FILE = Macro(32, 40, False, 1, PROCESS)

#: Random accesses of two memories, as they are and replaced, which must always give the same.
BENCH = """
module bench;
    reg clk = 0, r_en, w_en;
    reg [5:0] r_addr, w_addr;
    reg [39:0] w_data;
    wire [11:0] ram, replaced_ram;
    wire [39:0] file, replaced_file;
    wire [6:0] little, replaced_little;
    integer n, errors;
    %s
    always #5 clk = ~clk;
    initial begin
        errors = 0;
        r_en = 0;
        for (n = 0; n < 64; n = n + 1) begin
            @(negedge clk);
            w_en = 1; w_addr = n; w_data = {$random, $random};
        end
        for (n = 0; n < 2000; n = n + 1) begin
            @(negedge clk);
            r_en = $random; w_en = $random; r_addr = $random; w_addr = $random;
            w_data = {$random, $random};
            if (w_addr[3:0] == r_addr[3:0]) w_addr = w_addr ^ 1;
            @(posedge clk);
            #1 if (n > 10 && {ram, file, little} !==
                               {replaced_ram, replaced_file, replaced_little})
                errors = errors + 1;
        end
        $display("errors: %%0d", errors);
        $finish;
    end
endmodule
"""


def instances(prefix, output):
    return "".join(
        f"{prefix}_{module} #(.WIDTH({width}), .DEPTH({depth}), .ADDR_WIDTH({bits})) "
        f"u_{output}{name} "
        f"(.clk(clk), .r_en(r_en), .r_addr(r_addr[{bits - 1}:0]), .r_data({output}{name}), "
        f".w_en(w_en), .w_addr(w_addr[{bits - 1}:0]), .w_data(w_data[{width - 1}:0]));\n"
        for module, name, width, depth, bits in (("sram", "ram", 12, 64, 6),
                                                 ("regfile", "file", 40, 32, 5),
                                                 ("regfile", "little", 7, 16, 4)))


@pytest.mark.skipif(not find_icarus().ok, reason="Icarus is not installed")
@pytest.mark.parametrize("broken", [False, True])
def test_wrappers_and_models_behave_as_the_memories_that_they_replace(tmp_path, broken):
    macros = [Macro(64, 12, True, 1, PROCESS, "new"), Macro(32, 40, False, 1, PROCESS, "new")]
    models = describe_models(macros)
    if broken:
        models = models.replace("if (r_en) r_data", "r_data")
    text = run_icarus(tmp_path, "bench", {
        "bench.v": BENCH % (instances("eie", "") + instances("new", "replaced_")),
        "new.v": describe_wrappers(macros, "new") + models,
        **{name: read_source(name) for name in ("eie_sram.v", "eie_regfile.v")}})
    assert (int(re.search(r"errors: (\d+)", text)[1]) > 0) == broken


def test_block_rams_and_large_register_files_are_macros():
    kinds = [MemoryKind("eie_sram", 24, 7, ("eie.a",)),
             MemoryKind("eie_regfile", 32, 40, ("eie.b", "eie.c")),
             MemoryKind("eie_regfile", 2, 30, ("eie.d",))]
    assert [(macro.name, macro.count) for macro in list_macros(kinds, PROCESS)] == [
        ("eie_ram_24x7", 1), ("eie_rf_32x40", 2)]


@pytest.mark.parametrize(("words", "bits", "published"), [
    (256, 32, 479.78 * 397.5), (512, 32, 683.1 * 416.54), (1024, 32, 693.9 * 668.8),
    (2048, 32, 1093.8 * 720.5)])
def test_estimated_areas_are_near_those_of_published_macros(words, bits, published):
    assert Macro(words, bits, True, 1, PROCESS).area == pytest.approx(published, rel=0.04)


def test_the_energy_of_the_paper_is_kept_for_its_own_memory():
    paper = Process(45, 1.0, 0.02, "metal3", "metal4", ())
    assert Macro(8192, 32, True, 1, paper).energy == pytest.approx(5.0)


def test_liberty_and_black_boxes_have_the_same_pins():
    liberty, boxes = describe_liberty([RAM, FILE]), describe_blackboxes([RAM, FILE])
    for macro in (RAM, FILE):
        cell = re.search(rf"cell \({macro.name}\) \{{(.*?)\n  \}}", liberty, re.DOTALL)[1]
        pins = re.findall(r"^    (?:pin|bus) \((\w+)\)", cell, re.MULTILINE)
        box = re.search(rf"module {macro.name} \((.*?)\);", boxes, re.DOTALL)[1]
        assert pins == re.findall(r"(\w+)(?:,|$)", box, re.MULTILINE)
        assert f"area : {macro.area:.1f};" in cell
    assert liberty.count("{") == liberty.count("}")
    assert 'related_bus_pins : "r_addr";' in liberty and "timing_type : combinational;" in liberty


def test_supply_is_where_straps_of_a_chip_cross_it():
    text = describe_lef([RAM])
    wide, high = map(float, re.search(r"SIZE ([\d.]+) BY ([\d.]+)", text).groups())
    for name, left, right in (("VDD", 0, 2), ("VSS", wide - 2, wide)):
        layer, *box = re.search(rf"PIN {name}\n.*?LAYER (\S+) ;\s+RECT (\S+) (\S+) (\S+) (\S+) ;",
                                text, re.DOTALL).groups()
        assert layer == "met4" and f"LAYER {layer} " not in text.partition("OBS")[2]
        assert [*map(float, box)] == pytest.approx([left, 0, right, high])


def test_lef_has_the_estimated_area_and_pins_inside_it():
    text = describe_lef([RAM])
    wide, high = map(float, re.search(r"SIZE ([\d.]+) BY ([\d.]+)", text).groups())
    assert wide * high == pytest.approx(RAM.area, rel=1e-3)
    boxes = [tuple(map(float, box)) for box in re.findall(r"RECT (\S+) (\S+) (\S+) (\S+)", text)]
    assert all(0 <= left < right <= wide and 0 <= low < top <= high
               for left, low, right, top in boxes)
    assert re.findall(r"PIN (\S+)", text).count("r_data[11]") == 1
    assert len(re.findall(r"PIN ", text)) == 1 + 1 + 6 + 12 + 1 + 6 + 12 + 2
