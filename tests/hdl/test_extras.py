"""The command that installs what is missing repeats how the project was installed."""

import ast
import importlib.metadata
import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from eie_hdl.extras import install_command, missing

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("eie_hdl", "compiler", "drivers", "sim", "benchmarks", "flows",
                               "cli") for path in (ROOT / folder).rglob("*.py")]

#: Position of the extra in the arguments of a function; a call may leave it out.
EXTRA = {"missing": 2, "install_command": 0, "_package": 2}

WHEEL = "/home/me/eie hdl/eie_hdl-0.2.0-py3-none-any.whl"


@pytest.fixture
def installed(monkeypatch):
    """Pretend an installation, given its direct_url.json; None comes from an index."""
    def pretend(url):
        text = url and json.dumps(url)
        monkeypatch.setattr(importlib.metadata, "distribution",
                            lambda name: SimpleNamespace(read_text=lambda file: text))
    return pretend


@pytest.mark.parametrize(("url", "command"), [
    ({"url": "file:///home/me/eie-hdl", "dir_info": {"editable": True}},
     "pip install -e '/home/me/eie-hdl[sim]'"),
    ({"url": "file:///home/me/eie-hdl", "dir_info": {}}, "pip install '/home/me/eie-hdl[sim]'"),
    ({"url": "file://" + WHEEL.replace(" ", "%20"), "archive_info": {"hash": "sha256=00"}},
     f"pip install '{WHEEL}[sim]'"),
    ({"url": "https://example.com/eie_hdl-0.2.0-py3-none-any.whl", "archive_info": {}},
     "pip install 'eie-hdl[sim] @ https://example.com/eie_hdl-0.2.0-py3-none-any.whl'"),
    ({"url": "https://example.com/eie.git", "vcs_info": {"vcs": "git", "commit_id": "0123"}},
     "pip install 'eie-hdl[sim] @ git+https://example.com/eie.git@0123'"),
    (None, "pip install 'eie-hdl[sim]'"),
], ids=["editable", "folder", "wheel", "address", "repository", "index"])
def test_an_extra_is_installed_as_the_project_was(installed, url, command):
    installed(url)
    assert install_command("sim") == command
    assert install_command() == command.replace("[sim]", "")


def test_a_copy_that_was_never_installed_is_looked_for_in_the_index(monkeypatch):
    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)
    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    assert install_command("sim") == "pip install 'eie-hdl[sim]'"


def test_the_message_names_package_purpose_and_command(installed):
    installed(None)
    assert missing("PyTorch", "to train", "train") == (
        "PyTorch must be installed to train, but was not found: pip install 'eie-hdl[train]'")


def test_every_extra_that_a_message_names_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"]
    named = {argument.value for path in SOURCES
             for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(call, ast.Call) and getattr(call.func, "id", "") in EXTRA
             for argument in call.args[EXTRA[call.func.id]:] if isinstance(argument, ast.Constant)}
    assert {"sim", "demo", "train", "bench", "synth", "registers"} <= named <= extras.keys()


def test_only_one_module_contains_installation_commands():
    assert [path.name for path in SOURCES
            if "pip install" in path.read_text(encoding="utf-8")] == ["extras.py"]
