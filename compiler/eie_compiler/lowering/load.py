"""Loads: the memory images that programs share, and the builds of these programs."""

import dataclasses
from collections.abc import Sequence

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
from .lowered_network import LoweredNetwork
from .memory_map import ActMap, n_words, place_activations
from .program import LayerPlan, pack_program

__all__ = ["make_load"]


@dataclasses.dataclass(frozen=True, eq=False)
class _Program:
    """Network with places in memory.

    Attributes
    ----------
    vectors : :class:`list` of :class:`~..vectors.Vector`
        Input, and results of each layer.
    """

    network: LoweredNetwork
    act_map: ActMap
    vectors: list[Vector]
    plans: list[LayerPlan]
    encoded: list[Encoded]
    descriptors: NDArray[np.uint64]


def make_load(config: EIEConfig, networks: Sequence[LoweredNetwork]) -> list[Build]:
    """Make the builds of networks that are in the memories together; they fit.

    Their programs follow one another, and so do their pointers, entries and biases. Equal codebooks
    are stored once. All programs use the same rows for their vectors.
    """
    codebooks: dict[bytes, int] = {}
    programs: list[_Program] = []
    first_vector = sum(network.needs.biases for network in networks)
    first_pointer = first_bias = 0
    for network in networks:
        act_map = place_activations(config, network.layers, network.sent, network.vectors,
                                    network.sources, first_bias=first_bias,
                                    first_vector=first_vector)
        programs.append(_place(config, network, act_map, codebooks, first_pointer))
        first_bias += network.needs.biases
        first_pointer += network.needs.pointers

    images = _pack_images(config, programs, codebooks)
    # Biases are before all vectors, and a program has a vector.
    memory = describe_memory(config, images, max(each.act_map.n_words for each in programs))
    builds, first_descriptor = [], 0
    for program in programs:
        network, vectors, act_map = program.network, program.vectors, program.act_map
        builds.append(Build(
            config=config, images=images, first_descriptor=first_descriptor, input=vectors[0],
            input_words=n_words(network.vectors[0], config.n_pe), input_stride=act_map.input_stride,
            layers=tuple(vectors[1:]),
            outputs=tuple(vector for vector, sent in zip(vectors[1:], network.sent) if sent),
            report={**describe_program(config, network, program.plans, program.encoded),
                    "memory": memory},
            patches=network.input.patches, preprocessing=network.input.preprocessing,
            nonnegative_inputs=network.input.nonnegative))
        first_descriptor += len(program.descriptors)
    return builds


def _place(config: EIEConfig, network: LoweredNetwork, act_map: ActMap,
           codebooks: dict[bytes, int], first_pointer: int) -> _Program:
    """Place a network; add its codebooks to those of the load, which are numbered in order."""
    layers, formats = network.layers, network.formats
    fracs = [network.input.frac, *(layer.output_frac for layer in layers)]
    names = ["input", *(layer.name for layer in layers)]
    last_reader = max(at for at, read in enumerate(network.sources) if 0 in read)
    plans = [
        LayerPlan(source=act_map.vectors[read[0]], reads_input=0 in read,
                  frees_input=at == last_reader,
                  source_words=n_words(network.vectors[read[0]], config.n_pe),
                  destination=act_map.vectors[at + 1], bias=act_map.biases[at],
                  rows=layer.n_rows, columns=network.codes[at].counts.shape[2],
                  results=int(network.columns[at + 1].max()) + 1,
                  convolution=_join_parts(config, network.convolutions[at], [
                      act_map.vectors[number] for number in read])
                  if network.convolutions else None,
                  codebook=0 if network.maximum[at] else
                  codebooks.setdefault(chosen.codebook.tobytes(), len(codebooks)),
                  shift=chosen.shift, bias_shift=chosen.bias_shift, relu=layer.relu,
                  sent=network.sent[at], overwrites_result=act_map.overwrites_result[at])
        for at, (layer, chosen, read) in enumerate(zip(layers, formats, network.sources))]
    return _Program(
        network, act_map,
        [Vector(name, base, columns, frac) for name, base, columns, frac
         in zip(names, act_map.vectors, network.columns, fracs)],
        plans, [codes.encode(config) for codes in network.codes],
        pack_program(config, plans, two_inputs=act_map.input_stride > 0,
                     in_regions=act_map.in_regions, first_pointer=first_pointer))


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
        if program.act_map.input_stride \
                and n_input_words(config, program.vectors[0]) % config.n_pe:
            words = max(words, program.act_map.n_words)
    slots = np.zeros((config.n_pe, words * ACTS_PER_WORD), np.int64)
    for program in programs:
        for base, rows, chosen in zip(program.act_map.biases, program.network.rows,
                                      program.network.formats):
            slot, pe = np.divmod(rows, config.n_pe)
            slots[pe, base * ACTS_PER_WORD + slot] = chosen.bias
    return slots.reshape(config.n_pe, words, ACTS_PER_WORD)
