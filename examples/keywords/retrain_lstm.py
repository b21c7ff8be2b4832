"""Retrain Basic_LSTM_S, a published network for keyword spotting, at two densities.

Its own training data are not used: the test clips are divided by speaker. Both networks, without
and with retraining, run in the arithmetic of the machine. Writes the data of `eie compress
--retrain`, the networks, `retrain_lstm.json` and `retrain_lstm.md`. An interrupted run continues
from its checkpoints.
"""

import argparse
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_compiler.compression.graph import compress_graph
from eie_compiler.compression.graph_fidelity import measure_graph_fidelity
from eie_compiler.files.graph_file import write_graph
from eie_compiler.files.json_file import write_json
from eie_compiler.files.untrusted_npz import read_arrays
from eie_compiler.frontends import read_model
from eie_compiler.graph.graph import Graph
from eie_compiler.training.data import read_data
from eie_compiler.training.retrain_graph import N_SAMPLES, compress_graph_with_retraining
from eie_hdl.config import EIEConfig

#: Density of the LSTM -> steps of pruning.
STEPS = {0.4: 1, 0.2: 3}

#: Options of training; fixed for both densities.
OPTIONS: dict[str, Any] = {"epochs": 12, "rate": 3e-3, "batch": 32}

V_WIDTH = 4


def is_for_training(clips: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Choose clips to train with, about 7 of 10, all those of a speaker or none.

    Parameters
    ----------
    clips : array of :class:`bytes` (n,)
        Path of each clip, with the speaker before `_nohash`; one without is by itself.
    """
    speakers = [match[1] if (match := re.search(rb"([0-9a-f]{8})_nohash", clip))
                else clip.rpartition(b"/")[2] for clip in clips.tolist()]
    return np.array([zlib.crc32(speaker) % 10 < 7 for speaker in speakers])


def write_data(path: Path, features: Path) -> None:
    """Write the data of `eie compress --retrain` from the features of all clips."""
    arrays = read_arrays(features)
    inputs = (arrays["features"] * arrays["scale"]).astype(np.float32)
    chosen = is_for_training(arrays["clips"])
    np.savez(path, train_inputs=inputs[chosen], train_labels=arrays["labels"][chosen],
             test_inputs=inputs[~chosen], test_labels=arrays["labels"][~chosen])


def density_of(network: Graph) -> float:
    """Share of the weights of all layers that are not zero."""
    layers = [layer for _, node in network.walk()
              for layer in getattr(node.computation, "layers", ())]
    return sum(layer.n_nonzeros for layer in layers) \
        / sum(layer.n_rows * layer.n_cols for layer in layers)


def report(record: dict[str, Any]) -> None:
    """Print an epoch."""
    print(f"{record['stage']}, epoch {record['epoch']}: validation {record['validation']:.2%}, "
          f"{record['seconds']:.1f} s", flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Format accuracies in Markdown, a row for each density."""
    lines = ["| density | floating point | without retraining | retrained |", "|---|---|---|---|"]
    lines += [f"| {row['density']:.1%} | {row['model']:.1%} | {row['compressed']:.1%} | "
              f"{row['retrained']:.1%} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compress the network with and without retraining, and measure all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="keyword spotting, as docs/networks.md describes")
    parser.add_argument("--epochs", type=int, default=OPTIONS["epochs"],
                        help="epochs of a stage; others are for a trial")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/retrain-lstm"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    options = OPTIONS | {"epochs": arguments.epochs}
    write_data(arguments.output / "data.npz", arguments.folder / "features_49x10.npz")
    data = read_data(arguments.output / "data.npz")
    model = read_model(arguments.folder / "basic_lstm_s.onnx")
    assert isinstance(model, Graph)
    (name, shape), = model.inputs.items()
    samples = {name: data.train.inputs[:N_SAMPLES].reshape(-1, *shape)}

    def accuracies(network: Graph, *, retrained: bool) -> tuple[float, float]:
        """Accuracy of the model, and of a network in the arithmetic of the machine."""
        check = measure_graph_fidelity(
            model, network, EIEConfig(), {name: data.test.inputs.reshape(-1, *shape)},
            labels=data.test.targets, retrained=retrained)
        return check["labels"]["model"], check["labels"]["network"]

    rows = []
    for density, steps in STEPS.items():
        print(f"density {density} of the LSTM:", flush=True)
        shares = {"lstm/lstm": density}
        compressed = compress_graph(model, samples, density=shares, v_width=V_WIDTH)
        network, records = compress_graph_with_retraining(
            model, data, density=shares, v_width=V_WIDTH, steps=steps, **options, resume=True,
            checkpoint=arguments.output / f"{density}.checkpoint.npz", on_epoch=report)
        write_graph(arguments.output / f"{density}.npz", network)
        reference, without = accuracies(compressed, retrained=False)
        rows.append({"density": density_of(network), "model": reference, "compressed": without,
                     "retrained": accuracies(network, retrained=True)[1], "steps": steps,
                     "seconds": sum(record["seconds"] for record in records)})
    write_json(arguments.output / "retrain_lstm.json", {
        "network": "Basic_LSTM_S", "clips": [len(part) for part in (
            data.train, data.validation, data.test)], "options": options, "rows": rows})
    text = table(rows)
    (arguments.output / "retrain_lstm.md").write_text(text, encoding="utf-8")
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
