"""Core with products, tables and scales, in Amaranth's simulator: vectors without activations.

A step of a recurrent cell is made of such tiles. Results are computed directly and by the golden
model.
"""

import numpy as np
import pytest

from eie_compiler.graph.operations import Sigmoid, Tanh
from eie_compiler.vectors import result_order
from eie_hdl.config import EIEConfig
from eie_hdl.core import Core
from eie_hdl.format import Table
from eie_hdl.numeric import limits, round_shift, saturate, wrap
from eie_sim.golden.model import GoldenModel
from support.counting import counting
from support.loop_machine import LoopMachine
from support.row_scales import make_entry, scale_row
from support.simulation import get_vector, image_words, nothing, put

#: Small widths and memories.
SMALL = {"v_width": 2, "z_width": 2, "act_width": 8, "codebook_width": 8, "acc_width": 17,
         "acc_depth": 16, "entries_per_word": 2, "spmat_depth": 64, "n_codebooks": 1,
         "ptr_depth": 16, "program_depth": 16, "act_depth": 32, "loops": True, "products": True,
         "tables": True}

MACHINES = {
    "two PEs": EIEConfig(n_pe=2, **SMALL),
    "one PE, five stages": EIEConfig(n_pe=1, mac_stages=5, local=True, maximum=True, **SMALL),
    "16 bits": EIEConfig(n_pe=2, scales=True, **SMALL | {
        "act_width": 16, "codebook_width": 16, "acc_width": 34, "n_codebooks": 4}),
}

#: Rounding and zero point of each codebook with scales.
QUANTISERS = [(0, 100), (7, -128), (7, 127), (15, 0)]

OPERATIONS = {Table.SIGMOID: Sigmoid(), Table.TANH: Tanh()}

#: Places of four vectors of up to four rows, and of a row that is never written: the source of
#: tiles without activations.
A, B, C, D, NOTHING = 1, 5, 9, 13, 31

CountingCore = counting(Core, lambda core: core.counted)


class Vectors:
    """Program on vectors, and what it makes of them.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    activations : int64 (act_depth * 4 * n_pe,)
        Contents of the activation SRAMs.
    """

    def __init__(self, config, activations):
        self.config = config
        codebooks = np.ones((config.n_codebooks, 1 << config.v_width), np.int64)
        if config.scales:
            codebooks[:, 0] = [make_entry(config, *each) for each in QUANTISERS]
        self.machine = LoopMachine(config, codebooks)
        self.machine.activations[:] = self.expected = activations.copy()

    def add(self, to, bias, *, n_rows, factor=None, table=Table.NONE, shift=0, relu=0, codes=None,
            bias_shift=0, scale=None, codebook=0):
        """Add a tile of one pixel of `n_rows` rows, with activations of row 0 if it has `codes`.

        With `scale`, the row of fractions and shifts, it is quantised as its codebook says.
        """
        n_pe, group = self.config.n_pe, self.machine.group
        has_codes = codes is not None
        codes = codes if has_codes else np.zeros((n_rows * n_pe, 1), np.int64)
        n_columns = codes.shape[1]
        self.machine.tile(
            codes, barrier=1, result_barrier=1,
            start={"source": 0 if has_codes else NOTHING, "last_word": 0, "last_lane": 3,
                   "last_pe": n_pe - 1, "codebook": codebook},
            end={"destination": to, "bias": bias, "table": table.value, "shift": shift,
                 "relu": relu, "bias_shift": bias_shift,
                 **({} if factor is None else {"multiply": 1, "factor": factor}),
                 **({} if scale is None else {"scale": 1, "factor": scale})},
            # Its row of the map is before the first one.
            loop={"width": group, "length": n_columns, "y": 0 if has_codes else -1,
                  "last_slot": n_rows - 1})
        act = self.expected
        take = {name: act[place * group:][:n_rows * n_pe].copy()
                for name, place in {"bias": bias, "factor": factor or 0}.items()}
        acc = (codes != 0) @ act[:n_columns] if has_codes else np.zeros(n_rows * n_pe, np.int64)
        acc = acc + (take["bias"] << bias_shift if factor is None else
                     take["bias"] * take["factor"])
        acc = wrap(acc, self.config.acc_width)
        results = round_shift(acc, shift)
        words = saturate(np.maximum(results, 0) if relu else results, self.config.act_width)
        if scale is not None:
            rounding, zero = QUANTISERS[codebook]
            pairs = act[scale * group:][:2 * -(-len(acc) // group) * group].reshape(-1, 2, group)
            fractions, shifts = (pairs[:, n].ravel() for n in range(2))
            words = np.array([scale_row(self.config, *map(int, row), shift=shift, relu=relu,
                                        rounding=rounding, zero=zero)
                              for row in zip(acc, fractions, shifts)])
        if table is not Table.NONE:
            words = OPERATIONS[table].words(words, fracs=[self.config.act_width - 5],
                                            frac=self.config.act_width - 2)
        act[to * group:][:len(words)] = words
        end = to * group + len(words)
        act[end:end + -len(words) % group] = 0

    def send(self):
        """Add an output of all activations."""
        self.machine.send(0, self.config.act_depth * self.machine.group)


def random_activations(rng, config):
    low, high = limits(config.act_width)
    n = config.act_depth * 4 * config.n_pe
    return np.where(rng.random(n) < 0.2, rng.choice([low, -1, 0, 1, high], n),
                    rng.integers(low, high + 1, n))


def check(simulate, vectors, *, stall=0.0):
    """Run the program on the core; compare all activations, and those of the golden model."""
    config, images = vectors.config, vectors.machine.images()
    dut = CountingCore(config)
    (golden,), _ = GoldenModel(config, images).run_counted(np.zeros((1, 0), np.int64))
    assert golden[0].tolist() == vectors.expected.tolist()
    order = result_order(config, golden.shape[1])

    async def host(ctx):
        await put(ctx, dut.load, image_words(config, images))
        await put(ctx, dut.run, [{}])
        while not ctx.get(dut.done):
            await ctx.tick()

    async def consumer(ctx):
        assert await get_vector(ctx, dut.result, stall=stall) == vectors.expected[order].tolist()
        await nothing(ctx, dut.result, cycles=8)

    simulate(dut, host, consumer)


machines = pytest.mark.parametrize("config", MACHINES.values(), ids=MACHINES)


@machines
@pytest.mark.parametrize("n_rows", [1, 16, *(pytest.param(n, marks=pytest.mark.full)
                                              for n in (2, 3, 4, 5, 7, 8, 13))])
@pytest.mark.parametrize("to, bias, factor", [
    (A, B, C), (B, B, C), (C, B, C), (A, C, C), (C, C, C)],
    ids=["elsewhere", "over the biases", "over the factors", "a square", "a square in place"])
def test_products_of_vectors(simulate, config, n_rows, to, bias, factor):
    """One row, a full tile, and rows that end in each lane."""
    rng = np.random.default_rng(n_rows)
    vectors = Vectors(config, random_activations(rng, config))
    vectors.add(to, bias, factor=factor, n_rows=n_rows, shift=config.act_width - 1)
    vectors.send()
    check(simulate, vectors)


@machines
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full)
                                       for seed in range(1, 9))])
def test_a_step_of_a_recurrent_cell(simulate, config, seed, stall):
    """Gates, products of gates and states, and functions; each tile reads those before it.

    Tiles with biases are next to tiles that multiply, and all functions follow one another.
    """
    rng = np.random.default_rng(seed)
    vectors = Vectors(config, random_activations(rng, config))
    n_rows, width = int(rng.integers(1, 17)), config.act_width
    codes = rng.integers(0, 2, (n_rows * config.n_pe, 4))
    vectors.add(A, 17, n_rows=n_rows, codes=codes, table=Table.SIGMOID, shift=1)
    vectors.add(B, 21, n_rows=n_rows, codes=codes, table=Table.TANH, bias_shift=1)
    vectors.add(C, D, n_rows=n_rows, factor=A, shift=width - 2)
    vectors.add(D, A, n_rows=n_rows, factor=B, shift=width - 2)
    vectors.add(C, C, n_rows=n_rows, factor=D, codes=codes, shift=2, table=Table.NONE, relu=1)
    vectors.add(B, C, n_rows=n_rows, table=Table.TANH)
    vectors.add(A, B, n_rows=n_rows, table=Table.SIGMOID, relu=1)
    vectors.add(A, A, n_rows=n_rows, factor=B, shift=width - 2, table=Table.TANH)
    vectors.send()
    check(simulate, vectors, stall=stall)


@machines
@pytest.mark.parametrize("table", Table)
@pytest.mark.parametrize("with_relu", [0, 1])
def test_rows_after_the_last_one_are_zero_and_those_before_are_not(simulate, config, table,
                                                                    with_relu):
    """Sigmoid of zero is a half, also in unused slots of a tile, but not after its last lane."""
    activations = np.full(config.act_depth * 4 * config.n_pe, 1)
    activations[B * 4 * config.n_pe:D * 4 * config.n_pe] = 0
    vectors = Vectors(config, activations)
    vectors.add(A, B, factor=C, n_rows=6, table=table, relu=with_relu)
    zero = 1 << config.act_width - 3 if table is Table.SIGMOID else 0
    group = 4 * config.n_pe
    written = vectors.expected[A * group:(A + 2) * group]
    assert written.tolist() == [zero] * 6 * config.n_pe + [0] * 2 * config.n_pe
    vectors.send()
    check(simulate, vectors)


scaled = pytest.mark.parametrize("config", [config for config in MACHINES.values()
                                            if config.scales], ids=["16 bits"])


@scaled
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.full)
                                          for seed in range(2, 9))])
def test_tiles_of_all_kinds_alternate(simulate, config, seed, stall):
    """Scaled ones of different codebooks, others, products, functions; without activations, too.

    Rows that fill up the last word are 0, whatever the zero point of the tile.
    """
    rng = np.random.default_rng(seed)
    vectors = Vectors(config, random_activations(rng, config))
    n_rows = int(rng.choice([1, 5, 16, rng.integers(1, 17)]))
    codes = rng.integers(0, 2, (n_rows * config.n_pe, 4))
    vectors.add(A, 17, n_rows=n_rows, codes=codes, scale=21, codebook=1, shift=2)
    vectors.add(B, 17, n_rows=n_rows, codes=codes, codebook=2, shift=2)
    vectors.add(C, A, n_rows=n_rows, factor=B, codebook=1, shift=12)
    vectors.add(D, C, n_rows=n_rows, scale=21, codebook=2, shift=1, bias_shift=2)
    vectors.add(C, D, n_rows=n_rows, scale=21, codebook=0, relu=1, table=Table.TANH)
    vectors.add(A, B, n_rows=n_rows, scale=21, codebook=1, relu=1)
    vectors.add(D, A, n_rows=n_rows, codes=codes, scale=22, codebook=3, shift=3)
    vectors.add(B, C, n_rows=n_rows, codebook=2, table=Table.SIGMOID)
    vectors.add(D, C, n_rows=n_rows, scale=21, codebook=2, shift=31, table=Table.SIGMOID)
    vectors.send()
    check(simulate, vectors, stall=stall)


@scaled
@pytest.mark.parametrize("codebook", range(len(QUANTISERS)))
@pytest.mark.parametrize("relu", [0, 1])
def test_extremes_of_scales(simulate, config, codebook, relu):
    """Factors of 1 and almost 2, shifts of 0 and 15, beyond the greatest one, and both limits."""
    low, high = limits(config.act_width)
    group = 4 * config.n_pe
    activations = np.zeros(config.act_depth * group, np.int64)
    activations[B * group:(B + 2) * group] = np.repeat([low, high, -1, 1], group // 2)
    rows = activations[21 * group:25 * group].reshape(2, 2, group)
    rows[:, 0], rows[:, 1] = np.resize([0, -1], group), np.resize([0, 0, 15, 15, -1], group)
    vectors = Vectors(config, activations)
    for to, shift in ((A, 0), (C, 7), (D, config.max_shift)):
        vectors.add(to, B, n_rows=7, scale=21, codebook=codebook, shift=shift, relu=relu,
                    bias_shift=min(shift, config.max_bias_shift))
    vectors.send()
    check(simulate, vectors)


@machines
def test_extremes_of_products(simulate, config):
    """The square of the lowest number, that of the greatest, and their product."""
    low, high = limits(config.act_width)
    group = 4 * config.n_pe
    activations = np.zeros(config.act_depth * group, np.int64)
    activations[B * group:(B + 1) * group] = np.resize([low, low, high, high], group)
    activations[C * group:(C + 1) * group] = np.resize([low, high, low, high], group)
    vectors = Vectors(config, activations)
    vectors.add(A, B, factor=C, n_rows=4, shift=config.act_width - 1)
    assert sorted(set(vectors.expected[A * group:(A + 1) * group])) == sorted(
        {high, high - 1, -high})
    vectors.send()
    check(simulate, vectors)
