"""Damaged files of every kind, given to the commands: each ends in a message, in time and memory.

`make fuzz` runs 2,500 cases of each kind and prints what was found; without it only a few run.
"""

import functools
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.sparse import csr_array, save_npz

from eie_cli.main import main
from eie_compiler.files.graph_file import write_graph
from eie_compiler.files.manifest_folder import manifest_checksum
from eie_compiler.files.network_file import read_network
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import AveragePool, Reshape
from eie_hdl.config import PRESETS
from support import mutations
from support.graphs import recurrent_network, residual_network

#: Limits of a case: processor time in seconds, and bytes beyond those of the process before.
SECONDS, BYTES = 10, 1 << 30

#: Exit codes of the commands: done, results differ, error, bad accuracy.
EXIT_CODES = (0, 1, 2, 3)


def weights(seed=0):
    rng = np.random.default_rng(seed)
    return {"fc1.weight": rng.normal(size=(6, 5)).astype(np.float32),
            "fc1.bias": rng.normal(size=6).astype(np.float32),
            "fc2.weight": rng.normal(size=(3, 6)).astype(np.float32)}


def onnx_model(path):
    onnx = pytest.importorskip("onnx")
    arrays, helper = weights(), onnx.helper
    nodes = [helper.make_node("Gemm", ["x", "fc1.weight", "fc1.bias"], ["h"], transB=1),
             helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("MatMul", ["r", "w"], ["y"])]
    arrays["w"] = np.ascontiguousarray(arrays.pop("fc2.weight").T)
    value = functools.partial(helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT)
    graph = helper.make_graph(nodes, "g", [value("x", shape=[None, 5])],
                              [value("y", shape=[None, 3])],
                              [onnx.numpy_helper.from_array(array, name)
                               for name, array in arrays.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def change_onnx(rng, content):
    """Change a field of a message, or bytes."""
    import onnx

    if rng.random() < 0.4:
        return mutations.change_bytes(rng, content)
    message = model = onnx.ModelProto.FromString(content)
    while True:
        field, value = rng.choice(message.ListFields())
        if hasattr(value, "append") or hasattr(value, "add"):    # repeated
            at = rng.randrange(len(value))
            if field.type != field.TYPE_MESSAGE:
                value[at] = _other(rng, field, value[at])
                break
            if rng.random() < 0.1:
                del value[at]
                break
            if rng.random() < 0.1:
                value.add().CopyFrom(value[at])
                break
            message = value[at]
        elif field.type == field.TYPE_MESSAGE:
            message = value
        else:
            if rng.random() < 0.1:
                message.ClearField(field.name)
            else:
                setattr(message, field.name, _other(rng, field, value))
            break
        if not message.ListFields():
            break
    return model.SerializeToString()


def _other(rng, field, value):
    """Another value of a scalar field of a message."""
    if field.type == field.TYPE_STRING:
        return rng.choice(["", "x", "y", "fc1.weight", "a" * 300, "Conv", "Add", "ai.onnx.ml"])
    if field.type == field.TYPE_BYTES:
        return mutations.change_bytes(rng, value)
    if field.type == field.TYPE_FLOAT:
        return rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e30])
    if field.type == field.TYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    small = field.type in (field.TYPE_INT32, field.TYPE_UINT32)
    return rng.choice([number for number in mutations.NUMBERS
                       if not small or number < 1 << 31])


def tflite_model(path):
    pytest.importorskip("tflite")
    pytest.importorskip("ai_edge_litert")
    from support.tflite_models import Network

    network = Network(1, 6, 5, 2)
    x = network.pool(network.conv(0, 3, activation="RELU6"), "MAX")
    network.dense(network.reshape(x, 1, 18), 4)
    samples = np.random.default_rng(0).normal(size=(4, 6, 5, 2)).astype(np.float32)
    path.write_bytes(network.integers(samples))
    np.save(path.with_name("samples.npy"), samples.transpose(0, 3, 1, 2))


def safetensors(path):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file(weights(), path)


def change_safetensors(rng, content):
    length = int.from_bytes(content[:8], "little")
    if rng.random() < 0.3:
        return mutations.change_bytes(rng, content)
    header = mutations.encode(mutations.change_json(rng, json.loads(content[8:8 + length])))
    return len(header).to_bytes(8, "little") + header + content[8 + length:]


def state_dict(path):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.tensor(array) for name, array in weights().items()}, path)


def change_state_dict(rng, content):
    change = mutations.change_members if rng.random() < 0.7 else mutations.change_bytes
    return change(rng, content)


def change_npz(rng, content):
    if rng.random() < 0.2:
        return mutations.change_bytes(rng, content)
    return mutations.change_arrays(rng, _arrays(content))


def _arrays(content):
    with np.load(mutations.io.BytesIO(content)) as file:
        return dict(file)


def change_network(rng, content):
    if rng.random() < 0.4:
        return change_npz(rng, content)
    arrays = _arrays(content)
    header = mutations.change_json(rng, json.loads(arrays["header"].tobytes()))
    arrays["header"] = np.frombuffer(mutations.encode(header), np.uint8)
    return mutations.pack(rng, [(f"{name}.npy", mutations.npy(array))
                                for name, array in arrays.items()])


def pool_and_scan(path):
    network = recurrent_network(PRESETS["tiny"])
    nodes = (Node("pool", AveragePool((2, 2), (2, 2), (1, 0, 1, 0)), ("image",)),
             Node("x", Reshape((3, 3)), ("pool",)))
    write_graph(path, Graph({"image": (1, 4, 6)}, (*nodes, *network.nodes), network.outputs,
                            {"image": 4, "pool": 4, **network.fracs}))


def change_npy(rng, content):
    if rng.random() < 0.3:
        return mutations.change_bytes(rng, content)
    return mutations.npy(mutations.change_array(rng, np.load(mutations.io.BytesIO(content))), rng)


def stream(path):
    rng = np.random.default_rng(3)
    codebook = np.concatenate([[0], rng.normal(size=15)]).astype("<f4")
    content = np.array([4, 5], "<u4").tobytes()
    for n_rows, count in ((6, 4), (3, 5)):
        content += codebook.tobytes() + rng.normal(size=n_rows).astype("<f4").tobytes()
        for numbers in (rng.integers(1, 16, count), rng.integers(0, 2, count)):
            numbers = np.pad(numbers, (0, count % 2))
            content += (numbers[::2] | numbers[1::2] << 4).astype(np.uint8).tobytes()
    path.write_bytes(content)


def change_toml(rng, content):
    text = content.decode()
    for _ in range(rng.choice([1, 1, 2])):
        text = mutations.change_text(rng, text)
    return mutations.change_bytes(rng, content) if rng.random() < 0.2 else text.encode()


def change_build(rng, folder):
    """Change the manifest, an image, or the vectors or network of a build, and recompute its
    checksums.
    """
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    kind = rng.random()
    if kind < 0.4:
        archives = {"vectors.npz": change_npz, "network.npz": change_network}
        name = rng.choice(sorted(set(archives) & set(manifest["files"]) if kind < 0.25
                                 else manifest["files"]))
        content = archives.get(name, _change_hex)(rng, (folder / name).read_bytes())
        (folder / name).write_bytes(content)
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
    else:
        manifest = mutations.change_json(rng, manifest)
    if isinstance(manifest, dict) and rng.random() < 0.95:
        try:
            manifest["checksum"] = manifest_checksum(manifest)
        except (TypeError, ValueError, RecursionError):
            pass
    path.write_bytes(mutations.encode(manifest))


def _change_hex(rng, content):
    if rng.random() < 0.3:
        return mutations.change_bytes(rng, content)
    changed = bytearray(content)
    for _ in range(rng.choice([1, 3])):
        at = rng.randrange(max(len(changed), 1))
        if at < len(changed) and changed[at:at + 1] != b"\n":
            changed[at:at + 1] = rng.choice(b"0123456789abcdef").to_bytes(1, "little")
    return bytes(changed)


COMPRESS = ["compress", "{}", "-o", "out/network.npz"]
TRAIN = ["train", "{}", "--layers", "4", "--epochs", "1", "-o", "out/model.npz"]
RUN = ["run", "build", "--input", "inputs.npy", "-o", "out/run"]

#: Kind of file -> its name, how it is made if it is not one of `originals`, how it is changed, and
#: the commands that read it.
KINDS = {
    "ONNX": ("model.onnx", onnx_model, change_onnx, [COMPRESS]),
    "TensorFlow Lite": ("model.tflite", tflite_model, mutations.change_bytes,
                        [[*COMPRESS, "--calibrate", "samples.npy"]]),
    "state dict": ("model.pt", state_dict, change_state_dict, [COMPRESS]),
    "safetensors": ("model.safetensors", safetensors, change_safetensors, [COMPRESS]),
    "model .npz": ("model.npz", None, change_npz, [COMPRESS]),
    "SciPy .npz": ("sparse.npz", lambda path: save_npz(
        path, csr_array(weights()["fc1.weight"] * (weights()["fc1.weight"] > 0))), change_npz,
        [COMPRESS]),
    "Deep Compression stream": ("model.dc", None, mutations.change_bytes,
                                [[*COMPRESS, "--shapes", "shapes.toml"]]),
    "shapes of a stream": ("shapes.toml", None, change_toml,
                           [["compress", "model.dc", "--shapes", "{}", "-o", "out/network.npz"]]),
    "network": ("network.npz", None, change_network,
                [["compile", "{}", "--pes", "2", "-o", "out/build"], ["info", "{}"]]),
    "network of a graph": ("graph.npz", None, change_network,
                           [["compile", "{}", "--preset", "tiny", "-o", "out/build"],
                            ["info", "{}"]]),
    "network of a pool and a scan": ("scan.npz", pool_and_scan, change_network,
                                     [["compile", "{}", "--preset", "tiny", "-o", "out/build"],
                                      ["info", "{}"]]),
    "configuration": ("machine.toml", None, change_toml,
                      [["compile", "network.npz", "--config", "{}", "-o", "out/build"]]),
    "inputs": ("inputs.npy", None, change_npy, [RUN]),
    "calibration inputs": ("calibration.npy", None, change_npy,
                           [["compress", "model.npz", "--calibrate", "{}", "-o", "out/net.npz"]]),
    "labels": ("labels.npy", None, change_npy, [[*RUN, "--labels", "{}"]]),
    "training data": ("data.npz", None, change_npz, [TRAIN]),
    "resealed build": ("build", None, change_build, [["info", "{}"], RUN]),
    "resealed build of a graph": ("graph", None, change_build, [
        ["info", "{}"], ["run", "{}", "--input", "images.npy", "-o", "out/run"]]),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Folder of intact files."""
    folder, rng = tmp_path_factory.mktemp("originals"), np.random.default_rng(1)
    np.savez(folder / "model.npz", **weights())
    stream(folder / "model.dc")
    write_graph(folder / "graph.npz", residual_network(PRESETS["tiny"]))
    np.save(folder / "images.npy", rng.normal(size=(1, 2, 6, 6)))
    np.save(folder / "inputs.npy", rng.normal(size=(4, 5)).astype(np.float32))
    np.save(folder / "calibration.npy", rng.normal(size=(9, 5)).astype(np.float32))
    np.save(folder / "labels.npy", rng.integers(0, 3, 4))
    np.savez(folder / "data.npz", train_inputs=rng.normal(size=(30, 5)).astype(np.float32),
             train_labels=rng.integers(0, 3, 30), test_inputs=rng.normal(size=(6, 5)),
             test_labels=rng.integers(0, 3, 6))
    (folder / "shapes.toml").write_text("fc1.shape = [6, 5]\n[fc2]\nshape = [3, 6]\n",
                                        encoding="utf-8")
    (folder / "machine.toml").write_text('preset = "default"\nn_pe = 2\nact_depth = 128\n'
                                         "readback = true\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in ([*COMPRESS[:1], "model.npz", "-o", "network.npz"],
                        ["compile", "network.npz", "--pes", "2", "-o", "build"],
                        ["compile", "graph.npz", "--preset", "tiny", "-o", "graph"]):
            assert CliRunner().invoke(main, command).exit_code == 0
    assert read_network(folder / "network.npz").layers
    return folder


class Timeout(BaseException):
    """The processor time of a case is used up."""


def stop(*_):
    raise Timeout


def run_case(kind, originals, folder, seed):
    """Run one case in an empty folder; return what is wrong, or the last exit code.

    Without a seed, the file is intact.
    """
    name, _, change, commands = KINDS[kind]
    rng = random.Random(f"{kind} {seed}")
    work = folder / "work"
    shutil.copytree(originals, work)
    if seed is None:
        pass
    elif (work / name).is_dir():
        change(rng, work / name)
    else:
        (work / name).write_bytes(change(rng, (work / name).read_bytes()))
    os.chdir(work)
    before = _listing(folder)
    for command in commands:
        arguments = [part.replace("{}", name) for part in command]
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            result = CliRunner().invoke(main, arguments)
        except Timeout:
            return "hang", f"{' '.join(arguments)} took {SECONDS} s"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        error = result.exception
        if error is not None and not isinstance(error, SystemExit):
            text = "".join(traceback.format_exception(error)[-6:])
            return "memory" if isinstance(error, MemoryError) else "traceback", text
        if result.exit_code not in EXIT_CODES or "Traceback" in result.output:
            return "traceback", f"exit code {result.exit_code}: {result.output}"
    if _listing(folder) != before:
        return "escape", str(_listing(folder) ^ before)
    return "", result.exit_code


def _listing(folder):
    """Files of a folder but those of the output."""
    return {path for path in folder.rglob("*") if path.relative_to(folder).parts[:2]
            != ("work", "out")}


def run_cases(kind, originals, folder, seeds, report):
    """Run cases with a limit of memory; write a line for each, for a process that may die."""
    signal.signal(signal.SIGPROF, stop)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    used = 1024 * int(status.partition("VmData:")[2].split()[0])
    resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, -1))
    with report.open("a", encoding="utf-8") as file:
        for seed in seeds:
            print(f"{seed}\t", end="", file=file, flush=True)
            found = run_case(kind, originals, folder, seed)
            print(found[0], json.dumps(found[1]), sep="\t", file=file, flush=True)
            os.chdir("/")
            shutil.rmtree(folder / "work")


@pytest.mark.parametrize("kind", KINDS)
def test_intact_files_are_read(kind, originals, tmp_path):
    name, make = KINDS[kind][:2]
    if make:
        make(originals / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert run_case(kind, originals, tmp_path / "cases", None) in (("", 0), ("", 3))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_in_a_message(kind, originals, tmp_path, request):
    count, seed = request.config.getoption("fuzz"), request.config.getoption("seed")
    name, make = KINDS[kind][:2]
    if make:
        make(originals / name)    # skips the kind if its package is missing
    report = tmp_path / "report"
    seeds = range(1_000_000 * seed, 1_000_000 * seed + count)
    lines = []
    while len(lines) < count:
        child = os.fork()
        if not child:
            code = 1
            try:
                run_cases(kind, originals, tmp_path / "cases", seeds[len(lines):], report)
                code = 0
            except BaseException:    # of this test, not of a command
                traceback.print_exc()
            finally:
                os._exit(code)
        _, code = os.waitpid(child, 0)
        text = report.read_text(encoding="utf-8")
        if not text.endswith("\n"):    # the process died in this case
            text += f"traceback\t{json.dumps(f'process ended: {code}')}\n"
            report.write_text(text, encoding="utf-8")
        lines = text.splitlines()
        shutil.rmtree(tmp_path / "cases", ignore_errors=True)
    found = [line.split("\t") for line in lines]
    counts = Counter(what for _, what, _ in found if what)
    n_read = sum(text in ("0", "3") for _, _, text in found)
    print(f"{kind}: {len(found)} cases from seed {seeds.start}, {n_read} read, "
          + ", ".join(f"{counts[what]} {what}" for what in ("traceback", "hang", "memory",
                                                           "escape")))
    assert not counts, "\n".join(f"case {case}: {what}: {json.loads(text)}"
                                 for case, what, text in found if what)[:20_000]
