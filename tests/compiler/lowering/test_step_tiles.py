"""`eie_compiler.lowering.step_tiles`: tiles of a step."""

import dataclasses
import math

import numpy as np
import pytest

from eie_compiler.graph.operations import Affine, Clip, Concat, Multiply, Slice, Tanh
from eie_compiler.lowering.step_copies import drop_copies
from eie_compiler.lowering.step_formats import fit_formats
from eie_compiler.lowering.step_lowering import list_step_stages
from eie_compiler.lowering.step_places import StepPlaces, place_step
from eie_compiler.lowering.step_stages import Drained, StepStages
from eie_compiler.lowering.step_tiles import make_tiles
from eie_compiler.lowering.step_vectors import StepVector
from eie_hdl.format import Table
from support.mixed_steps import MIXED, random_mixed_step
from support.recurrences import CONFIG, StepBody, compare, random_lstm

#: A row has 16 elements, a tile two rows.
WORDS = np.arange(16)
CONVERSION = Clip(-math.inf, math.inf)


def tiles_of(scan, config=CONFIG, mapping="balanced"):
    found = drop_copies(list_step_stages(fit_formats(scan, config), config))
    places = place_step(config, found, mapping, 20)
    return found, places, *make_tiles(config, found, places)


def of_node(tiles, name):
    return [tile for tile in tiles if tile.node == name]


def n_rows(tile):
    return tile.inputs.layer.n_rows // 16


class TestReset:
    @pytest.mark.parametrize("seed", MIXED)
    @pytest.mark.parametrize("depth", [512, 1 << 14])
    def test_states_and_unused_rows_are_cleared_in_all_buffers(self, seed, depth):
        found, places, reset, _ = tiles_of(random_mixed_step(seed), dataclasses.replace(
            CONFIG, act_depth=depth))
        cleared = np.zeros(places.n_words, int)
        for tile in reset:
            assert n_rows(tile) <= 2 and not tile.chosen.bias.any() and tile.operand is None
            cleared[tile.destination:tile.destination + n_rows(tile)] += 1
        for vector, row in places.rows.items():
            first = 0 if vector in found.states else -(-vector.size // 16)
            expected = np.arange(places.sizes[vector]) >= first
            in_buffers = vector == found.input or vector in found.beside
            for buffer in range(places.n_buffers if in_buffers else 1):
                begin = row + buffer * places.words
                assert cleared[begin:][:len(expected)].tolist() == expected.tolist()


class TestWeighted:
    def test_a_layer_has_a_tile_for_each_part_of_its_rows(self):
        found, places, _, step = tiles_of(random_lstm())
        tiles = step[:4]    # 4 · 19 rows, each gate in two rows
        begin = places.rows[found.stages[0].results[0]]
        assert [tile.destination for tile in tiles] == [begin, begin + 2, begin + 4, begin + 6]
        assert all(tile.reads_input and tile.source == 0 and n_rows(tile) == 2 for tile in tiles)
        assert {(tile.convolution.parts, tile.convolution.distance, tile.convolution.local)
                for tile in tiles} == {(2, 32, False)}
        layer = found.stages[0].inputs.layer
        assert sum(tile.inputs.layer.n_nonzeros for tile in tiles) == layer.n_nonzeros
        rows = np.concatenate([tile.inputs.layer.bias for tile in tiles]).reshape(4, 32)
        for gate in range(4):
            columns = places.columns[found.stages[0].results[gate]]
            assert rows[gate, columns].tolist() == layer.bias[19 * gate:][:19].tolist()

    @pytest.mark.parametrize("is_local", [False, True])
    def test_a_sum_reads_its_own_rows_if_it_is_local(self, is_local):
        config = dataclasses.replace(CONFIG, local=is_local)
        _, places, _, step = tiles_of(random_lstm(n_hidden=70), config)    # 5 rows
        tiles = of_node(step, "n11")
        assert [n_rows(tile) for tile in tiles] == [2, 2, 1]
        sources = [tile.source - tiles[0].source for tile in tiles]
        assert sources == ([0, 2, 4] if is_local else [0, 0, 0])
        assert [tile.convolution.source.pitch for tile in tiles] == (
            [32, 32, 16] if is_local else [70, 70, 70])

    @pytest.mark.parametrize("sizes, wide", [((4, 8), 40), ((4, 24), 60), ((40, 3), 90)])
    def test_results_with_rows_of_a_longer_vector_between_them_are_all_computed(self, sizes, wide):
        """The first part of the gates is read together with a vector that has more rows."""
        body = StepBody(1, {"x": 5, "s": 40}, {"x": 10, "s": 10})
        gates = body.layer(["x", "s"], sum(sizes), frac=10)
        one = body.add(Slice(0, 0, sizes[0]), gates, frac=10, size=sizes[0])
        two = body.add(Slice(0, sizes[0], sum(sizes)), gates, frac=10, size=sizes[1])
        y = body.layer([one, body.layer(["x"], wide, frac=10)], 40, frac=10)
        z = body.layer([two, y], 40, frac=10)
        compare(body.scan(z, {"s": z}))


class TestDrained:
    def test_tiles_have_the_rows_of_a_tile_at_most(self):
        _, places, _, step = tiles_of(random_lstm(n_hidden=70))
        tiles = of_node(step, "n7")
        assert [n_rows(tile) for tile in tiles] == [2, 2, 1]
        for name in ("operand", "factor", "destination"):
            rows = [getattr(tile, name) for tile in tiles]
            assert rows == [rows[0], rows[0] + 2, rows[0] + 4]

    def test_a_state_beside_the_input_is_written_in_each_buffer(self):
        found, places, _, step = tiles_of(random_lstm())
        (beside,) = found.beside
        row = places.rows[beside]
        copies = of_node(step, "h")
        assert [tile.destination for tile in copies] == [row, row + places.words]
        assert not any(tile.writes_input for tile in copies)

    def test_another_vector_beside_the_input_is_written_in_the_buffer_of_the_program(self):
        body = StepBody(1, {"x": 5, "s": 8}, {"x": 9, "s": 9})
        t = body.add(Tanh(), "s", frac=14, size=8)
        y = body.layer(["x", t], 8, frac=9)
        scan = body.scan(y, {"s": y})
        found, places, _, step = tiles_of(scan)
        (beside,) = found.beside
        (tile,) = [tile for tile in step if tile.writes_input]
        assert tile.destination == places.rows[beside]
        compare(scan, steps=5)

    def test_factors_are_in_the_columns_of_their_elements(self):
        body = StepBody(1, {"x": 5, "s": 40}, {"x": 9, "s": 9})
        y = body.layer(["x", "s"], 40, frac=9)
        scaled = body.add(Affine(np.arange(1, 41) / 64, 0.0), y, frac=9, size=40)
        scan = body.scan(scaled, {"s": scaled})
        found, places, _, step = tiles_of(scan)
        tiles = of_node(step, scaled)
        assert [len(tile.factors) for tile in tiles] == [32, 16]
        stage = next(stage for stage in found.stages if stage.node == scaled)
        placed = np.concatenate([tile.factors for tile in tiles])
        assert placed[places.columns[stage.result]].tolist() == stage.factors.tolist()
        assert np.count_nonzero(placed) == 40
        compare(scan)


class TestGroups:
    def gates(self, *functions, n=16):
        """Layer whose parts are operands of functions; return the tiles of the step."""
        body = StepBody(1, {"x": 5, "s": n}, {"x": 9, "s": 9})
        layer = body.layer(["x", "s"], len(functions) * n, frac=9)
        made = body.add(functions[0], layer, frac=14, size=len(functions) * n, name="f")
        parts = [body.add(Slice(0, n * at, n * at + n), made, frac=14, size=n)
                 for at in range(len(functions))]
        for one in parts[1:]:
            parts[0] = body.add(Multiply(), parts[0], one, frac=14, size=n)
        h = body.add(CONVERSION, parts[0], frac=9, size=n)
        scan = body.scan(h, {"s": h})
        compare(scan)
        return tiles_of(scan)[3]

    @pytest.mark.parametrize("n, expected", [(16, [2, 1]), (20, [2, 2, 2]), (6, [2, 1])])
    def test_parts_of_an_operation_are_one(self, n, expected):
        assert [n_rows(tile) for tile in of_node(self.gates(*[Tanh()] * 3, n=n), "f")] == expected

    @pytest.mark.parametrize("fracs", [(12, 10, 8), (12, 11, 10), (14, 11, 8)])
    def test_a_conversion_of_a_conversion_is_apart(self, fracs):
        """Both are of one node, with one shift, and their vectors follow one another."""
        body = StepBody(1, {"x": 5, "s": 16}, {"x": 10, "s": 10})
        a = body.layer(["x", "s"], 16, frac=fracs[0])
        b = body.add(Concat(0), a, frac=fracs[1], size=16)
        c = body.add(CONVERSION, b, frac=fracs[2], size=16, name="c")
        d = body.layer([c], 16, frac=10)
        scan = body.scan(d, {"s": d})
        assert [n_rows(tile) for tile in of_node(tiles_of(scan)[3], "c")] == [1, 1]
        compare(scan)

    def test_a_product_of_a_conversion_is_apart(self):
        """The conversion has no factor."""
        body = StepBody(1, {"x": 5, "s": 16}, {"x": 10, "s": 10})
        a = body.layer(["x", "s"], 16, frac=12)
        b = body.add(Concat(0), a, frac=10, size=16)
        c = body.add(Multiply(), b, "s", frac=18, size=16, name="c")
        d = body.layer([c], 16, frac=10)
        assert [n_rows(tile) for tile in of_node(tiles_of(body.scan(d, {"s": d}))[3], "c")] \
            == [1, 1]

    def test_products_with_constants_are_apart(self):
        body = StepBody(1, {"x": 5, "s": 16}, {"x": 9, "s": 9})
        y = body.layer(["x"], 16, frac=9)
        both = body.add(Concat(0), y, "s", frac=9, size=32)
        scaled = body.add(Affine(np.linspace(-1, 1, 32), 0.0), both, frac=9, size=32, name="f")
        z = body.layer([scaled], 16, frac=9)
        scan = body.scan(z, {"s": z})
        assert [n_rows(tile) for tile in of_node(tiles_of(scan)[3], "f")] == [1, 1]
        compare(scan)

    @pytest.mark.parametrize("changes, expected", [
        (({}, {}), 1), (({"factor": 4}, {"factor": 5}), 1), (({"factor": 4}, {"factor": 6}), 2),
        (({"factor": 4}, {}), 2), (({}, {"factor": 5}), 2), (({"operand": None}, {}), 2),
        (({}, {"operand": None}), 2), (({}, {"operand": 4}), 2), (({}, {"result": 4}), 2),
        (({}, {"node": "g"}), 2), (({}, {"shift": 1}), 2), (({}, {"bias_shift": 1}), 2),
        (({}, {"relu": True}), 2), (({}, {"table": Table.TANH}), 2),
        (({"factors": WORDS}, {"factors": WORDS}), 2), (({"factors": WORDS}, {}), 2),
        (({}, {"factors": WORDS}), 2)])
    def test_only_the_same_operation_is_one(self, changes, expected):
        vectors = [StepVector(number, 16, 9) for number in range(7)]
        stages = []
        for at, change in enumerate(changes):
            fields = {"node": "f", "operand": at, "result": 2 + at, **change}
            stages.append(Drained(**{name: vectors[value] if type(value) is int and name in (
                "operand", "result", "factor") else value for name, value in fields.items()}))
        places = StepPlaces({vector: vector.number for vector in vectors},
                            dict.fromkeys(vectors, 1),
                            dict.fromkeys(vectors, np.arange(16)), 1, 1, 7)
        _, step = make_tiles(CONFIG, StepStages(stages, vectors[6], set(), [], ()), places)
        assert len(step) == expected
