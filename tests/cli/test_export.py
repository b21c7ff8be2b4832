"""`eie export` (`eie_cli.export`): its files are valid C, match the build and are deterministic."""

import re
import subprocess

import pytest

from eie_compiler.build import Build
from eie_compiler.graph_folder import write_graph_build
from eie_compiler.lowering.graph import compile_graph
from eie_driver.c_export import export_files
from eie_driver.c_sources import SOURCES, find_c_driver
from eie_hdl.config import PRESETS
from support.graphs import recurrent_network

TINY = PRESETS["tiny"]


@pytest.mark.parametrize(("options", "driver"), [([], SOURCES), (["--no-driver"], ())])
def test_the_model_is_written_with_the_driver_or_without(tmp_path, build, eie, options, driver):
    code, text = eie("export", build, "--name", "net", *options, "-o", tmp_path / "c")
    assert code == 0
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "c").iterdir()}
    assert sizes.keys() == {"net.h", "net.c", *driver}
    assert text == "".join(f"{tmp_path / 'c' / name}: {sizes[name]:,} bytes\n"
                           for name in ("net.h", "net.c", *driver)
                           ) + f"How to port the driver: {find_c_driver() / 'README.md'}\n"


def test_what_is_written_compiles_by_itself(tmp_path, build, eie):
    assert eie("export", build, "-o", tmp_path / "c")[0] == 0
    (tmp_path / "c" / "main.c").write_text(
        '#include "eie_quantise.h"\n#include "model.h"\n'
        "int main(void) { return eie_status_text(EIE_OK) == 0 || model.n_outputs == 0; }\n",
        encoding="utf-8")
    subprocess.run("gcc -std=c99 -Wall -Werror *.c -o main && ./main", cwd=tmp_path / "c",
                   shell=True, check=True)


def test_the_program_of_the_readme_compiles(tmp_path, build, eie):
    assert eie("export", build, "-o", tmp_path / "c")[0] == 0
    readme = (find_c_driver() / "README.md").read_text(encoding="utf-8")
    program = re.search(r"^```c\n(#include.*?)^```$", readme, re.DOTALL | re.MULTILINE)[1]
    (tmp_path / "c" / "main.c").write_text(program, encoding="utf-8")
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Werror", "-c", "main.c"], cwd=tmp_path / "c",
                   check=True)


@pytest.fixture(scope="module")
def graph_build(tmp_path_factory):
    """Folder of the build of a graph."""
    folder = tmp_path_factory.mktemp("graph")
    write_graph_build(folder, compile_graph(recurrent_network(TINY), TINY))
    return folder


def test_a_network_that_is_a_graph_is_written_with_its_program_of_the_readme(tmp_path, graph_build,
                                                                             eie):
    code, text = eie("export", graph_build, "-o", tmp_path)
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"model.h", "model.c", *SOURCES}
    assert f"{tmp_path / 'eie_network.c'}: " in text
    readme = (find_c_driver() / "README.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```c\n(#include.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    (tmp_path / "main.c").write_text(programs[1] + "const struct eie_port port;\n",
                                     encoding="utf-8")
    subprocess.run("gcc -std=c99 -Wall -Werror *.c -o main", cwd=tmp_path, shell=True, check=True)


def test_a_network_that_is_a_graph_has_no_bench(tmp_path, graph_build, eie):
    code, text = eie("export", graph_build, "--format", "hex", "-o", tmp_path)
    assert code == 2
    assert "--format hex needs a build of a chain of layers, not of a graph, whose" in text
    assert not list(tmp_path.iterdir())


def test_text_depends_on_nothing_but_the_build(tmp_path, build, eie):
    for name in ("one", "two"):
        assert eie("export", build, "-o", tmp_path / name)[0] == 0
        for file, text in export_files(Build.load(build)).items():
            assert (tmp_path / name / file).read_text(encoding="utf-8") == text
            assert str(tmp_path) not in text


def test_hex_writes_images_vectors_and_a_bench(tmp_path, build, eie, inputs):
    for options in ([], ["--input", inputs, "--machine", "left"]):
        code, text = eie("export", build, "--format", "hex", "--name", "net", *options,
                         "-o", tmp_path / "hex")
        assert code == 0
        files = {path.name: path for path in (tmp_path / "hex").iterdir()}
        assert files.keys() == {"images", "inputs.hex", "results.hex", "net_bench.v"}
        images = {path.name: path.read_bytes() for path in files.pop("images").iterdir()}
        assert images == {path.name: path.read_bytes() for path in build.glob("*.hex")}
        lines = text.splitlines()
        assert lines == [
            *(f"{tmp_path / 'hex' / name}: {files[name].stat().st_size:,} bytes"
              for name in ("net_bench.v", "inputs.hex", "results.hex")),
            f"{tmp_path / 'hex' / 'images'}: {len(images)} files, "
            f"{sum(map(len, images.values())):,} bytes"]
    bench = files["net_bench.v"].read_text(encoding="utf-8")
    assert "N_INFERENCES = 3;" in bench
    assert "    left #(" in bench


@pytest.mark.parametrize(("options", "message"), [
    (["--format", "hex", "--no-driver"], "--no-driver is not for --format hex"),
    (["--input", __file__], "--input is not for --format c"),
    (["--words"], "--words is not for --format c"),
    (["--machine", "x"], "--machine is not for --format c"),
    (["--format", "hex", "--words"], "--words needs --input"),
    (["--format", "hex", "--name", "wire"], "eie: --name must not be wire, which is a keyword"),
    (["--format", "hex", "--machine", "a-b"], "eie: --machine must be a Verilog identifier"),
    (["--format", "hex", "--name", "eie"], "eie: --name must not be eie, the name of the machine"),
    (["--name", "int"], "eie: --name must not be int, which is a keyword of C or C++: choose"),
])
def test_an_option_that_does_not_fit_is_an_error(tmp_path, build, eie, options, message):
    code, text = eie("export", build, *options, "-o", tmp_path / "x")
    assert code == 2
    assert message in text
    assert not (tmp_path / "x").exists()
