"""Write the probes of the tests to a folder, for `eie bench networks --probes`.

Each is a model in ONNX and an archive of its inputs, with the results of ONNX Runtime where the
batch is the first axis, and no softmax follows, which the front end leaves out.
"""

import sys
from pathlib import Path

import numpy as np
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
        arrays = dict(probe.arrays)
        if b"Softmax" not in probe.model and \
                all(shape[0] == "n" for shape in probe.shapes.values()):
            arrays["expected"] = onnxruntime.InferenceSession(probe.model).run(
                None, probe.inputs)[0]
        np.savez(path.with_suffix(".npz"), allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
