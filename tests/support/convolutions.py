"""Random programs of convolutions for machines with loops, with results computed directly.

They are small, so that RTL simulators run them in a few thousand cycles.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_compiler.build import Build
from eie_compiler.errors import CompileError
from eie_compiler.files.build_manifest import describe_memory
from eie_compiler.graph.operations import Sigmoid, Tanh
from eie_compiler.lowering.convolution import Convolution, FeatureMap, channel_pitch
from eie_compiler.vectors import Vector
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Table, last_element
from eie_hdl.numeric import relu, round_shift, saturate, wrap

from .loop_machine import LoopMachine
from .row_scales import draw_entry, interleave, scale_row, split_entry

__all__ = ["CONFIGS", "FUNCTIONS", "LOCAL_CONFIGS", "ConvolutionProgram", "Finish", "Reduction",
           "make_program", "random_program"]

#: Machines that have room for random programs.
CONFIGS = {
    "1 PE, runs of 3": EIEConfig(
        n_pe=1, v_width=3, z_width=2, entries_per_word=2, queue_depth=4, act_width=12,
        codebook_width=7, acc_width=24, acc_depth=32, spmat_depth=4096, ptr_depth=512,
        act_depth=301, n_codebooks=2, program_depth=8, loops=True),
    "2 PEs, products fill an accumulator": EIEConfig(
        n_pe=2, v_width=2, z_width=3, entries_per_word=1, queue_depth=2, act_width=16,
        codebook_width=8, acc_width=24, acc_depth=16, spmat_depth=4096, ptr_depth=300,
        act_depth=177, n_codebooks=1, program_depth=5, loops=True),
    "4 PEs, runs of 3": EIEConfig(
        n_pe=4, v_width=3, z_width=2, entries_per_word=2, queue_depth=4, act_width=8,
        codebook_width=7, acc_width=20, acc_depth=16, spmat_depth=1024, ptr_depth=512,
        act_depth=90, n_codebooks=3, program_depth=6, readback=True, loops=True),
    "16 PEs, no column dropped": EIEConfig(
        n_pe=16, act_width=8, acc_depth=8, acc_width=30, act_depth=61, drop_empty_columns=False,
        loops=True),
    "64 PEs": EIEConfig(n_pe=64, z_width=4, acc_depth=4, act_depth=64, loops=True),
}

#: What else than local mode the machines have that have it.
_UNITS = {
    "1 PE, runs of 3": {"maximum": True, "tables": True, "scales": True, "codebook_width": 12},
    "2 PEs, products fill an accumulator": {"maximum": True},
    "4 PEs, runs of 3": {"maximum": True, "products": True, "tables": True, "codebook_width": 8},
    "16 PEs, no column dropped": {"products": True},
    "64 PEs": {"maximum": True, "products": True, "tables": True, "scales": True},
}

#: The same with local mode, and most with maxima, products of activations, tables or scales.
LOCAL_CONFIGS = {f"{name}, local": dataclasses.replace(config, local=True, **_UNITS[name])
                 for name, config in CONFIGS.items()}

#: Operation of graphs that each function of a table is.
FUNCTIONS = {Table.SIGMOID: Sigmoid(), Table.TANH: Tanh()}

#: Most broadcasts of a program, if no activation were zero, with an allowance for each strip.
_MAX_WORK = 4000
_STRIP_WORK = 20


@dataclasses.dataclass(frozen=True, eq=False)
class ConvolutionProgram:
    """Program of one to three convolutions, an optional dense layer, and an output.

    Attributes
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    images : :class:`dict` of :class:`str` to uint64 (n_words, n_beats)
        Contents of its memories, as :class:`~eie_sim.golden.model.GoldenModel` takes them.
    inputs : int64 (batch, n_columns)
        Input maps in order of column number. Pixels and channels that no kernel reads are random.
    expected : int64 (batch, n_columns)
        Elements of the vector that the program sends, in order of column number.
    geometries : :class:`tuple` of :class:`~eie_compiler.lowering.convolution.Convolution`
        Its convolutions.
    places : :class:`list` of :class:`int`
        First row of the input map and of each result in the activation SRAMs.
    stride : :class:`int`
        Rows from the first input buffer to the second; 0 if there is one.
    """

    config: EIEConfig
    images: dict[str, NDArray[np.uint64]]
    inputs: NDArray[np.int64]
    expected: NDArray[np.int64]
    geometries: tuple[Convolution, ...]
    places: list[int]
    stride: int

    @property
    def local(self) -> tuple[bool, ...]:
        """True for each convolution in local mode."""
        return tuple(geometry.local for geometry in self.geometries)

    @property
    def base(self) -> int:
        """First row of the input map in the activation SRAMs."""
        return self.places[0]

    @property
    def build(self) -> Build:
        """The program as a build, of which every column of a vector is an element."""
        sizes = [self.inputs.shape[1],
                 *(geometry.result.n_columns for geometry in self.geometries)]
        if len(sizes) < len(self.places):
            sizes.append(self.expected.shape[1])
        source, *layers = (
            Vector(f"layer{number}" if number else "input", place, np.arange(size), 0)
            for number, (place, size) in enumerate(zip(self.places, sizes)))
        # No engine uses more of a report than its memories.
        report = {
            "mapping": "interleaved", "dead_inputs": 0, "total": {},
            "memory": describe_memory(self.config, self.images, self.config.act_depth),
            "layers": [{
                "name": layer.name, "shape": [len(layer.columns), 1], "density": 1.0, "tiles": 1,
                "entries": 0, "paddings": 0, "entry_balance": 1.0,
                "dead_rows": {"unread": [], "constant": []},
                "formats": {"input_frac": 0, "output_frac": 0},
                "overflow": {"acc_width": self.config.acc_width}} for layer in layers]}
        return Build(config=self.config, images=self.images, input=source,
                     input_words=_n_rows(self.config, sizes[:1])[0], input_stride=self.stride,
                     outputs=(layers[-1],), layers=tuple(layers), report=report)


class Finish(NamedTuple):
    """Conversion of accumulators to results, with the biases of all columns of a pixel."""

    codebook: int
    bias: NDArray[np.int64]
    bias_shift: int
    shift: int
    relu: int
    factor: NDArray[np.int64] | None = None    # by which biases are multiplied instead of shifted
    table: Table = Table.NONE
    fraction: NDArray[np.int64] | None = None    # of factors by which rows are scaled
    row_shift: NDArray[np.int64] | None = None    # words with their shifts
    entry: int = 0    # by which results are then quantised

    def __call__(self, config, sums):
        """Results of accumulators (…, n) with these biases."""
        weight = 1 << self.bias_shift if self.factor is None else self.factor
        sums = wrap(sums + self.bias * weight, config.acc_width)
        if self.fraction is None:
            rounded = round_shift(sums, self.shift)
            words = saturate(relu(rounded) if self.relu else rounded, config.act_width)
        else:
            scale = partial(scale_row, config, shift=self.shift, relu=self.relu,
                            **split_entry(config, self.entry))
            words = np.frompyfunc(scale, 3, 1)(*(numbers.astype(object) for numbers in (
                sums, self.fraction, self.row_shift))).astype(np.int64)
        if self.table is Table.NONE:
            return words
        return FUNCTIONS[self.table].words(words, fracs=[config.act_width - 5],
                                           frac=config.act_width - 2)

    def spread(self, change):
        """Change biases, factors and scales in the same way."""
        return self._replace(bias=change(self.bias), **{
            name: change(words) for name in ("factor", "fraction", "row_shift")
            if (words := getattr(self, name)) is not None})


class Reduction(NamedTuple):
    """Fields of a start that decide what an accumulator is; only with ``maximum``."""

    maximum: int = 0
    zeros: int = 0


def random_program(config: EIEConfig, seed: int, n_images: int = 2, n_buffers: int = 1
                   ) -> ConvolutionProgram:
    """Make a random program that fits the machine; the same for the same seed.

    With ``local``, three of four convolutions are in local mode; with ``maximum``, half of them
    take maxima, and a quarter of all send zeros. Half of the results are products with
    ``products``, two of three are those of functions with ``tables``, and of seven of ten that are
    no products, rows are scaled with ``scales``.
    """
    rng = np.random.default_rng(seed)
    # Apart, so that all else is the same on other machines.
    modes = np.random.default_rng([seed, 1])
    while True:
        channels = _draw(rng, 1, _greatest_channels(config))
        n_convolutions = _draw(rng, 1, 3)
        geometries, n_channels = _draw_geometries(rng, config, channels, n_convolutions)
        # None, few, or so many that there are two tiles.
        n_dense = int(rng.choice([0, _draw(rng, 1, 40),
                                  config.acc_depth * config.n_pe + _draw(rng, 1, 40)]))
        if _fits(config, geometries, n_channels, n_dense, n_buffers):
            local = config.local and [bool(rng.random() < 0.75) for _ in geometries]
            return make_program(config, rng, geometries, n_channels, n_dense, n_images=n_images,
                                n_buffers=n_buffers, local=local or None, reductions=[
                                    Reduction(int(modes.random() < 0.5), int(modes.random() < 0.25))
                                    for _ in geometries] if config.maximum else None)


def make_program(config: EIEConfig, rng: np.random.Generator, geometries: Sequence[Convolution],
                 n_channels: Sequence[int], n_dense: int = 0, *, n_images: int = 2,
                 n_buffers: int = 1, at_end: bool = False,
                 inputs: NDArray[np.int64] | None = None,
                 codebooks: NDArray[np.int64] | None = None,
                 codes: Sequence[NDArray[np.int64]] | None = None,
                 finishes: Sequence[Finish] | None = None,
                 local: Sequence[bool] | None = None,
                 reductions: Sequence[Reduction] | None = None) -> ConvolutionProgram:
    """Make a program of convolutions. What is not given is drawn.

    Parameters
    ----------
    geometries : sequence of :class:`~eie_compiler.lowering.convolution.Convolution`
        Convolutions, each of the map before.
    n_channels : sequence of :class:`int`
        Channels of the input and of each result.
    n_dense : :class:`int`
        Rows of a dense layer after them; 0 for none.
    n_buffers : :class:`int`
        Input buffers. With two, each has a region of its own for all vectors.
    at_end : :class:`bool`
        Place the input at the end of the activation SRAMs; only for a single input buffer.
    inputs : int64 (batch, height, row_pixels, pitch), optional
        Input maps.
    codebooks : int64 (n_codebooks, 2 ** v_width), optional
        Codebooks. With ``scales``, entry 0 quantises results.
    codes : sequence of int64 (n_out, n_in, kernel height, kernel width), optional
        Codes of each convolution.
    finishes : sequence of :class:`Finish`, optional
        Conversion of each convolution.
    local : sequence of :class:`bool`, optional
        True for each convolution in local mode; by default none is. Its results have only weights
        of channels in their own PE, and pixels of both maps fill whole slots.
    reductions : sequence of :class:`Reduction`, optional
        Reduction of each convolution; sums by default.
    """
    reductions = reductions or [Reduction()] * len(geometries)
    geometries = [dataclasses.replace(geometry, local=is_local) for geometry, is_local
                  in zip(geometries, local or [False] * len(geometries), strict=True)]
    limit, weights = 1 << config.act_width - 1, 1 << config.codebook_width - 1
    if codebooks is None:
        codebooks = rng.integers(-weights, weights, (config.n_codebooks, 1 << config.v_width))
        if config.scales:
            codebooks[:, 0] = [draw_entry(config, partial(_draw, rng)) for _ in codebooks]
    machine = LoopMachine(config, codebooks)
    machine.activations[:] = rng.integers(-limit, limit, machine.activations.shape)
    places, stride, next_bias = _place(config, geometries, n_dense, n_buffers, at_end)

    first = geometries[0].source
    if inputs is None:
        shape = n_images, first.height, first.row_pixels, first.pitch
        inputs = rng.integers(-limit, limit, shape) * (rng.random(shape) < 0.6)
    values = inputs[:, :, :first.width, :n_channels[0]]
    n_vectors = len(places)
    # Of a single input buffer, only the row of the input is offset.
    offsets = {"offset_source": 1, "offset_destination": 1} if stride else {}

    def add(number, matrix, finish, *, start, end, loop):
        """Add the tile that computes vector `number`, with the biases after those before."""
        nonlocal next_bias
        n_slots = len(matrix) // config.n_pe
        n_words = -(-n_slots // ACTS_PER_WORD)
        machine.activations[next_bias * machine.group:][:len(matrix)] = finish.bias
        end |= {"table": finish.table.value} if config.tables else {}
        words = finish.factor
        if words is not None:
            end |= {"multiply": 1, "factor": next_bias + n_words}
        elif finish.fraction is not None:
            end |= {"scale": 1, "factor": next_bias + n_words}
            words = interleave(config, finish.fraction, finish.row_shift)
        if words is not None:
            machine.activations[end["factor"] * machine.group:][:len(words)] = words
        is_first = not machine.program
        machine.tile(
            matrix, start={"source": places[number - 1], "codebook": finish.codebook, **start},
            end={"bias": next_bias, "bias_shift": finish.bias_shift, "shift": finish.shift,
                 "relu": finish.relu, **end}, loop=loop,
            # Vectors alternate between two places, of which the last one has the one sent.
            result_barrier=int((n_vectors - 1 - number) % 2 == 0), **(
                {"offset_source": int(is_first), "alone": int(is_first)} if not stride else
                offsets | {"frees_input": int(is_first)}))
        next_bias += n_words * _bias_words(config)

    for number, (geometry, n_in, n_out, reduction) in enumerate(
            zip(geometries, n_channels, n_channels[1:], reductions), 1):
        taps = np.zeros((geometry.pitch, n_in, *geometry.kernel), np.int64)
        taps[:n_out] = (_draw_codes(rng, config, (n_out, *taps.shape[1:])) if codes is None else
                        codes[number - 1])
        if geometry.local:
            outputs, channels = (np.arange(n) % config.n_pe for n in taps.shape[:2])
            taps[outputs[:, np.newaxis] != channels] = 0
        if finishes is None:
            finish = _draw_finish(rng, config, geometry.pitch, codebooks)
            if reduction.maximum:    # the range of an activation is larger than needed
                finish = finish._replace(
                    bias=np.maximum(finish.bias - limit, -limit),
                    bias_shift=finish.bias_shift % 2, shift=finish.shift % 3)
            # Those of channels that are not there are mostly 0.
            finish.bias[n_out:] *= rng.random(geometry.pitch - n_out) < 0.1
        else:
            finish = finishes[number - 1]
        fields = geometry.fields(config)
        add(number, geometry.codes(csc_array(taps[:n_out].reshape(n_out, -1))).toarray(),
            finish.spread(partial(np.tile, reps=geometry.strip)),
            start=fields["start"] | (reduction._asdict() if config.maximum else {}),
            end={"destination": places[number]},
            loop=fields["loop"])
        machine.program[-1]["barrier"] = 1
        maps = _convolve(geometry, values, taps,
                         partial(_compute, config, codebooks, reduction, finish))
        values = maps[:, :, :geometry.output[1], :n_out]
    vector = maps.reshape(len(inputs), -1)

    if n_dense:
        result = geometries[-1].result
        finish = _draw_finish(rng, config, -(-n_dense // machine.group) * machine.group,
                              codebooks)
        dense = np.zeros((len(finish.bias), *maps.shape[1:]), np.int64)
        dense[:n_dense, :, :result.width, :n_channels[-1]] = _draw_codes(
            rng, config, (n_dense, *values.shape[1:]))
        dense = dense.reshape(len(dense), -1)
        n_columns, n_rows = dense.shape[1], config.acc_depth * config.n_pe
        for tile, begin in enumerate(range(0, len(dense), n_rows)):
            part = slice(begin, begin + n_rows)
            add(n_vectors - 1, dense[part], finish.spread(itemgetter(part)),
                start=last_element(config, n_columns),
                end={"destination": places[-1] + tile * config.tile_words},
                loop={"width": n_columns, "length": n_columns,
                      "last_slot": len(dense[part]) // config.n_pe - 1})
            machine.program[-1]["barrier"] = int(tile == 0)
        sums = np.einsum("bc,rc->br", vector, _weigh(codebooks, finish, dense))
        vector = finish(config, sums)[:, :n_dense]
    machine.send(places[-1], vector.shape[1], **({"offset_source": 1} if stride else {}))
    return ConvolutionProgram(config, machine.images(), inputs.reshape(len(inputs), -1), vector,
                              tuple(geometries), places, stride)


def _convolve(geometry, maps, taps, compute):
    """Compute a convolution of maps (batch, height, width, channels), pixel by pixel.

    The results have surplus pixels, and all columns of a pixel. `compute` gets the patch of each,
    and its codes.
    """
    batch, height, width, _ = maps.shape
    n_rows, n_pixels = geometry.output[0], geometry.result.row_pixels
    results = np.zeros((batch, n_rows, n_pixels, len(taps)), np.int64)
    for row, pixel in np.ndindex(n_rows, n_pixels):
        patch, codes = [np.zeros((batch, 0), np.int64)], [taps[:, :0, 0, 0]]
        for tap_y, tap_x in np.ndindex(*geometry.kernel):
            y = row * geometry.stride[0] + tap_y * geometry.dilation[0] - geometry.padding[0]
            x = pixel * geometry.stride[1] + tap_x * geometry.dilation[1] - geometry.padding[1]
            if 0 <= y < height and 0 <= x < width:
                patch.append(maps[:, y, x])
                codes.append(taps[:, :, tap_y, tap_x])
        results[:, row, pixel] = compute(*(np.concatenate(parts, axis=1)
                                           for parts in (patch, codes)))
    return results


def _compute(config, codebooks, reduction, finish, patch, codes):
    """Compute the results (batch, n_out) of a patch (batch, n_in) and codes (n_out, n_in)."""
    if reduction.maximum:
        counts = (codes != 0) & ((patch != 0) | bool(reduction.zeros))[:, np.newaxis]
        from_lowest = patch + (1 << config.act_width - 1)
        acc = np.max(from_lowest[:, np.newaxis] * counts, axis=2, initial=0)
    else:
        acc = patch @ _weigh(codebooks, finish, codes).T
    return finish(config, acc)


def _weigh(codebooks, finish, codes):
    """Look up weights; code 0 is none."""
    return np.where(codes == 0, 0, codebooks[finish.codebook][codes])


def _draw(rng, low, high):
    """Draw a number from `low` to `high`."""
    return int(rng.integers(low, high + 1))


def _greatest_channels(config):
    """Most channels of an input; in local mode, more than one for some PEs."""
    return 4 + config.n_pe if config.local else 4


def _round_up(number, multiple):
    return -(-number // multiple) * multiple


def _draw_geometries(rng, config, channels, count):
    """Draw convolutions in a row; return them and the channels of all maps."""
    width = _draw(rng, 1, 9)
    # In local mode, a pixel fills whole slots.
    multiple = config.n_pe if config.local else 1
    source = FeatureMap(height=_draw(rng, 1, 9), width=width,
                        pitch=_round_up(channels + _draw(rng, 0, 1), multiple),
                        row_pixels=width + _draw(rng, 0, 1))
    geometries, n_channels = [], [channels]
    for _ in range(count):
        kernel, stride, dilation, before, after = (
            tuple(rng.choice(numbers, 2).tolist())
            for numbers in ([1, 2, 3, 4, 5], [1, 1, 1, 2, 3], [1, 1, 2], [0, 1, 2], [0, 1, 2]))
        output = tuple(
            max(1, 1 + (size + sum(around) - reach * (taps - 1) - 1) // step)
            for size, *around, reach, taps, step in zip(
                (source.height, source.width), before, after, dilation, kernel, stride))
        n_channels.append(_draw(rng, 1, _greatest_channels(config) + 1))
        strip = int(rng.choice([1, 2, 4]))
        geometries.append(Convolution(
            source=source, kernel=kernel, stride=stride, dilation=dilation, padding=before,
            output=output, strip=strip, pitch=_round_up(
                channel_pitch(config, n_channels[-1], strip), multiple)))
        source = geometries[-1].result
    return geometries, n_channels


def _draw_codes(rng, config, shape):
    """Draw codes, of which one output may have none."""
    codes = rng.integers(1, 1 << config.v_width, shape)
    codes *= rng.random(shape) < rng.choice([0.15, 0.5, 1])
    if rng.random() < 0.3:
        codes[_draw(rng, 0, len(codes) - 1)] = 0
    return codes


def _draw_finish(rng, config, n_rows, codebooks):
    """Draw the conversion of `n_rows` accumulators, mostly to the range of an activation."""
    limit = 1 << config.act_width - 2
    shift = config.codebook_width + _draw(rng, -3, 1)
    finish = Finish(_draw(rng, 0, config.n_codebooks - 1), rng.integers(-limit, limit, n_rows),
                    _draw(rng, 0, config.max_bias_shift), min(shift, config.max_shift),
                    _draw(rng, 0, 1))
    if config.products and rng.random() < 0.5:
        finish = finish._replace(factor=rng.integers(-2 * limit, 2 * limit, n_rows))
    elif config.scales and rng.random() < 0.7:
        # Bits above the shifts do not matter.
        shifts = rng.integers(0, rng.choice([1, 4, 16]), n_rows)
        finish = finish._replace(
            fraction=rng.integers(-2 * limit, 2 * limit, n_rows),
            row_shift=rng.integers(-2 * limit, 2 * limit, n_rows) & -16 | shifts,
            entry=int(codebooks[finish.codebook, 0]))
    return finish._replace(table=Table(_draw(rng, 0, len(Table) - 1))) if config.tables else finish


def _bias_words(config):
    """Words for each word of biases: itself, and those of factors, or of fractions and shifts."""
    return 1 + max(config.products, 2 * config.scales)


def _place(config, geometries, n_dense, n_buffers=1, at_end=False):
    """Place vectors alternately in two places, then the biases.

    Returns
    -------
    The rows of all vectors, those from one buffer to the next, and the row of the first biases.
    """
    first, *sizes = _n_rows(config, [geometries[0].source.n_columns,
                                     *(geometry.result.n_columns for geometry in geometries),
                                     *[n_dense] * bool(n_dense)])
    odd, even, base, stride = max(sizes[0::2]), max(sizes[1::2], default=0), 1, 0
    if n_buffers > 1:    # no vector overwrites the input
        others = base + first, base + first + odd
        stride = first + odd + even
        biases = base + 2 * stride
    elif at_end:
        base = config.act_depth - max(first, even)
        others, biases = (0, base), odd
    else:
        others = base + max(first, even), base
        biases = others[0] + odd
    return [base, *(others[number % 2] for number in range(len(sizes)))], stride, biases


def _n_rows(config, counts):
    """Rows of the activation SRAMs for vectors of these numbers of elements."""
    group = ACTS_PER_WORD * config.n_pe
    return [-(-count // group) for count in counts]


def _fits(config, geometries, n_channels, n_dense, n_buffers):
    """True if a program fits the machine, and is small."""
    last = geometries[-1].result
    tiles = [(geometry.strip * geometry.pitch, geometry.n_columns) for geometry in geometries]
    work = sum(geometry.output[0] * geometry.result.row_pixels // geometry.strip
               * (geometry.n_columns // geometry.source.pitch * n_in + _STRIP_WORK)
               for geometry, n_in in zip(geometries, n_channels))
    n_parts = 0
    if n_dense:
        group = ACTS_PER_WORD * config.n_pe
        n_rows = -(-n_dense // group) * group
        n_parts = -(-n_rows // (config.acc_depth * config.n_pe))
        tiles += [(n_rows, last.n_columns)] + [(0, last.n_columns)] * (n_parts - 1)
        work += n_parts * last.n_columns
    first_bias = _place(config, geometries, n_dense, n_buffers)[2]
    biases = sum(_n_rows(config, [n_rows for n_rows, _ in tiles])) * _bias_words(config)
    try:
        for geometry in geometries:
            geometry.fields(config)
    except CompileError:
        return False
    return (work <= _MAX_WORK and first_bias + biases <= config.act_depth
            and len(geometries) + n_parts < config.program_depth
            and sum(columns for _, columns in tiles) < config.n_pointers
            and sum(n_rows // config.n_pe * columns for n_rows, columns in tiles)
            <= config.n_entries)
