"""Write the probes of the tests to a folder, for `eie bench networks --probes`.

Each is a model in ONNX and an archive of its inputs, with the results of ONNX Runtime: without
a softmax at the end, which the front end leaves out.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def main() -> None:
    """Write all probes to the folder of the command line."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support.probe_models import probes

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, probe in probes().items():
        path = folder / f"{name.replace(' ', '-')}.onnx"
        path.write_bytes(probe.model)
        session = onnxruntime.InferenceSession(without_softmax(probe.model))
        np.savez(path.with_suffix(".npz"), allow_pickle=False, **probe.arrays,
                 **{f"expected{number}": results for number, results in
                    enumerate(session.run(None, probe.inputs))})


def without_softmax(content: bytes) -> bytes:
    """Make the operand of a softmax that computes an output the output."""
    model = onnx.load_model_from_string(content)
    outputs = {output.name: output for output in model.graph.output}
    for node in list(model.graph.node):
        if node.op_type == "Softmax" and node.output[0] in outputs:
            outputs[node.output[0]].name = node.input[0]
            model.graph.node.remove(node)
    return model.SerializeToString()


if __name__ == "__main__":
    main()
