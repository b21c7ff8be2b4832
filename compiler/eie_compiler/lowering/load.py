"""Loads: the memory images that programs share, and the builds of these programs."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import pack

from ..build import Build
from ..files.build_manifest import describe_memory
from ..vectors import Vector, n_input_words
from .build_report import describe_program
from .convolution import Convolution
from .csc import Encoded, pack_entries, pack_pointers
from .lowered_network import Lowered, LoweredNetwork
from .memory_map import n_words, place_activations
from .program import LayerPlan, pack_program
from .recurrence import LoweredStep
from .scaled_layer import is_quantised
from .step_tiles import StepTile

__all__ = ["make_load"]


@dataclasses.dataclass(frozen=True, eq=False)
class _Program:
    """Network, or step of a recurrence, with places in memory.

    Attributes
    ----------
    vectors : :class:`list` of :class:`~..vectors.Vector`
        Input, and results of each layer, or of a step.
    input_words, input_stride, n_words : :class:`int`
        Rows of an input buffer, from one buffer to the next, and in all.
    constants : :class:`list` of (:class:`int`, int64 array, int64 array)
        First row of biases and constant factors, their column numbers from there on, and words.
    """

    network: Lowered
    vectors: list[Vector]
    outputs: list[Vector]
    input_words: int
    input_stride: int
    n_words: int
    constants: list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]
    plans: list[LayerPlan]
    encoded: list[Encoded]
    descriptors: NDArray[np.uint64]


class _Begin(NamedTuple):
    """First row of the biases, of the vectors, and first pointer of a program in a load."""

    bias: int
    vector: int
    pointer: int


def make_load(config: EIEConfig, networks: Sequence[Lowered]) -> list[Build]:
    """Make the builds of networks that are in the memories together; they fit.

    Their programs follow one another, and so do their pointers, entries and biases. Equal codebooks
    are stored once. All programs use the same rows for their vectors.
    """
    codebooks: dict[bytes, int] = {}
    programs: list[_Program] = []
    begin = _Begin(0, sum(network.needs.biases for network in networks), 0)
    for network in networks:
        programs.append(_place_step(config, network, codebooks, begin)
                        if isinstance(network, LoweredStep)
                        else _place(config, network, codebooks, begin))
        begin = begin._replace(bias=begin.bias + network.needs.biases,
                               pointer=begin.pointer + network.needs.pointers)

    images = _pack_images(config, programs, codebooks)
    # Biases are before all vectors, and a program has a vector.
    memory = describe_memory(config, images, max(each.n_words for each in programs))
    builds, first_descriptor = [], 0
    for program in programs:
        network, vectors = program.network, program.vectors
        states = {"steps": network.steps, "reset": network.reset} \
            if isinstance(network, LoweredStep) else {}
        builds.append(Build(
            config=config, images=images, first_descriptor=first_descriptor, input=vectors[0],
            input_words=program.input_words, input_stride=program.input_stride,
            layers=tuple(vectors[1:]), outputs=tuple(program.outputs),
            report={**describe_program(config, network, program.plans, program.encoded),
                    "memory": memory},
            patches=network.input.patches, preprocessing=network.input.preprocessing,
            nonnegative_inputs=network.input.nonnegative, **states))
        first_descriptor += len(program.descriptors)
    return builds


def _place(config: EIEConfig, network: Lowered, codebooks: dict[bytes, int], begin: _Begin
           ) -> _Program:
    """Place a network; add its codebooks to those of the load, which are numbered in order."""
    assert isinstance(network, LoweredNetwork)
    act_map = place_activations(config, network.layers, network.sent, network.vectors,
                                network.sources, first_bias=begin.bias, first_vector=begin.vector)
    layers, formats = network.layers, network.formats
    fracs = [network.input.frac, *(layer.output_frac for layer in layers)]
    names = ["input", *(layer.name for layer in layers)]
    last_reader = max(at for at, read in enumerate(network.sources) if 0 in read)
    scale_rows = [None if chosen.scales is None else base + n_words(layer.n_rows, config.n_pe)
                  for layer, chosen, base in zip(layers, formats, act_map.biases)]
    constants = [(base, rows, chosen.bias)
                 for base, rows, chosen in zip(act_map.biases, network.rows, formats)]
    for base, rows, chosen in zip(scale_rows, network.rows, formats):
        if base is not None and chosen.scales is not None:
            # A row of fractions and one of shifts alternate.
            row, lane = np.divmod(rows, ACTS_PER_WORD * config.n_pe)
            places = 2 * ACTS_PER_WORD * config.n_pe * row + lane
            constants += [(base, places, chosen.scales.fractions),
                          (base + 1, places, chosen.scales.shifts)]
    plans = [
        LayerPlan(source=act_map.vectors[read[0]], reads_input=0 in read,
                  frees_input=at == last_reader,
                  source_words=n_words(network.vectors[read[0]], config.n_pe),
                  destination=act_map.vectors[at + 1], bias=act_map.biases[at],
                  rows=layer.n_rows, columns=network.codes[at].counts.shape[2],
                  sends=(act_map.vectors[at + 1], int(network.columns[at + 1].max()) + 1)
                  if network.sent[at] else None,
                  convolution=_join_parts(config, network.convolutions[at], [
                      act_map.vectors[number] for number in read])
                  if network.convolutions else None,
                  codebook=0 if network.maximum[at] else
                  codebooks.setdefault(chosen.codebook.tobytes(), len(codebooks)),
                  shift=chosen.shift, bias_shift=chosen.bias_shift,
                  relu=layer.relu and not is_quantised(layer), scales=scales,
                  overwrites_result=act_map.overwrites_result[at])
        for at, (layer, chosen, read, scales) in enumerate(
            zip(layers, formats, network.sources, scale_rows))]
    vectors = [Vector(name, base, columns, frac) for name, base, columns, frac
               in zip(names, act_map.vectors, network.columns, fracs)]
    return _Program(
        network, vectors, [vector for vector, sent in zip(vectors[1:], network.sent) if sent],
        n_words(network.vectors[0], config.n_pe), act_map.input_stride, act_map.n_words,
        constants, plans, [codes.encode(config) for codes in network.codes],
        pack_program(config, plans, two_inputs=act_map.input_stride > 0,
                     in_regions=act_map.in_regions, first_pointer=begin.pointer))


def _place_step(config: EIEConfig, network: LoweredStep, codebooks: dict[bytes, int],
                begin: _Begin) -> _Program:
    """Place a step of a recurrence, as :func:`_place`."""
    places, tiles = network.places, network.tiles
    constants = {key: begin.bias + row for key, row in network.constants.rows.items()}
    last_reader = max(at for at, tile in enumerate(tiles) if tile.reads_input)
    result = Vector(network.nodes[-1], begin.vector + network.result, network.columns[1],
                    network.result_frac)
    end = result.base_word + n_words(int(result.columns.max()) + 1, config.n_pe)

    def plan(at: int, tile: StepTile) -> LayerPlan:
        first, rows = begin.vector + tile.destination, tile.inputs.layer.n_rows
        return LayerPlan(
            # Biases are in rows that no tile writes.
            source=begin.bias if tile.source is None else begin.vector + tile.source,
            reads_input=tile.reads_input,
            writes_input=tile.writes_input, frees_input=at == last_reader, source_words=0,
            destination=first,
            bias=constants["bias", at] if tile.operand is None else begin.vector + tile.operand,
            factor=constants.get(("factor", at)) if tile.factor is None
            else begin.vector + tile.factor, table=tile.table,
            rows=rows, columns=network.codes[at].counts.shape[2],
            sends=(result.base_word, int(result.columns.max()) + 1) if at == len(tiles) - 1
            else None, convolution=tile.convolution,
            codebook=0 if tile.convolution is None else
            codebooks.setdefault(tile.chosen.codebook.tobytes(), len(codebooks)),
            shift=tile.chosen.shift, bias_shift=tile.chosen.bias_shift,
            relu=tile.inputs.layer.relu,
            overwrites_result=first < end
            and result.base_word < first + n_words(rows, config.n_pe))

    plans = [plan(at, tile) for at, tile in enumerate(tiles)]
    stride = places.words if places.n_buffers > 1 else 0
    source = Vector("input", begin.vector, network.columns[0], network.input.frac)
    return _Program(
        network, [source, result], [result],
        n_words(len(source.columns), config.n_pe), stride, begin.vector + places.n_words,
        [(begin.bias + row, np.arange(len(words)), words)
         for row, words in network.constants.words.items()],
        plans, [codes.encode(config) for codes in network.codes],
        pack_program(config, plans, two_inputs=stride > 0, in_regions=False,
                     first_pointer=begin.pointer, entries=(0, network.reset)))


def _join_parts(config: EIEConfig, convolution: Convolution, rows: Sequence[int]) -> Convolution:
    """Set the distance of maps that are read together, which begin at these rows."""
    distance = (rows[-1] - rows[0]) * ACTS_PER_WORD * config.n_pe
    return dataclasses.replace(convolution, distance=distance)


def _pack_images(config: EIEConfig, programs: list[_Program], codebooks: dict[bytes, int]
                 ) -> dict[str, NDArray[np.uint64]]:
    layouts = Layouts.of(config)
    encoded = [layer for program in programs for layer in program.encoded]
    pointers = pack_pointers(config, encoded)
    spmat = pack_entries(config, encoded)
    act = pack(layouts.act_word, _place_biases(config, programs))
    weights = np.zeros((len(codebooks), 1 << config.v_width), np.int64)
    for codebook, number in codebooks.items():
        words = np.frombuffer(codebook, np.int64)
        weights[number, :len(words)] = words
    codebook_image = pack(layouts.weight, weights.ravel())    # identical in every PE
    images = {"ccu.program": np.concatenate([program.descriptors for program in programs])}
    for pe in range(config.n_pe):
        images |= {f"pe_{pe}.ptr_even": pointers[pe, 0::2], f"pe_{pe}.ptr_odd": pointers[pe, 1::2],
                   f"pe_{pe}.spmat": spmat[pe], f"pe_{pe}.act": act[pe],
                   f"pe_{pe}.codebook": codebook_image}
    return images


def _place_biases(config: EIEConfig, programs: list[_Program]) -> NDArray[np.int64]:
    """Contents of the activation SRAMs, n_pe × n_words × 4, up to the last bias.

    If the host loads only a part of the last row of an input, the images also clear the rest.
    """
    words = sum(program.network.needs.biases for program in programs)
    for program in programs:
        if program.input_stride \
                and n_input_words(config, program.vectors[0]) % config.n_pe:
            words = max(words, program.n_words)
    slots = np.zeros((config.n_pe, words * ACTS_PER_WORD), np.int64)
    for program in programs:
        for base, columns, constants in program.constants:
            slot, pe = np.divmod(columns, config.n_pe)
            slots[pe, base * ACTS_PER_WORD + slot] = constants
    return slots.reshape(config.n_pe, words, ACTS_PER_WORD)
