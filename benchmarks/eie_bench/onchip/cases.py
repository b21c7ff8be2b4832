"""Networks that are one program of the machine each, and their inputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.errors import CompileError
from eie_compiler.files.graph_file import read_graph
from eie_compiler.graph.graph import Computation, Graph, Node
from eie_compiler.graph.operations import AveragePool, MaxPool, Mean, Quantise
from eie_compiler.graph_build import GraphBuild
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_compiler.random_networks import make_layer, random_codes
from eie_hdl.config import EIEConfig

from ..networks.trained import draw_digits, read_random_digits

__all__ = ["DEPTHWISE", "LENET", "MACHINE", "SMALL", "Case", "Engine", "make_case",
           "make_depthwise", "make_geometries", "make_lenet", "make_pooling"]

Floats = NDArray[np.float64]

#: Shape of a map: channels, height, width.
Shape3 = tuple[int, int, int]

Engine = Literal["verilator", "icarus"]

#: Machine of all networks, with the memories for LeNet-5 as one program.
MACHINE = EIEConfig(n_pe=16, ptr_depth=4096, n_codebooks=16, loops=True, local=True, maximum=True)

#: Machine of the geometries, which also runs on Icarus.
SMALL = EIEConfig(n_pe=4, loops=True, local=True, maximum=True)

#: Names of the cases of which the verdict has a ratio.
LENET, DEPTHWISE = "LeNet-5", "depthwise 3 × 3, no zeros"

#: Images of LeNet-5, and of the blocks.
_N_IMAGES = 16

#: Fraction bits of the inputs and results of all random networks.
_FRAC = 8

_SAME_SIZE: dict[str, Any] = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}


class Case(NamedTuple):
    """A network, its build, its inputs, and the simulator that runs it.

    Attributes
    ----------
    part : :class:`str`
        Part of the table.
    name : :class:`str`
        Network.
    graph : :class:`~eie_compiler.graph.graph.Graph`
        The network, whose steps a host could compute.
    build : :class:`~eie_compiler.graph_build.GraphBuild`
        Its only program.
    images : float64 (batch, ...)
        Inputs: images, sequences (batch, steps, elements), or vectors.
    engine : :data:`Engine`
        Simulator.
    """

    part: str
    name: str
    graph: Graph
    build: GraphBuild
    images: Floats
    engine: Engine = "verilator"

    @property
    def pixels(self) -> int:
        """Pixels of a result; 1 for a vector."""
        (output,) = self.graph.outputs
        shape = self.graph.shapes[output]
        return int(np.prod(shape[1:])) if len(shape) == 3 else 1

    @property
    def step(self) -> int:
        """Step of a result: of a word, or of an integer if results are quantised."""
        (output,) = self.graph.outputs
        (last,) = (node for node in self.graph.nodes if node.name == output)
        return 1 << (self.graph.fracs or {})[output] if isinstance(last.computation, Quantise) \
            else 1

    @property
    def tolerance(self) -> int:
        """Steps by which a result may differ from that of a host: none, or one of means and of
        integers.
        """
        return int(any(isinstance(node.computation, (AveragePool, Mean, Quantise))
                       for node in self.graph.nodes))


def make_case(part: str, name: str, graph: Graph, images: Floats, config: EIEConfig,
              engine: Engine = "verilator", *, pixels: int | None = None) -> Case:
    """Compile a network.

    Parameters
    ----------
    pixels : :class:`int`, optional
        Most pixels of a strip of the convolutions, which are then loops even if the compiler would
        not choose them. Default: what the compiler chooses.

    Raises
    ------
    CompileError
        If it is not a single program.
    """
    build = compile_graph(graph, config, strips=None if pixels is None else {
        node.name: min(pixels, graph.shapes[node.name][2]) for node in graph.nodes
        if isinstance(node.computation, CompressedNetwork)})
    if list(build.programs) != [node.name for node in build.graph.nodes]:
        raise CompileError(f"{name} must be one program, not {len(build.programs)} and steps of "
                           f"the host: {'; '.join(build.graph.notes)}")
    return Case(part, name, graph, build, images, engine)


def make_lenet(network: Path, mnist: Path | None, seed: int) -> Case:
    """Make the case of LeNet-5, with digits of MNIST, or else with random images.

    Raises
    ------
    ArchiveError, CompileError, DataError, NetworkError
        If a file is invalid, or the network is another one.
    """
    images = (read_random_digits(mnist, seed) if mnist else draw_digits(_N_IMAGES, seed)).images
    return make_case("network", LENET, read_graph(network), images[:_N_IMAGES], MACHINE)


def make_depthwise(seed: int) -> list[Case]:
    """Make the cases of a depthwise 3 × 3 convolution of 64 channels, as of DS-CNN_S."""
    rng = np.random.default_rng(seed)
    shape = 64, 25, 5
    depthwise = _convolve(rng, shape, 64, groups=64, density=1, relu=True, **_SAME_SIZE)
    graph = _chain(shape, depthwise)
    block = _chain(shape, depthwise, _convolve(rng, shape, 64, relu=True))
    dense = np.abs(_draw(rng, _N_IMAGES, shape)) + 2.0 ** -_FRAC
    sparse = dense * (rng.random(dense.shape) < 0.5)
    return [make_case("depthwise", name, network, images, MACHINE) for name, network, images in (
        (DEPTHWISE, graph, dense), ("depthwise 3 × 3, half zeros", graph, sparse),
        ("then 1 × 1, half zeros", block, sparse))]


def make_pooling(seed: int) -> list[Case]:
    """Make the cases of all forms of pooling, each after a convolution of 3 to 20 channels."""
    rng = np.random.default_rng(seed)
    maps, square, both = (3, 10, 8), (3, 8, 8), (False, True)
    forms: list[tuple[str, Shape3, Computation, Sequence[bool]]] = [
        ("maxima of 2 × 2, stride 2", maps, MaxPool((2, 2), (2, 2)), both),
        ("maxima of 3 × 3, stride 2", maps, MaxPool((3, 3), (2, 2)), both),
        ("maxima of 3 × 3, padding 1", maps, MaxPool((3, 3), (1, 1), (1, 1, 1, 1)), both),
        ("maxima of the map", maps, MaxPool((10, 8), (1, 1)), both),
        ("means of 2 × 2, stride 2", maps, AveragePool((2, 2), (2, 2)), (False,)),
        ("means of 3 × 3, stride 1", maps, AveragePool((3, 3), (1, 1)), (False,)),
        ("means of the map, 8 × 8", square, Mean((1, 2)), (False,)),
        ("means of the map, 10 × 8", maps, Mean((1, 2)), (False,))]
    return [
        make_case("pooling", name + (", no signs" if relu else ""),
                  _chain(shape, _convolve(rng, shape, 20, relu=relu, **_SAME_SIZE), pool),
                  _draw(rng, 4, shape), MACHINE)
        for name, shape, pool, signs in forms for relu in signs]


def make_geometries(seed: int, config: EIEConfig, engine: Engine, n_images: int = 3
                    ) -> list[Case]:
    """Make the cases of small and unusual geometries."""
    rng = np.random.default_rng(seed)
    limit = 1 << config.act_width - 1

    def chain(shape: Shape3, *steps: tuple[int, dict[str, Any]] | Computation) -> Graph:
        """Chain convolutions, of a number of channels and options, with other computations."""
        made: list[Computation] = []
        source = shape
        for step in steps:
            made.append(_convolve(rng, source, step[0], **step[1]) if isinstance(step, tuple)
                        else step)
            source = _shape_of(_chain(shape, *made), f"node{len(made)}")
        return _chain(shape, *made)

    graphs = {
        "a map of 1 × 1": chain((7, 1, 1), (13, {}), MaxPool((1, 1), (1, 1)), (5, {})),
        "a kernel of the whole map": chain((3, 5, 6), (7, {"kernel": (5, 6)}), (4, {})),
        "a kernel wider than the map": chain((3, 1, 2), (6, _SAME_SIZE), (6, _SAME_SIZE | {
            "groups": 6})),
        "strides larger than kernels": chain(
            (5, 11, 10), (6, {"kernel": (2, 2), "stride": (3, 3)}), MaxPool((1, 2), (2, 2))),
        "one channel": chain((1, 6, 7), (1, _SAME_SIZE), MaxPool((2, 2), (1, 1)),
                             (1, {"kernel": (2, 3)})),
        "7, 13 and 5 channels": chain(
            (7, 5, 7), (7, _SAME_SIZE | {"groups": 7}), (13, {}), MaxPool((3, 2), (2, 1)),
            (13, {"kernel": (2, 2), "groups": 13}), (5, {})),
        "zero rows and images": chain((5, 7, 6), (9, _SAME_SIZE), MaxPool((3, 3), (2, 2))),
        "extreme numbers": chain((5, 7, 6), MaxPool((2, 2), (1, 1)), (3, _SAME_SIZE)),
    }
    images = {name: _draw(rng, n_images, _shape_of(graph)) for name, graph in graphs.items()}
    images["zero rows and images"][0] = 0
    images["zero rows and images"][1:, :, ::2] = 0
    images["extreme numbers"] = rng.choice(
        [-limit, -1, 0, limit - 1], images["extreme numbers"].shape) / 2.0 ** _FRAC
    return [make_case("geometry", name, graph, images[name], config, engine, pixels=2)
            for name, graph in graphs.items()]


def _chain(shape: Shape3, *computations: Computation) -> Graph:
    """Make the graph of computations one after another."""
    names = ["image", *(f"node{number}" for number in range(1, len(computations) + 1))]
    nodes = tuple(Node(name, computation, (before,))
                  for before, name, computation in zip(names, names[1:], computations))
    return Graph({"image": shape}, nodes, (names[-1],), dict.fromkeys(names, _FRAC))


def _shape_of(graph: Graph, name: str = "image") -> Shape3:
    channels, height, width = graph.shapes[name]
    return channels, height, width


def _draw(rng: np.random.Generator, n_images: int, shape: tuple[int, int, int]) -> Floats:
    """Draw images of words of both signs."""
    return np.round(rng.normal(0, 2 << _FRAC, (n_images, *shape))) / (1 << _FRAC)


def _convolve(rng: np.random.Generator, shape: tuple[int, int, int], n_rows: int, *,
              groups: int = 1, density: float = 0.5, relu: bool = False, **geometry: Any
              ) -> CompressedNetwork:
    """Draw a convolution, with weights within the groups of its channels alone."""
    patches, v_width = Patches(shape, **geometry), MACHINE.v_width
    codes = random_codes(rng, n_rows, patches.n_inputs, density, v_width)
    of_rows, of_columns = (np.arange(n) * groups // n for n in codes.shape)
    codes[of_rows[:, np.newaxis] != of_columns] = 0
    scale = (patches.n_inputs * density / groups) ** -0.5
    layer = make_layer(codes, codebook=np.append(0.0, rng.normal(0, scale, (1 << v_width) - 1)),
                       bias=rng.normal(0, 0.25, n_rows), relu=relu, output_frac=_FRAC)
    return CompressedNetwork((layer,), _FRAC, v_width, patches)
