"""Random loops without a meaning as a convolution, for machines with loops."""

from .loop_machine import LoopMachine

__all__ = ["place_width", "random_machine"]


def random_loop(rng, config, *, n_rows, n_elements, last_slot):
    """Fields of a loop, which may be beyond the map on all sides; some scan very little."""
    n_segments = int(rng.integers(1, 17)) if rng.random() < 0.3 else int(rng.integers(1, 5))
    length = int(rng.integers(1, 8))
    columns = n_segments * length
    columns += int(rng.integers(min(length, 16 * length - columns + 1)))
    width = int(rng.integers(1, 12))
    # Sometimes so far that places wrap to just before their start after two steps.
    far = (1 << place_width(config) - 1) - 1 if rng.random() < 0.3 else None
    return {
        "x": int(rng.integers(-length, width)),
        "x_step": far or int(rng.integers(4)),
        "last_x": int(rng.integers(6)),
        "y": int(rng.integers(-2 * width, n_elements // 2)),
        "y_step": far or int(rng.integers(2 * width)),
        "segment_step": int(rng.integers(2 * width)), "width": width, "length": length,
        "columns": columns, "last_slot": last_slot}


def place_width(config):
    """Bits of a place in a map: one more than those of a column number."""
    return (config.act_depth * 4 * config.n_pe - 1).bit_length() + 1


def random_machine(config, rng):
    """Machine with a tile whose source begins in row 0, and an output of all activations."""
    limit, weights = 1 << config.act_width - 1, 1 << config.codebook_width - 1
    machine = LoopMachine(config, rng.integers(
        -weights, weights, (config.n_codebooks, 1 << config.v_width)))
    machine.activations[:] = rng.integers(-limit, limit, machine.activations.shape)
    n_rows = int(rng.integers(1, config.acc_depth + 1))
    destination = int(rng.integers(1, config.act_depth // 2))
    bias = config.act_depth - config.tile_words
    n_slots = int(rng.integers(n_rows, 4 * (bias - destination) + 1))
    last = int(rng.integers(destination * machine.group))
    slot, pe = divmod(last, config.n_pe)
    loop = random_loop(rng, config, n_rows=n_rows, n_elements=last + 1, last_slot=n_slots - 1)
    shape = n_rows * config.n_pe, loop["columns"]
    codes = rng.integers(1, 1 << config.v_width, shape) * (rng.random(shape) < rng.random())
    machine.tile(
        codes, loop=loop, result_barrier=1,
        start={"source": 0, "last_word": slot // 4, "last_lane": slot % 4, "last_pe": pe,
               "codebook": int(rng.integers(config.n_codebooks))},
        end={"destination": destination, "bias": bias, "relu": int(rng.integers(2)),
             "shift": int(rng.integers(config.max_shift + 1)),
             "bias_shift": int(rng.integers(config.max_bias_shift + 1))})
    machine.send(0, config.act_depth * machine.group)
    return machine, codes
