"""`eie_compiler.frontends.pytorch_program`: files of torch.export.save, of which no code is run."""

import io
import json
import pickle
import re
import warnings
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402

from eie_compiler.frontends import (  # noqa: E402
    FrontEndError,
    FrontEndWarning,
    pytorch_program,
    pytorch_work,
    read_model,
)
from eie_compiler.graph.evaluation import evaluate_real  # noqa: E402

MODEL, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, padding=1)
        self.rnn = nn.LSTM(6, 5, batch_first=True)
        self.fc = nn.Linear(5, 3)

    def forward(self, x):
        y = torch.relu(self.conv(x))
        return self.fc(self.rnn(y.transpose(1, 2))[0].reshape(x.shape[0] * 8, 5))


class Bomb:
    def __reduce__(self):
        return print, ("the pickle ran",)


@pytest.fixture(scope="module")
def exported():
    """Module, and the members of its archive by name."""
    torch.manual_seed(0)
    module, file = Network().eval(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # deprecations within torch
        program = torch.export.export(module, (torch.randn(2, 4, 8),),
                                      dynamic_shapes=({0: torch.export.Dim("batch", max=64)},))
        torch.export.save(program, file)
    with zipfile.ZipFile(file) as archive:
        return module, {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def write(tmp_path, exported):
    """Write the archive with other members."""
    def write(**changes):
        path = tmp_path / "model.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            members = {name.partition("/")[2]: content for name, content in exported[1].items()}
            for name, content in (members | changes).items():
                archive.writestr(f"model/{name}", content)
        return path
    return write


def changed(exported, member, change):
    """Change the JSON of a member."""
    content = next(value for name, value in exported[1].items() if name.endswith(member))
    given = json.loads(content)
    change(given)
    return {member: json.dumps(given)}


def graph_of(program):
    return program["graph_module"]["graph"]


def test_a_program_computes_what_its_module_does(exported, write, capsys):
    module, _ = exported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        # Neither pickles of sample inputs nor guards are read.
        guards = changed(exported, MODEL, lambda program: program.update(
            guards_code=["print('the guard ran')"]))
        graph = read_model(write(**{"data/sample_inputs/model.pt": pickle.dumps(Bomb())}, **guards))
    assert capsys.readouterr() == ("", "")
    x = np.random.default_rng(1).normal(size=(3, 4, 8))
    assert graph.inputs == {"x": (4, 8)}
    assert {"conv", "rnn.lstm"} <= {node.name for node in graph.nodes}
    expected = module(torch.from_numpy(x).float()).detach().numpy()
    found = evaluate_real(graph, {"x": x})[graph.outputs[0]]
    np.testing.assert_allclose(found.reshape(-1, 3), expected, atol=1e-5)


def set_target(target):
    return lambda program: graph_of(program)["nodes"][0].update(target=target)


def set_size(text):
    def change(program):
        def visit(value):
            if isinstance(value, dict):
                if "expr_str" in value:
                    value["expr_str"] = text
                for part in value.values():
                    visit(part)
            elif isinstance(value, list):
                for part in value:
                    visit(part)
        visit(program)
    return change


def rename(program):
    graph_of(program)["nodes"][-1]["outputs"][0]["as_tensor"]["name"] = "x=print('ran')"


def nest(program):
    graph_of(program)["nodes"][0]["inputs"][0]["arg"] = {"as_graph": {"name": "g", "graph": {}}}


def set_weight(**fields):
    return lambda config: config["config"]["fc.weight"].update(fields)


def set_meta(**fields):
    return lambda config: config["config"]["fc.weight"]["tensor_meta"].update(fields)


@pytest.mark.parametrize("member, change, message", [
    *((MODEL, set_target(target), f"operations must be those of torch.ops.aten, not '{target}': ")
      for target in ("torch.hub.load", "torch.ops.aten.from_file.default", "torch.load",
                     "torch.ops.aten.save.default", "torch.ops.aten.manual_seed.default",
                     "torch.ops.load_library", "_operator.attrgetter", "math.exp",
                     "torch.ops.aten.relu.default.__class__", "torch.ops.aten.relu.__class__",
                     "torch.ops.aten.relu.overloads", "torch.ops.aten.name.format",
                     "#custom:x", "print")),
    *((MODEL, set_size(text), f"sizes must be sums, products and quotients of sizes, not {text!r}")
      for text in ("__import__('os').getcwd()", "9**9**9", "s0.__class__", "print('ran')",
                   "Symbol('s0; print(1)')", "Pow(Integer(9), Integer(99))", "1" * 40)),
    (MODEL, rename, "names of tensors must be identifiers, not \"x=print('ran')\""),
    (MODEL, nest, "fields must be of numbers, tensors and sizes, not 'as_graph'"),
    (WEIGHTS, set_weight(use_pickle=True),
     "weights fc.weight: must be plain bytes, not a pickle, which can run code: save dense "
     "tensors"),
    (WEIGHTS, set_meta(sizes=[{"as_int": 4}, {"as_int": 5}]),
     "weights fc.weight: must have its 20 numbers within the 15 that are stored"),
    (WEIGHTS, set_meta(sizes=[{"as_int": 1 << 20}, {"as_int": 1 << 20}],
                       strides=[{"as_int": 0}, {"as_int": 0}]),
     "weights fc.weight: numbers used repeatedly must be at most "),
    (WEIGHTS, set_meta(dtype=10), "weights fc.weight: must be a tensor of plain numbers, not "
                                  "torch.complex64 of shape [3, 5]"),
    (WEIGHTS, set_weight(path_name="../../x"), "must be an intact archive of torch.export.save: "),
    (MODEL, lambda program: program.pop("graph_module"),
     "must be an intact archive of torch.export.save: KeyError('graph_module'); save it with "),
    (MODEL, lambda program: graph_of(program)["nodes"].pop(0),
     "must be a consistent program: ")])
def test_no_code_of_a_file_is_run(exported, write, capsys, member, change, message):
    path = write(**changed(exported, member, change))
    with pytest.raises(FrontEndError, match=f"^{re.escape(f'{path}: {message}')}"):
        read_model(path)
    assert capsys.readouterr() == ("", "")


def list_parts(operation, size, *arguments):
    """Add zeros of a size, and an operation that returns parts, of which two are declared."""
    def change(program):
        graph = graph_of(program)
        tensors = graph["tensor_values"]
        meta = next(iter(tensors.values()))
        tensors |= {name: meta | {"sizes": sizes, "strides": [{"as_int": 1}] * len(sizes)}
                    for name, sizes in (("big", [{"as_int": size}]), ("a", []), ("b", []))}
        graph["nodes"][:0] = [
            graph["nodes"][-1] | {"name": name, "target": f"torch.ops.aten.{target}", "inputs": [
                {"name": name, "arg": value, "kind": 1} for name, value in inputs],
                "outputs": outputs, "metadata": {}}
            for name, target, inputs, outputs in (
                ("big", "full.default", [("size", {"as_ints": [size]}),
                                         ("fill_value", {"as_int": 0})],
                 [{"as_tensor": {"name": "big"}}]),
                ("parts", operation, [("self", {"as_tensor": {"name": "big"}}), *arguments],
                 [{"as_tensors": [{"name": "a"}, {"name": "b"}]}]))]
    return change


@pytest.mark.parametrize("operation, size, n, arguments", [
    ("unbind.int", 1 << 40, 1 << 40, []),
    ("split.Tensor", 9000, 3000, [("split_size", {"as_int": 3})]),
    ("chunk.default", 9000, 9000, [("chunks", {"as_int": 9000})])])
def test_a_small_file_cannot_ask_for_much_work(exported, write, operation, size, n, arguments):
    path = write(**changed(exported, MODEL, list_parts(operation, size, *arguments)))
    with pytest.raises(FrontEndError, match=f"program must have at most 1024 tensors in lists, "
                                            f"not {n} or more, at aten[.a-zA-Z]*$"):
        read_model(path)


@pytest.mark.parametrize("limit, message", [
    ("_MAX_OPERATIONS", "program must have at most 4 operations, not 5 or more, at aten"),
    ("_MAX_STEPS", "recurrent layers must have at most 4 steps in all, not 8 or more$")])
def test_operations_and_steps_are_limited(write, monkeypatch, limit, message):
    monkeypatch.setattr(pytorch_work, limit, 4)
    with pytest.raises(FrontEndError, match=message):
        read_model(write())


def test_an_equation_is_passed_on(exported, write, monkeypatch):
    def change(program):
        graph = graph_of(program)
        node = graph["nodes"][-1]
        weight, x = (each["arg"]["as_tensor"] for each in (node["inputs"][1], node["inputs"][0]))
        node.update(target="torch.ops.aten.einsum.default", inputs=[
            {"name": "equation", "arg": {"as_string": "bi,oi->bo"}, "kind": 1},
            {"name": "tensors", "arg": {"as_tensors": [x, weight]}, "kind": 1}])
    monkeypatch.setattr(pytorch_program, "from_program", lambda program: program)
    program = read_model(write(**changed(exported, MODEL, change)))
    assert list(program.graph.nodes)[-2].args[0] == "bi,oi->bo"


@pytest.mark.parametrize("name", ["data/aotinductor/model/x.so", "data/constants/custom_obj_0",
                                  "models/other.json"])
def test_members_of_other_kinds_are_refused(write, name):
    message = f"must have only one graph and its weights, not {name}"
    with pytest.raises(FrontEndError, match=message):
        read_model(write(**{name: b"x"}))


@pytest.mark.parametrize("content", [lambda whole: whole[:-100], lambda whole: b"",
                                     lambda whole: pickle.dumps(Bomb())])
def test_damaged_files_are_refused(write, content):
    path = write()
    path.write_bytes(content(path.read_bytes()))
    message = f"{path}: must be an intact archive of torch.export.save, not a damaged or " \
        "incomplete file: File is not a zip file; copy it or save it again"
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}$"):
        read_model(path)


def test_deflated_files_are_refused(tmp_path):
    path = tmp_path / "m.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/models/model.json", b" " * 1000)
    with pytest.raises(FrontEndError, match="must not be deflated nor have overlapping parts"):
        read_model(path)
