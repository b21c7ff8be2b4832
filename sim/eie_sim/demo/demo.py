"""Demo of the whole flow: from a trained network to Verilog, memory images and checked results."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eie_compiler.build import Build
from eie_compiler.compression.decompress import decompress
from eie_compiler.files.json_file import write_json
from eie_compiler.files.network_file import read_network
from eie_compiler.frontends import read_chain
from eie_compiler.lowering.compile import compile_network
from eie_compiler.vectors import dequantise
from eie_hdl.config import EIEConfig
from eie_hdl.files import write_file, write_files

from ..inference import Inference, infer
from ..rtl.verilator_host import verilog
from .digits import FOLDER, load_digits

__all__ = ["Demo", "demo"]


@dataclasses.dataclass(frozen=True, eq=False)
class Demo:
    """Results of the demo.

    Attributes
    ----------
    build : :class:`~eie_compiler.build.Build`
        The compiled network.
    inference : :class:`~..inference.Inference`
        Results of the hardware, compared with the golden model.
    images : :class:`int`
        Number of held-out images.
    accuracy : :class:`dict` of :class:`str` to :class:`float`
        Share of the images recognised: by the ``dense`` and the ``compressed`` network in floating
        point, and by the ``hardware``.
    verilog : :class:`dict` of :class:`str` to :class:`int`
        Size of each Verilog file in bytes.
    """

    build: Build
    inference: Inference
    images: int
    accuracy: dict[str, float]
    verilog: dict[str, int]

    def summary(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {"images": self.images, "accuracy": self.accuracy, "verilog": self.verilog,
                "network": self.build.report, "inference": self.inference.summary()}


def demo(folder: str | Path, *, n_pe: int = 16, images: int | None = None,
         simulator: str = "verilator", progress: Callable[[str], None] = lambda step: None) -> Demo:
    """Recognise handwritten digits with the accelerator.

    Parameters
    ----------
    folder : :class:`str` or :class:`~pathlib.Path`
        Destination of Verilog, images and results: ``verilog``, ``build``, ``report.json``; of the
        simulator's log, in ``simulation``; and of ``dense.npz``, the model before compression, for
        further experiments.
    n_pe : :class:`int`
        Number of processing elements.
    images : :class:`int`, optional
        Number of held-out images to run, 360 at most; all by default.
    simulator : :class:`str`
        ``verilator`` or ``icarus``.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Raises
    ------
    ToolError
        If the simulator or scikit-learn is missing.
    ValueError
        If there are not that many images.
    """
    folder = Path(folder)
    config = EIEConfig(n_pe=n_pe)
    digits = load_digits()
    test, labels = digits.first(images)

    progress("writing the Verilog")
    files = verilog(config, cache=None)    # the simulator takes the same from the cache
    write_files(folder / "verilog", files)

    progress("compiling the network")
    network = read_network(FOLDER / "digits.npz")
    build = compile_network(network, config)
    build.save(folder / "build")
    write_file(folder / "dense.npz", (FOLDER / "dense.npz").read_bytes())

    progress(f"running {len(test)} images through the hardware in {simulator}")
    inference = infer(build, test, engine="cocotb", simulator=simulator,
                      folder=folder / "simulation", end_to_end=True)

    scores = {
        "dense": read_chain(FOLDER / "dense.npz")(test),
        "compressed": decompress(network)(test),
        "hardware": dequantise(inference.outputs[-1], build.outputs[-1].frac)}
    result = Demo(
        build, inference, len(test),
        {name: float((score.argmax(axis=1) == labels).mean()) for name, score in scores.items()},
        {name: len(text.encode()) for name, text in files.items()})
    write_json(folder / "report.json", result.summary())
    return result
