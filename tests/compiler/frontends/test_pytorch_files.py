"""`eie_compiler.frontends.pytorch_files`: files of `torch.save` and .safetensors."""

import pickle
import re
import warnings
import zipfile

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning, read_model

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

#: State dicts are read with assumptions, whose tests are in test_tensors.
pytestmark = pytest.mark.filterwarnings("ignore::eie_compiler.frontends.FrontEndWarning")

MODULE = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))

OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}


@pytest.mark.parametrize("suffix, save", [
    (".pt", lambda path: torch.save(MODULE.state_dict(), path)),
    *((".pth", lambda path, key=key: torch.save(
        {"epoch": 3, "loss": torch.tensor(0.5), key: MODULE.state_dict(),
         "optimizer_state_dict": OPTIMIZER}, path))
      for key in ("state_dict", "model_state_dict", "net", "model", "weights")),
    (".pt", lambda path: torch.save({"model": {"state_dict": MODULE.state_dict()}}, path)),
    (".pt", lambda path: torch.save({"net": MODULE.state_dict(), "ema": nn.Linear(2, 2).state_dict()
                                     }, path)),
    (".safetensors", lambda path: save_file(MODULE.state_dict(), path)),
])
def test_state_dicts_of_files_compute_what_the_module_did(tmp_path, suffix, save):
    path = tmp_path / f"state{suffix}"
    save(path)
    model = read_model(path)
    x = torch.randn(5, 6)
    np.testing.assert_allclose(model(x.numpy()), MODULE(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    assert [layer.name for layer in model.layers] == ["0", "2"]


def test_a_checkpoint_of_several_state_dicts_says_which_is_taken(tmp_path):
    path = tmp_path / "m.pt"
    torch.save({"ema": nn.Linear(2, 2).state_dict(), "net": MODULE.state_dict()}, path)
    with pytest.warns(FrontEndWarning, match="^net was taken from the checkpoint, not ema$"):
        read_model(path, layers=["0", "2"], relu=[True, False])
    torch.save({"student": MODULE.state_dict(), "teacher": MODULE.state_dict()}, path)
    with pytest.raises(FrontEndError, match=re.escape(
            "must contain one state dict, not those of student, teacher: torch.save("
            "torch.load(path)['student'], path) writes one")):
        read_model(path)


def test_layers_of_safetensors_are_numbered_or_named(tmp_path):
    path = tmp_path / "s.safetensors"
    names = ["input_layer", "hidden", "output_layer"]
    state = {f"{name}.weight": torch.randn(3, 3) for name in names}
    save_file(state, path)
    with pytest.raises(FrontEndError, match=(
            "order of the layers must be given with layers=NAMES: a safetensors file does not keep "
            "it, and the names hidden, input_layer, output_layer are not numbered alike$")):
        read_model(path)
    model = read_model(path, layers=names, relu=False)
    np.testing.assert_allclose(model(np.eye(3)).T, state["output_layer.weight"]
                               @ state["hidden.weight"] @ state["input_layer.weight"], rtol=1e-5)


def test_numbers_in_names_of_safetensors_are_ordered_by_value(tmp_path):
    path = tmp_path / "s.safetensors"
    names = ["a0", "a09", "a10", "a" + "9" * 5000, "a1" + "0" * 5000]
    save_file({f"{name}.weight": torch.eye(2) for name in names[::-1]}, path)
    model = read_model(path)
    assert [layer.name for layer in model.layers] == [
        "a0", "a09", "a10", "9" * 190, "0" * 190]    # names of files, hence short


class Bomb:
    """Code in a pickled file."""

    def __reduce__(self):
        return print, ("code of the file has run",)


STATE = "must be a state dict of tensors, as torch.save(module.state_dict(), path) writes"


@pytest.mark.parametrize("content, message", [
    (MODULE, f"{STATE}, without objects that are code when they are loaded, such as torch.nn."
             "modules.activation.ReLU, torch.nn.modules.container.Sequential, torch.nn.modules."
             "linear.Linear: save only the state dict, where the file is trusted"),
    ({"a.weight": Bomb()}, f"{STATE}, without objects that are code when they are loaded, such as "
     "builtins.print: save only the state dict, where the file is trusted"),
    (torch.ones(3), f"{STATE}, not Tensor"),
])
def test_no_code_of_a_file_is_run(tmp_path, capsys, content, message):
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(FrontEndError, match=f"{re.escape(f'm.pt: {message}')}$"):
        read_model(tmp_path / "m.pt")
    assert capsys.readouterr().out == ""


def export_program(path):
    """Write an ExportedProgram."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # deprecations within torch
        torch.export.save(torch.export.export(MODULE, (torch.ones(1, 6),)), path)


def script(path):
    """Write TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # torch.jit is deprecated
        torch.jit.save(torch.jit.trace(MODULE, (torch.ones(1, 6),)), str(path))


def save_npz(path):
    """Write an archive of NumPy."""
    with path.open("wb") as file:
        np.savez(file, a=np.ones(3))


@pytest.mark.parametrize("save, message", [
    (lambda path: torch.save(MODULE.state_dict(), path, _use_new_zipfile_serialization=False),
     f"{STATE} since PyTorch 1.6, not a plain pickle: torch.save(torch.load(path, "
     "weights_only=True), path) converts a file of an earlier version"),
    (lambda path: path.write_bytes(pickle.dumps(Bomb())), f"{STATE} since PyTorch 1.6, not a "),
    (script, f"{STATE}, not TorchScript: torch.save(torch.jit.load(path).state_dict(), path) "
             "writes the state dict"),
    (export_program, f"{STATE}, not an ExportedProgram: name it .pt2"),
    (save_npz, f"{STATE}, not an .npz archive of NumPy: name it so"),
])
def test_other_files_of_pytorch_are_refused_with_the_remedy(tmp_path, capsys, save, message):
    path = tmp_path / "m.pt"
    save(path.with_suffix(".pt2"))    # as torch.export demands
    path.with_suffix(".pt2").rename(path)
    with pytest.raises(FrontEndError, match=f"^{re.escape(f'{path}: {message}')}"):
        read_model(path)
    assert capsys.readouterr().out == ""


def test_broken_files_are_refused(tmp_path):
    pt, tensors = tmp_path / "m.pt", tmp_path / "m.safetensors"
    torch.save(MODULE.state_dict(), pt)
    save_file(MODULE.state_dict(), tensors)
    for path, message in ((pt, "must be a state dict of tensors"),
                          (tensors, "must be an intact safetensors file: ")):
        for content in (b"", b"nonsense", path.read_bytes()[:-20]):
            path.write_bytes(content)
            with pytest.raises(FrontEndError, match=f"^{re.escape(f'{path}: {message}')}"):
                read_model(path)
        with pytest.raises(FileNotFoundError):
            read_model(path.with_name(f"none{path.suffix}"))


def test_a_folder_is_named_as_one(tmp_path):
    for name in ("m.pt", "m.safetensors"):
        (tmp_path / name).mkdir()
        with pytest.raises(FrontEndError, match=f"{name}: model must be a file, not a folder: "
                                                "`eie run` takes a build$"):
            read_model(tmp_path / name)


@pytest.mark.parametrize("compression, copies", [(zipfile.ZIP_DEFLATED, 1),
                                                 (zipfile.ZIP_STORED, 9)])
def test_a_file_that_expands_beyond_its_bytes_is_refused(tmp_path, compression, copies):
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("m/data.pkl", b"\0" * 1000)
        archive.filelist *= copies    # overlapping parts
    with pytest.raises(FrontEndError, match=r"m\.pt: must not be deflated nor have overlapping "
                                            r"parts, unlike files of torch\.save$"):
        read_model(path)
