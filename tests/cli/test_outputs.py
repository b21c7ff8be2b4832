"""Every command: outputs never replace inputs, and folders of outputs are made."""

import errno
import os
import resource
import shutil
import subprocess
import sys

import click
import numpy as np
import pytest

from eie_cli.main import main
from eie_cli.options import Command, Input, Output
from eie_compiler.build import Build


def leaves(group, *names):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *names, name)
        else:
            yield " ".join([*names, name]), command


COMMANDS = dict(leaves(main))
#: Options that write, besides -o.
WRITING = {"--log", "--doc", "--simulators"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_path_of_a_command_is_an_input_or_an_output(name):
    command = COMMANDS[name]
    assert isinstance(command, Command)
    for parameter in command.params:
        writes = "-o" in parameter.opts or WRITING & {*parameter.opts}
        assert isinstance(parameter.type, click.Path) == isinstance(parameter.type, Input | Output)
        assert isinstance(parameter.type, Output) == bool(writes), parameter.name


@pytest.mark.parametrize("link", ["same", "symlink_to", "hardlink_to"])
@pytest.mark.parametrize("command, kept", [
    ("compress {weights} -o {out}", "weights"),
    ("compress {weights} --calibrate {inputs} -o {out}", "inputs"),
    ("train {weights} --layers 3 -o {out}", "weights"),
    ("train {weights} --layers 3 -o {folder}/w.npz --log {out}", "weights"),
    ("bench sharing {weights} {inputs} -o {out}", "inputs"),
])
def test_an_input_file_is_not_replaced(tmp_path, eie, weights, inputs, link, command, kept):
    given = {"weights": weights, "inputs": inputs}[kept]
    out = given
    if link != "same":
        out = tmp_path / "out"
        getattr(out, link)(given)
    before = given.read_bytes()
    code, text = eie(*command.format(weights=weights, inputs=inputs, out=out,
                                     folder=tmp_path).split())
    assert (code, text) == (2, f"eie: output {out} must not be the input {given}, which would be "
                               f"lost: choose another path\n")
    assert given.read_bytes() == before


def test_results_do_not_replace_the_inputs_of_a_run(tmp_path, eie, build, inputs):
    results = tmp_path / "results"
    results.mkdir()
    shutil.move(inputs, results / "b.npy")    # the name of a result
    before = (results / "b.npy").read_bytes()
    code, text = eie("run", build, "--input", results / "b.npy", "-o", results)
    assert code == 2 and "b.npy must not be the input" in text
    assert [path.name for path in results.iterdir()] == ["b.npy"]
    assert (results / "b.npy").read_bytes() == before


@pytest.mark.parametrize("command", ["run {build} --input {inputs} -o {build}",
                                     "export {build} -o {build}"])
def test_a_build_is_not_written_into(tmp_path, eie, build, inputs, command):
    before = sorted(build.iterdir())
    code, text = eie(*command.format(build=build, inputs=inputs).split())
    assert code == 2 and f"output {build} must not be the input {build}" in text
    assert sorted(build.iterdir()) == before
    Build.load(build)


@pytest.mark.parametrize("command", [
    "compress {weights} -o {new}/net.npz", "compile {network} --pes 2 -o {new}",
    "run {build} --input {inputs} -o {new}", "export {build} -o {new}",
    "registers --no-peakrdl -o {new}"])
def test_folders_of_outputs_are_made_and_a_full_disk_leaves_none(
        tmp_path, eie, weights, network, build, inputs, command, monkeypatch):
    new = tmp_path / "new" / "folder"
    arguments = command.format(weights=weights, network=network, build=build, inputs=inputs,
                               new=new).split()
    replace = os.replace

    def full(old, into):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    code, text = eie(*arguments)
    assert code == 2
    assert text.startswith(f"eie: cannot use {new}")
    assert text.endswith(": No space left on device; free space on the disk, or choose another "
                         "one\n")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(os, "replace", replace)
    code, text = eie(*arguments)
    assert code == 0, text
    assert any(new.iterdir())


def test_an_interruption_ends_with_130_and_one_line(tmp_path, eie, weights, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    (tmp_path / "net.npz").write_text("former", encoding="utf-8")
    monkeypatch.setattr(os, "replace", stop)
    code, text = eie("compress", weights, "-o", tmp_path / "net.npz")
    assert (code, text) == (130, "eie: interrupted\n")
    assert (tmp_path / "net.npz").read_text(encoding="utf-8") == "former"
    assert not list(tmp_path.glob(".eie*"))


def test_a_signal_while_verilog_is_written_leaves_nothing(tmp_path):
    """The objects of an unfinished design must not warn that they are unused."""
    code = ("import os, signal; from eie_hdl import top; from eie_cli.main import main\n"
            "elaborate = top.Eie.elaborate\n"
            "def interrupted(self, platform):\n"
            "    module = elaborate(self, platform)\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
            "    return module\n"
            "top.Eie.elaborate = interrupted\n"
            "main()")
    process = subprocess.run([sys.executable, "-c", code, "verilog", "-o", tmp_path / "v"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             check=False, encoding="utf-8")
    assert (process.returncode, process.stdout) == (130, "eie: interrupted\n")
    assert not (tmp_path / "v").exists()


def test_results_that_the_disk_does_not_take_are_named(tmp_path, eie, build):
    np.save(tmp_path / "x.npy", np.zeros((4000, 6)))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        code, text = eie("run", build, "--input", tmp_path / "x.npy", "-o", tmp_path / "r")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert code == 2
    assert text.startswith(f"eie: cannot use {tmp_path / 'r' / 'a.npy'}: File too large")
    assert not (tmp_path / "r").exists()


def test_results_of_a_former_run_are_replaced(tmp_path, eie, build, inputs):
    for _ in range(2):
        code, text = eie("run", build, "--input", inputs, "-o", tmp_path / "r")
        assert code == 0, text
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
        "a.npy", "b.npy", "statistics.json"]
    assert np.load(tmp_path / "r" / "b.npy").shape == (3, 3)
