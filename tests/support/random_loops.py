"""Random loops without a meaning as a convolution, for machines with loops."""

import numpy as np

from eie_hdl.format import Table

from .loop_machine import LoopMachine
from .row_scales import draw_entry

__all__ = ["place_width", "random_machine"]


def random_loop(rng, config, *, n_elements, last_slot):
    """Fields of a loop, which may be beyond the map on all sides; some scan very little.

    With ``local``, one of two is in local mode.
    """
    local = config.local and rng.random() < 0.5
    group = config.n_pe if local else 1
    while True:
        n_segments = int(rng.integers(1, 17)) if rng.random() < 0.3 else int(rng.integers(1, 5))
        length = int(rng.integers(1, 8))
        columns = n_segments * length
        columns += int(rng.integers(min(length, 16 * length - columns + 1)))
        if columns * group < config.n_pointers:
            break
    width = int(rng.integers(1, 12))
    # Sometimes so far that places wrap to just before their start after two steps.
    far = (1 << place_width(config) - 1) // group - 1 if rng.random() < 0.3 else None
    return {
        "x": group * int(rng.integers(-length, width)),
        "x_step": group * (far or int(rng.integers(4))),
        "last_x": int(rng.integers(6)),
        "y": group * int(rng.integers(-2 * width, n_elements // group // 2)),
        "y_step": group * (far or int(rng.integers(2 * width))),
        "segment_step": group * int(rng.integers(2 * width)), "width": group * width,
        "length": group * length, "columns": group * columns, "last_slot": last_slot,
        **({"local": 1} if local else {})}


def _random_mode(rng):
    """Fields of a start that only ``maximum`` has."""
    return {"maximum": int(rng.random() < 0.7), "zeros": int(rng.random() < 0.5)}


def _random_end(config, rng):
    """Rows of the biases, and fields of an end that only machines with more than loops have."""
    n_words = config.tile_words
    fields = {"bias": config.act_depth - n_words}
    if config.products or config.scales:
        n_factors = n_words * (1 + config.scales)
        fields["factor"] = config.act_depth - n_factors - int(rng.integers(4))
    if config.products:
        fields["multiply"] = int(rng.random() < (0.4 if config.scales else 0.7))
    if config.scales:
        fields["scale"] = int(not fields.get("multiply") and rng.random() < 0.8)
    if config.tables:
        fields["table"] = int(rng.choice([table.value for table in Table]))
    return fields


def place_width(config):
    """Bits of a place in a map: one more than those of a column number."""
    return (config.act_depth * 4 * config.n_pe - 1).bit_length() + 1


def random_machine(config, rng):
    """Machine with a tile whose source begins in row 0, and an output of all activations.

    With ``maximum``, two of three tiles take maxima, and half of them send zeros. With
    ``products``, as many multiply activations, or fewer with ``scales``, as half of all are scaled
    then; with ``tables``, functions are at random.

    Returns
    -------
    The machine, and the codes of the tile.
    """
    limit, weights = 1 << config.act_width - 1, 1 << config.codebook_width - 1
    codebooks = rng.integers(-weights, weights, (config.n_codebooks, 1 << config.v_width))
    if config.scales:
        codebooks[:, 0] = [draw_entry(config, lambda low, high: int(rng.integers(low, high + 1)))
                           for _ in codebooks]
    machine = LoopMachine(config, codebooks)
    machine.activations[:] = rng.integers(-limit, limit, machine.activations.shape)
    mode = _random_mode(rng) if config.maximum else {}
    if mode:    # as only few are zero
        machine.activations *= rng.random(machine.activations.shape) < rng.random()
    n_rows = int(rng.integers(1, config.acc_depth + 1))
    destination = int(rng.integers(1, config.act_depth // 2))
    own = _random_end(config, rng)
    n_slots = int(rng.integers(n_rows, 4 * (min(own["bias"], own.get("factor", config.act_depth))
                                            - destination) + 1))
    last = int(rng.integers(destination * machine.group))
    slot, pe = divmod(last, config.n_pe)
    loop = random_loop(rng, config, n_elements=last + 1, last_slot=n_slots - 1)
    shape = n_rows * config.n_pe, loop["columns"]
    codes = rng.integers(1, 1 << config.v_width, shape) * (rng.random(shape) < rng.random())
    if loop.get("local"):
        rows, columns = (np.arange(n) % config.n_pe for n in shape)
        codes *= np.equal.outer(rows, columns)
    # A maximum is in the range of an activation: larger shifts would leave little of it.
    shift, bias_shift = (2, 1) if mode.get("maximum") else (config.max_shift, config.max_bias_shift)
    machine.tile(
        codes, loop=loop, result_barrier=1,
        start={"source": 0, "last_word": slot // 4, "last_lane": slot % 4, "last_pe": pe,
               "codebook": int(rng.integers(config.n_codebooks)), **mode},
        end={"destination": destination, "relu": int(rng.integers(2)),
             "shift": int(rng.integers(shift + 1)),
             "bias_shift": int(rng.integers(bias_shift + 1)), **own})
    machine.send(0, config.act_depth * machine.group)
    return machine, codes
