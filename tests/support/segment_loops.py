"""Random loops of descriptors, and the segments that they walk, as numbers of columns."""

from eie_hdl.format import Layouts, last_element
from eie_hdl.numeric import wrap

__all__ = ["random_fields", "walk"]


def walk(config, fields):
    """Expected segments as (first, last, origin, last, closes); `first` is None if it is empty."""
    loop, rows = fields["loop"], 4 * fields["end"]["last_word"] + fields["end"]["last_lane"] + 1
    start = fields["start"]
    base = 4 * config.n_pe * start["source"]
    extent = (4 * start["last_word"] + start["last_lane"]) * config.n_pe + start["last_pe"] + 1
    width = Layouts.of(config).scan["column"].shape.width + 1
    n_segments = loop["columns"] // loop["length"]
    per_pointer = config.n_pe if loop.get("local") else 1
    slot, row_y = 0, loop["y"]
    while True:
        x = loop["x"]
        for _ in range(loop["last_x"] + 1):
            closes = slot + 2 * rows > loop["last_slot"] + 1
            y = row_y
            for number in range(n_segments):
                first, last = max(x, 0), min(x + loop["length"], loop["width"]) - 1
                is_last = number == n_segments - 1
                if 0 <= y <= extent - loop["width"] and first <= last:
                    before = number * loop["length"] - (base + y + x)
                    origin = fields["ptr_base"] + before // per_pointer
                    yield base + y + first, base + y + last, origin, is_last, closes
                elif is_last:
                    yield None, None, None, is_last, closes
                y = wrap(y + loop["segment_step"], width)
            if closes:
                return
            slot += rows
            x = wrap(x + loop["x_step"], width)
        row_y = wrap(row_y + loop["y_step"], width)


def random_fields(config, rng):
    """Descriptor of a random convolution on a random map, with surplus pixels in a row.

    With ``local``, two of three are in local mode.
    """
    group = config.n_pe if config.local and rng.random() < 2 / 3 else 1
    mode = {"local": int(group == config.n_pe)} if config.local else {}
    pitch, n_x, n_y = group * rng.randint(1, 5), rng.randint(1, 4), rng.randint(1, 4)
    height, width = rng.randint(1, 4), rng.randint(1, 4)
    kernel = rng.randint(1, 4), rng.randint(1, 4)
    padding = rng.randint(0, 2), rng.randint(0, 2)
    row = pitch * (width + rng.randint(0, 1))
    step, length = rng.randint(1, 3), kernel[1] * pitch
    last_row = rng.randrange(min(6, config.acc_depth))
    rows = last_row + 1
    return {
        "start": {"source": rng.randrange(3), **last_element(config, height * row)},
        "end": {"last_word": last_row // 4, "last_lane": last_row % 4},
        "ptr_base": rng.randrange(20),
        "loop": {
            "x": -padding[1] * pitch, "x_step": step * pitch, "last_x": n_x - 1,
            "width": width * pitch, "y": -padding[0] * row, "y_step": rng.randint(1, 3) * row,
            "segment_step": rng.randint(1, 2) * row, "length": length,
            "columns": kernel[0] * length + rng.randrange(length) // group * group, **mode,
            "last_slot": rows * n_x * n_y - 1 + rng.randrange(rows)}}
