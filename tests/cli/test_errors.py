"""`eie_cli.errors`: errors are one line and name options as the user types them."""

import signal
import subprocess
import sys
import warnings

import pytest

from eie_cli.main import main
from eie_hdl.files import staged


@pytest.mark.parametrize("name, message, expected", [
    ("compress", "end before it with last='x'", "end before it with --last 'x'"),
    ("compress", "choose a part of the graph with first=TENSOR and last=TENSOR",
     "choose a part of the graph with --first TENSOR and --last TENSOR"),
    ("compress", "choose layers with layers=NAMES", "choose layers with --layer NAME"),
    ("compress", "relu=BOOLS is true", "--relu/--no-relu is true"),
    ("compress", "m.pt: options must be first=, last=, not layers=",
     "m.pt: options must be --first, --last, not --layer"),
    ("compress", "m.pt: ignore must be a tensor", "m.pt: --ignore must be a tensor"),
    ("compress", "balance must be 1 or more", "--balance-pes must be 1 or more"),
    ("compress", "act_width must be 4 or more", "--act-width must be 4 or more"),
    # That is the name of the command's variable for --output, and here a network.
    ("compress", "network must have layers", "network must have layers"),
    ("compress", "the density must be lower", "the density must be lower"),
    ("compress", "calibration must be finite", "--calibrate must be finite"),
    ("info", "layers must be there", "layers must be there"),
    ("board ulx3s run", "port must be there", "--port must be there"),
])
def test_parameters_are_spelled_as_options(eie, monkeypatch, name, message, expected):
    from eie_compiler.errors import CompressError

    def fail(**options):
        raise CompressError(message)

    command = main
    for part in name.split():
        command = command.commands[part]
    monkeypatch.setattr(command, "callback", fail)
    options = {"compress": [__file__, "-o", "net.npz"], "info": [__file__]}.get(name, [])
    code, text = eie(*name.split(), *options)
    assert code == 2
    assert text == f"eie: {expected}\n"


def test_messages_of_any_length_are_shortened(eie, monkeypatch):
    from eie_compiler.errors import CompressError

    def fail(**options):
        raise CompressError(f"m.npz: must be a name, not {'x' * 10 ** 6}: rename it")

    monkeypatch.setattr(main.commands["info"], "callback", fail)
    code, text = eie("info", __file__)
    assert code == 2 and len(text) < 4100
    assert text.startswith("eie: m.npz: must be a name, not xxx")
    assert text.endswith("xxx: rename it\n")


def test_broken_files_are_one_line(tmp_path, build, inputs, eie):
    (tmp_path / "net.npz").write_bytes(b"PK no")
    code, text = eie("info", tmp_path / "net.npz")
    assert code == 2 and text.startswith(f"eie: {tmp_path / 'net.npz'}: ")
    (build / "pe_0.spmat.hex").unlink()
    code, text = eie("run", build, "--input", inputs, "-o", tmp_path / "out")
    assert code == 2 and text.startswith(f"eie: {build / 'pe_0.spmat.hex'} must be readable")


def test_warnings_of_the_project_are_one_line_and_others_those_of_python(eie, monkeypatch):
    from eie_compiler.frontends import FrontEndWarning

    def warn(**options):
        for category in (FrontEndWarning, UserWarning):
            warnings.warn_explicit("state it with layers=NAMES", category, "x.py", 3,
                                   "eie_compiler.frontends")

    monkeypatch.setattr(main.commands["compress"], "callback", warn)
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda *arguments: shown.append(arguments[1]))
    code, text = eie("compress", __file__, "-o", "net.npz")
    assert (code, text) == (0, "eie: warning: state it with --layer NAME\n")
    assert shown == [UserWarning]


def test_sigterm_removes_unfinished_files_and_exits_with_143(tmp_path, eie, monkeypatch):
    def end(**options):
        with staged(tmp_path / "out"):
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(main.commands["info"], "callback", end)
    assert eie("info", __file__) == (143, "eie: terminated\n")
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before


def test_ctrl_c_while_commands_are_imported_prints_nothing():
    run = subprocess.run([sys.executable, "-c", """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(name, path, target=None):
        if name == "eie_cli.verilog":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder)
import eie_cli.main
"""], capture_output=True, encoding="utf-8", check=False)
    assert (run.returncode, run.stdout, run.stderr) == (-signal.SIGINT, "", "")
    run = subprocess.run([sys.executable, "-c", """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import eie_cli.main
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""], capture_output=True, encoding="utf-8", check=True)
    assert run.stdout == "True\n"


@pytest.mark.parametrize("end, code, message", [
    ("signal.raise_signal(signal.SIGTERM)", 143, "eie: terminated\n"),
    ("signal.raise_signal(signal.SIGINT)", 130, "eie: interrupted\n"),
    ("raise CompileError('it must fit')", 2, "eie: it must fit\n")])
def test_unfinished_objects_of_a_command_that_ends_do_not_warn(end, code, message):
    run = subprocess.run([sys.executable, "-c", f"""
import signal, sys
from amaranth.hdl import Elaboratable, Fragment, Module
from eie_cli.main import main
from eie_compiler.errors import CompileError
signal.signal(signal.SIGINT, signal.default_int_handler)
Fragment.get(Module(), None)    # Amaranth warns only after it has elaborated something
class Unfinished(Elaboratable):
    pass
def end(**options):
    unfinished = Unfinished()
    {end}
main.commands["info"].callback = end
try:
    main(["info", {__file__!r}])
except SystemExit as error:
    code = error.code
sys.exit(code)    # the objects are gone
"""], capture_output=True, encoding="utf-8", check=False)
    assert (run.returncode, run.stdout, run.stderr) == (code, "", message)
