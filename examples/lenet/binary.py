"""LeNet-300-100 with binary weights and activations on MNIST, beside shared and pruned weights.

Each network is trained from the same one in floating point, except that with binary activations,
which is trained from random weights; compressed without any further change of its weights; and run.
All layers are binary, the first and the last too; inputs are pixels. Writes checkpoints, networks,
`binary.json` and `binary.md` to a folder. An interrupted run continues from the checkpoints.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eie_bench.seeds import last_records, run_training
from eie_compiler.compression.decompress import decompress
from eie_compiler.compression.graph import compress_graph
from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.files.graph_file import write_graph
from eie_compiler.files.json_file import write_json
from eie_compiler.frontends import read_chain
from eie_compiler.frontends.graph_builder import GraphBuilder
from eie_compiler.graph.chain import from_chain
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph
from eie_compiler.graph.layers import find_layers
from eie_compiler.graph.operations import Affine, Sign
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.model import Model
from eie_compiler.training.changes import Binarise
from eie_compiler.training.data import Data, read_data
from eie_compiler.training.loop import Stage, train
from eie_compiler.training.module import Module
from eie_compiler.training.recipes import binary_stage
from eie_compiler.training.retrain import compress_with_retraining
from eie_compiler.training.straight_through import sign
from eie_compiler.training.torch_module import TorchModule
from eie_hdl.config import EIEConfig
from eie_sim.graph_inference import infer_graph

SIZES = (784, 300, 100, 10)
BATCH = 128

#: Options of the network in floating point are those of lenet.py.
DENSE = {"layers": "300,100", "epochs": 25, "rate": 2e-3, "decay": 0.3, "dropout": 0.2,
         "validation": 1 / 12}
SHARED = {"epochs": 4, "rate": 2e-3, "decay": 0.3, "dropout": 0.2}
PRUNED = {**SHARED, "density": (0.07, 0.09, 0.35), "steps": 4}
BINARY = {"epochs": 12, "rate": 2e-3, "dropout": 0.2}
XNOR = {"epochs": 15, "rate": 5e-3}

#: Networks with binary weights -> most scales of a layer, bits of a code that hold them.
SCALES = {"BWN, 1 scale a layer": (1, 2), "BWN, 7 scales a layer": (7, 4),
          "BWN, 127 scales a layer": (127, 8)}

#: One machine that holds all weights of a network without zeros.
CONFIG = EIEConfig(spmat_depth=4096)

#: Training images for the calibration of the formats.
N_CALIBRATION = 1000


class BinaryActivation(nn.Module):
    """Sign with a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return sign(x)


def train_xnor(data: Data, folder: Path, seed: int) -> tuple[Graph, list[dict[str, Any]]]:
    """Train binary weights and activations; return the model and the records."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for n_cols, n_rows in zip(SIZES, SIZES[1:-1]):
        parts += [nn.Linear(n_cols, n_rows, bias=False), nn.BatchNorm1d(n_rows),
                  BinaryActivation()]
    network = nn.Sequential(*parts, nn.Linear(*SIZES[-2:]))
    module = TorchModule(network, SIZES[:1])
    records = train(module, data, [Stage("binary", **XNOR, change=Binarise(1))],
                    checkpoint=folder / "xnor.npz", **_common(seed))
    module.release()
    return _to_graph(network), records


@torch.no_grad()
def _to_graph(network: nn.Sequential) -> Graph:
    """Convert layers, normalisations and signs; the layers absorb the normalisations."""
    builder = GraphBuilder({"input": SIZES[:1]})
    name = "input"
    for number, part in enumerate(network):
        if isinstance(part, nn.Linear):
            bias = torch.zeros(part.out_features) if part.bias is None else part.bias
            name = builder.add_layer(f"fc{number}", part.weight.double().numpy(),
                                     bias.double().numpy(), name)
        elif isinstance(part, nn.BatchNorm1d):
            scale = part.weight / (part.running_var + part.eps).sqrt()
            shift = part.bias - part.running_mean * scale
            name = builder.add(f"norm{number}", Affine(scale.double().numpy(),
                                                       shift.double().numpy()), name)
        else:
            name = builder.add(f"sign{number}", Sign(), name)
    return builder.graph([name])


def train_all(dense: Model, data: Data, folder: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Train all networks; return their models, widths of codes and records by name."""
    made: dict[str, dict[str, Any]] = {}
    for name, options in (("shared, 4 bits", SHARED), ("pruned, 4 bits", PRUNED)):
        print(f"{name}:", flush=True)
        found = compress_with_retraining(dense, data, **options, **_common(seed),
                                         checkpoint=folder / f"{name.split(',')[0]}.npz")
        made[name] = {"model": from_chain(decompress(found.network)), "v_width": 4,
                      "records": found.records}
    for name, (n_scales, v_width) in SCALES.items():
        print(f"{name}:", flush=True)
        module = Module.from_model(dense)
        records = train(module, data, [binary_stage(n_scales=n_scales, **BINARY)],
                        checkpoint=folder / f"bwn-{n_scales}.npz", **_common(seed))
        made[name] = {"model": from_chain(module.to_model()), "v_width": v_width,
                      "records": records}
    print("XNOR:", flush=True)
    model, records = train_xnor(data, folder, seed)
    made["XNOR"] = {"model": model, "v_width": 2, "records": records}
    return made


def _common(seed: int) -> dict[str, Any]:
    return {"seed": seed, "batch": BATCH, "resume": True, "on_epoch": _report}


def _report(record: dict[str, Any]) -> None:
    print(f"  {record['stage']} {record['epoch']}/{record['epochs']}: validation error "
          f"{record['validation']:.2%}, {record['seconds']:.0f} s", flush=True)


def measure(name: str, made: dict[str, Any], data: Data, path: Path, n_verilog: int
            ) -> dict[str, Any]:
    """Compress a network to a file, and run it; test images are in a random order."""
    order = np.random.default_rng(28).permutation(len(data.test))
    images, labels = data.test.inputs[order], data.test.targets[order]
    model, v_width = made["model"], made["v_width"]
    network = compress_graph(model, {"input": data.train.inputs[:N_CALIBRATION]}, v_width=v_width)
    write_graph(path, network)
    (output,), stored = model.outputs, _matrices(decompress_graph(network))
    weights = _matrices(model)
    scores = evaluate_real(model, {"input": images.astype(np.float64)})[output]
    build = compile_graph(network, EIEConfig.from_mapping(
        {**CONFIG.as_dict(), "v_width": v_width}))
    n_entries = sum(program.report["total"]["entries"] for program in build.programs.values())
    golden = infer_graph(build, images, engine="golden")
    run = infer_graph(build, images[:n_verilog], engine="verilator", machines=1)

    def error(scores: NDArray[Any]) -> float:
        return float((scores.argmax(axis=1) != labels[:len(scores)]).mean())

    return {"network": name, "v_width": v_width, "stages": last_records(made["records"]),
            "values": [len(np.unique(weight[weight != 0])) for weight in weights],
            "scales": [len(np.unique(np.abs(weight[weight != 0]))) for weight in weights],
            "weights": sum(int(np.count_nonzero(weight)) for weight in weights),
            "exact": all(map(np.array_equal, weights, stored)),
            "bytes": path.stat().st_size,
            "memory": n_entries * (v_width + CONFIG.z_width) // 8, "error_float": error(scores),
            "error_golden": error(golden.outputs[output]), "saturated": golden.total["saturated"],
            "verilog": {"pes": build.config.n_pe, "images": run.batch, "ok": run.ok,
                        "compared": run.compared, "differences": run.differences,
                        "cycles": run.total["cycles"] / run.batch,
                        "net_cycles": run.total["net_cycles"] / run.batch}}


def _matrices(graph: Graph) -> list[NDArray[np.float64]]:
    return [layer.weight if isinstance(layer.weight, np.ndarray) else layer.weight.toarray()
            for model in find_layers(graph, Model).values() for layer in model.layers]


def table(dense: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Format results in Markdown."""
    lines = ["| network | bits of a code | scales of fc1, fc2, fc3 | weights | file, bytes | "
             "entries in the PEs, bytes | error, floating point | golden model, all digits | "
             "cycles per digit | Verilog |", "|---" * 10 + "|",
             f"| floating point | | | {dense['weights']:,} | {dense['bytes']:,} | | "
             f"{dense['error_float']:.2%} | | | |"]
    for row in rows:
        run = row["verilog"]
        is_binary = row["stages"][-1]["stage"] == "binary"
        scales = ", ".join(map(str, row["scales"])) if is_binary else ""
        lines.append(
            f"| {row['network']} | {row['v_width']} | {scales} | {row['weights']:,} | "
            f"{row['bytes']:,} | {row['memory']:,} | {row['error_float']:.2%} | "
            f"{row['error_golden']:.2%} | {run['cycles']:,.0f} | {run['images']} digits, "
            f"{run['compared']:,} numbers, {run['differences']} differ |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Make and run all networks; exit code 1 if the Verilog differs or weights have changed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnist", type=Path, help="MNIST as .npz; mnist.py makes it")
    parser.add_argument("--images", type=int, default=20, help="test images for the Verilog")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/binary"))
    arguments = parser.parse_args()
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    data = read_data(arguments.mnist, validation=DENSE["validation"], seed=arguments.seed)
    if not (folder / "dense.npz").exists():
        run_training(arguments.mnist, folder / "dense", {**DENSE, "seed": arguments.seed})
    model = read_chain(folder / "dense.npz")
    scores = model(data.test.inputs.astype(np.float64))
    dense = {"weights": sum(layer.weight.size for layer in model.layers),
             "bytes": 4 * sum(layer.weight.size + layer.bias.size for layer in model.layers),
             "error_float": float((scores.argmax(axis=1) != data.test.targets).mean())}
    made = train_all(model, data, folder, arguments.seed)
    rows = []
    for number, (name, found) in enumerate(made.items()):
        print(f"{name}: golden model and Verilog", flush=True)
        rows.append(measure(name, found, data, folder / f"network-{number}.npz",
                            arguments.images))
    write_json(folder / "binary.json", {
        "seed": arguments.seed, "config": CONFIG.as_dict(),
        "options": {"dense": DENSE, "shared": SHARED, "pruned": PRUNED, "binary": BINARY,
                    "xnor": XNOR}, "dense": dense, "networks": rows})
    text = table(dense, rows)
    (folder / "binary.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    return not all(row["exact"] and row["verilog"]["ok"] for row in rows)


if __name__ == "__main__":
    sys.exit(main())
