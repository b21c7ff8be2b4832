"""Compilation of a compressed network to a build."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import pack

from ..build import Build
from ..errors import CompileError, require_words
from ..network import CompressedNetwork, Layer
from ..vectors import NOT_SENT, Vector, n_input_words
from .build_report import describe_build
from .csc import encode, pack_entries, pack_pointers, require_entries
from .dead_rows import LiveNetwork, remove_dead_rows
from .fixed_point import LayerFormat, choose_formats, fix_preprocessing
from .memory_map import ActMap, n_words, place_activations
from .program import LayerPlan, pack_program
from .row_mapping import MAPPINGS, n_slots

__all__ = ["compile_network", "require_pointers"]


def compile_network(network: CompressedNetwork, config: EIEConfig, *,
                    mapping: Literal["balanced", "interleaved"] = "balanced",
                    outputs: Literal["last", "all"] = "last", keep_dead_rows: bool = False
                    ) -> Build:
    """Compile a network for a machine.

    Parameters
    ----------
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs. The inputs of the first layer are always interleaved.
    outputs : ``"last"`` or ``"all"``
        Results that go to the host: those of the last layer or of every layer.
    keep_dead_rows : :class:`bool`
        True to keep the rows and inputs that :func:`~.dead_rows.remove_dead_rows` removes. They are
        also kept if the results of every layer go to the host, or if rows are interleaved, as the
        number of such a row determines its PE.

    Raises
    ------
    CompileError
        If the machine cannot run the network; the message says what to change.
    """
    if mapping not in MAPPINGS:
        raise CompileError(f"mapping must be {' or '.join(MAPPINGS)}, not {mapping!r}")
    if outputs not in ("last", "all"):
        raise CompileError(f"outputs must be last or all, not {outputs!r}")
    _require_widths(config, network)
    preprocessing = fix_preprocessing(config, network)
    live = _choose_rows(config, network, keep_all=keep_dead_rows or outputs == "all"
                        or mapping == "interleaved")
    whole, network, formats = network, live.network, live.formats
    sent = [outputs == "all" or layer is network.layers[-1] for layer in network.layers]
    act_map = place_activations(config, network, sent)
    require_pointers(config, network)
    vectors = [_place_input(whole, live, act_map.vectors[0]),
               *_place_results(config, network, act_map, mapping)]
    encoded = [encode(config, layer.codes, after.columns, before.columns[before.is_sent])
               for layer, before, after in zip(network.layers, vectors, vectors[1:])]
    require_entries(config, [layer.counts for layer in encoded])
    codebooks, numbers = _share_codebooks(config, formats)
    plans = [
        LayerPlan(source=act_map.vectors[at], reads_input=at == 0,
                  source_words=n_words(layer.n_cols, config.n_pe),
                  destination=act_map.vectors[at + 1], bias=act_map.biases[at],
                  rows=layer.n_rows,
                  columns=n_slots(layer.n_cols, config.n_pe) * config.n_pe,
                  codebook=numbers[at], shift=formats[at].shift,
                  bias_shift=formats[at].bias_shift, relu=layer.relu,
                  sent=sent[at], overwrites_result=act_map.overwrites_result[at])
        for at, layer in enumerate(network.layers)]

    layouts = Layouts.of(config)
    images = {"ccu.program": pack_program(
        config, plans, two_inputs=act_map.input_stride > 0, in_regions=act_map.in_regions)}
    pointers = pack_pointers(config, encoded)
    spmat = pack_entries(config, encoded)
    act = pack(layouts.act_word, _place_biases(config, act_map, vectors, formats))
    codebook = pack(layouts.weight, codebooks.ravel())    # identical in every PE
    for pe in range(config.n_pe):
        images |= {f"pe_{pe}.ptr_even": pointers[pe, 0::2], f"pe_{pe}.ptr_odd": pointers[pe, 1::2],
                   f"pe_{pe}.spmat": spmat[pe], f"pe_{pe}.act": act[pe],
                   f"pe_{pe}.codebook": codebook}
    return Build(
        config=config, images=images, input=vectors[0],
        input_words=plans[0].source_words, input_stride=act_map.input_stride,
        layers=tuple(vectors[1:]),
        outputs=tuple(vector for vector, plan in zip(vectors[1:], plans) if plan.sent),
        report=describe_build(config, whole, live, mapping, plans, encoded, images,
                              act_map.n_words),
        patches=whole.patches, preprocessing=preprocessing,
        nonnegative_inputs=network.nonnegative_inputs)


def _require_widths(config: EIEConfig, network: CompressedNetwork) -> None:
    """Check that the network was made for the widths of the machine."""
    for name, option in (("act_width", "--act-width {}"),
                         ("v_width", "--v-width {}"),
                         ("codebook_width", "--config FILE with codebook_width = {}")):
        made_for, there = getattr(network, name), getattr(config, name)
        if made_for not in (None, there):
            raise CompileError(
                f"{name} must be {made_for}, for which the network was compressed, not {there}: "
                f"choose another machine (--config or --preset of `eie compile`), or compress the "
                f"model again for this one (`eie compress {option.format(there)}`)")


def _choose_rows(config: EIEConfig, network: CompressedNetwork, *, keep_all: bool) -> LiveNetwork:
    """Choose the formats of the whole network, then the rows and inputs that remain."""
    formats = choose_formats(config, network)
    return LiveNetwork.whole(network, formats) if keep_all else \
        remove_dead_rows(config, network, formats)


def require_pointers(config: EIEConfig, network: CompressedNetwork) -> int:
    """Compute the words of all pointers in each of the two pointer SRAMs of a PE.

    Raises
    ------
    CompileError
        If the SRAMs have fewer.
    """
    needed = 1    # tiles share the pointer between them
    for layer in network.layers:
        n_tiles = -(-n_slots(layer.n_rows, config.n_pe) // config.acc_depth)
        needed += n_tiles * n_slots(layer.n_cols, config.n_pe) * config.n_pe
    words = -(-needed // 2)
    require_words("each of the two pointer SRAMs of a PE", words, config.ptr_depth,
                  "ptr_depth", where=f" for {needed} pointers, one for each column of each tile",
                  instead=", or acc_depth or n_pe for fewer tiles")
    return words


def _place_input(network: CompressedNetwork, live: LiveNetwork, base: int) -> Vector:
    """Place the live inputs of a network."""
    columns = np.full(network.layers[0].n_cols, NOT_SENT)
    columns[live.inputs] = np.arange(len(live.inputs))
    return Vector("input", base, columns, network.input_frac)


def _place_results(config: EIEConfig, network: CompressedNetwork, act_map: ActMap,
                   mapping: str) -> list[Vector]:
    """Place the results of each layer."""
    vectors = []
    for layer, base in zip(network.layers, act_map.vectors[1:]):
        columns = MAPPINGS[mapping](config, _row_weights(layer))
        vectors.append(Vector(layer.name, base, columns, layer.output_frac))
    return vectors


def _row_weights(layer: Layer) -> NDArray[np.int64]:
    return np.bincount(layer.codes.indices, minlength=layer.n_rows)


def _share_codebooks(config: EIEConfig, formats: list[LayerFormat]
                     ) -> tuple[NDArray[np.int64], list[int]]:
    """Distinct codebooks, and the number of the codebook of each layer."""
    size = 1 << config.v_width
    numbers: dict[bytes, int] = {}
    of_layer = [numbers.setdefault(chosen.codebook.tobytes(), len(numbers)) for chosen in formats]
    require_words("codebook memory", len(numbers) * size, config.n_codebooks * size,
                  "n_codebooks", where=f" for {len(numbers)} codebooks of {size}",
                  raise_to=len(numbers))
    codebooks = np.zeros((len(numbers), size), np.int64)
    for number, chosen in zip(of_layer, formats):
        codebooks[number, :len(chosen.codebook)] = chosen.codebook
    return codebooks, of_layer


def _place_biases(config: EIEConfig, act_map: ActMap, vectors: list[Vector],
                  formats: list[LayerFormat]) -> NDArray[np.int64]:
    """Contents of the activation SRAMs, n_pe × n_words × 4, up to the last bias.

    If the host loads only a part of the last row of an input, the images also clear the rest.
    """
    source, results = vectors[0], vectors[1:]
    words = max(base + n_words(len(vector.columns), config.n_pe)
                for base, vector in zip(act_map.biases, results))
    if act_map.input_stride and n_input_words(config, source) % config.n_pe:
        words = act_map.n_words
    slots = np.zeros((config.n_pe, words * ACTS_PER_WORD), np.int64)
    for base, vector, chosen in zip(act_map.biases, results, formats):
        slot, pe = np.divmod(vector.columns, config.n_pe)
        slots[pe, base * ACTS_PER_WORD + slot] = chosen.bias
    return slots.reshape(config.n_pe, words, ACTS_PER_WORD)
