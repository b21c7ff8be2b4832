import dataclasses
import re

import numpy as np
import pytest

from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node, Recurrence, Scan
from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations import Reshape, Tanh
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from support.graphs import Sum, accumulator


class Same(Sum):
    """Sum that claims to keep the format."""

    keeps_format = True


def layers(n_rows, n_cols, *, patches=None, seed=0):
    weight = np.random.default_rng(seed).normal(size=(n_rows, n_cols))
    return Model((ModelLayer("fc", weight),), patches=patches)


class TestGraph:
    def test_computes_nodes_from_named_operands(self):
        fc = layers(2, 3)
        graph = Graph({"x": (3,)}, (Node("a", fc, ("x",)), Node("b", Sum(), ("a", "a"))), ("b",))
        x = np.random.default_rng(1).normal(size=(5, 3))
        np.testing.assert_allclose(evaluate_real(graph, {"x": x})["b"], 2 * fc(x))
        assert graph.shapes == {"x": (3,), "a": (2,), "b": (2,)}

    def test_applies_layers_with_patches_to_each_pixel_and_others_to_the_last_axis(self):
        convolution = layers(4, 9, patches=Patches((1, 5, 5), (3, 3)))
        graph = Graph({"image": (1, 5, 5), "steps": (7, 3)},
                      (Node("conv", convolution, ("image",)), Node("fc", layers(2, 3), ("steps",))),
                      ("conv", "fc"))
        assert (graph.shapes["conv"], graph.shapes["fc"]) == ((4, 3, 3), (7, 2))
        steps = np.random.default_rng(1).normal(size=(2, 7, 3))
        image = np.ones((2, 1, 5, 5))
        computed = evaluate_real(graph, {"image": image, "steps": steps})
        np.testing.assert_allclose(computed["fc"], steps @ layers(2, 3).layers[0].weight.T)
        np.testing.assert_allclose(
            computed["conv"], np.broadcast_to(
                convolution.layers[0].weight.sum(axis=1)[:, None, None], (2, 4, 3, 3)))

    def test_nodes_take_inputs_after_preprocessing(self):
        fc = layers(2, 3)
        graph = Graph({"x": (4, 3), "z": (3,)}, (
            Node("a", fc, ("x",)), Node("b", Sum(), ("z", "z"))), ("a", "b"), preprocessing={
                "x": Preprocessing(np.array([1.0, 2, -3]), np.array([2.0, 1, 0.25]))})
        tensors = {name: np.random.default_rng(1).normal(size=(5, *shape))
                   for name, shape in graph.inputs.items()}
        computed = evaluate_real(graph, tensors)
        scaled = (tensors["x"] - [1, 2, -3]) * [2, 1, 0.25]
        np.testing.assert_allclose(computed["x"], scaled)
        np.testing.assert_allclose(computed["a"], fc(scaled.reshape(-1, 3)).reshape(5, 4, 2))
        np.testing.assert_allclose(computed["b"], 2 * tensors["z"])

    @pytest.mark.parametrize("name, shape, message", [
        ("y", (3,), "preprocessing must be of inputs, not of 'y'"),
        ("x", (4,), "preprocessing of 'x' must have a shape that is broadcast to (2, 3), not (4,)"),
        ("x", (1, 2, 3), "preprocessing of 'x' must have a shape that is broadcast to (2, 3), not "
                         "(1, 2, 3)"),
    ])
    def test_preprocessing_must_suit_an_input(self, name, shape, message):
        with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
            Graph({"x": (2, 3)}, (Node("y", Sum(), ("x", "x")),), ("y",),
                  preprocessing={name: Preprocessing(np.zeros(shape), np.ones(shape))})

    @pytest.mark.parametrize(("inputs", "nodes", "outputs", "message"), [
        ({}, (), ("x",), "a graph must have one or more inputs and outputs"),
        ({"x": (3,)}, (), ("y",), "output 'y' must be a node"),
        ({"x": (3,)}, (Node("x", Sum(), ("x", "x")),), ("x",), "node 'x': name must be unique"),
        ({"x": (3,)}, (Node("y", Sum(), ("x", "z")),), ("y",),
         "node 'y': operand 'z' must be an input or a node before this one"),
        ({"x": (3,), "z": (2,)}, (Node("y", Sum(), ("x", "z")),), ("y",),
         "node 'y': operands must have one shape, not (3,) and (2,)"),
        ({"x": (4,)}, (Node("y", layers(2, 3), ("x",)),), ("y",),
         "node 'y': operand must be vectors of 3, not of shape (4,)"),
        ({"x": (3,)}, (Node("y", layers(2, 3), ("x", "x")),), ("y",),
         "node 'y': layers must have one operand, not 2"),
        ({"x": (3,)}, (Node("y", layers(2, 9, patches=Patches((1, 5, 5), (3, 3))), ("x",)),),
         ("y",), "node 'y': operand must have shape (1, 5, 5), not (3,)"),
        ({"x": (7, 4)}, (Node("y", accumulator(), ("x",)),), ("y",),
         "node 'y': elements of the sequence must have shape (3,), not (4,)"),
        ({"x": (7, 3), "s": (4,)}, (Node("y", accumulator(), ("x", "s")),), ("y",),
         "node 'y': states must have shapes [(3,)], not [(4,)]"),
    ])
    def test_names_the_node_that_is_wrong(self, inputs, nodes, outputs, message):
        with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
            Graph(inputs, nodes, outputs)


class TestFormats:
    @pytest.mark.parametrize(("node", "fracs", "message"), [
        (Node("y", Sum(), ("x", "x")), {"x": 3},
         "fracs must be for all inputs and nodes, and for no others: y"),
        (Node("y", layers(2, 3), ("x",)), {"x": 3, "y": 3},
         "node 'y': layers must be compressed, as there are fracs"),
        (Node("y", Sum(), ("x", "x")), {"x": 3, "y": 24},
         "node 'y': result must have at most 23 fraction bits, 20 more than an operand, not 24: "
         "choose a coarser format"),
        (Node("y", Same(), ("x", "x")), {"x": 3, "y": 4},
         "node 'y': operands and result must have [3, 3] and 3 fraction bits, not [3, 3] and 4"),
    ])
    def test_must_agree(self, node, fracs, message):
        with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
            Graph({"x": (3,)}, (node,), ("y",), fracs)

    @pytest.mark.parametrize(("body", "fracs", "message"), [
        ({}, {"x": 3, "y": 3}, "its graph must have fracs"),
        ({"fracs": {"x": 3, "state": 2, "sum": 3}}, {"x": 3, "y": 3},
         "state 'state' must have 3 fraction bits, as its next value, not 2"),
        ({"fracs": {"x": 2, "state": 3, "sum": 3}}, {"x": 3, "y": 3},
         "operands and result must have [2] and 3 fraction bits, not [3] and 3"),
    ])
    def test_of_a_scan_must_agree_with_those_of_its_body(self, body, fracs, message):
        with pytest.raises(GraphError, match=f"^node 'y': {re.escape(message)}$"):
            Graph({"x": (7, 3)}, (Node("y", accumulator(**body), ("x",)),), ("y",), fracs)

    def test_of_layers_must_be_those_of_the_network(self):
        network = random_network(np.random.default_rng(2), [3, 4], v_width=3, frac=4)
        fracs = {"x": network.input_frac, "y": network.layers[-1].output_frac}
        inputs, node = {"x": (network.layers[0].n_cols,)}, Node("y", network, ("x",))
        assert Graph(inputs, (node,), ("y",), fracs).fracs == fracs
        with pytest.raises(GraphError, match="^node 'y': operands and result must have "):
            Graph(inputs, (node,), ("y",), fracs | {"x": fracs["x"] + 1})


class TestScan:
    def sequence(self):
        return np.random.default_rng(3).normal(size=(2, 5, 3))

    def graph(self, scan):
        return Graph({"x": (5, 3)}, (Node("y", scan, ("x",)),), ("y",))

    def test_keeps_states_from_step_to_step(self):
        x = self.sequence()
        computed = evaluate_real(self.graph(accumulator()), {"x": x})
        np.testing.assert_allclose(computed["y"], np.cumsum(x, axis=1))

    def test_begins_with_the_last_step_in_reverse(self):
        x, scan = self.sequence(), accumulator()
        computed = evaluate_real(self.graph(Scan(scan.body, scan.states, reverse=True)), {"x": x})
        np.testing.assert_allclose(computed["y"], np.cumsum(x[:, ::-1], axis=1)[:, ::-1])

    def test_begins_with_the_states_given(self):
        x, start = self.sequence(), np.ones((2, 3))
        graph = Graph({"x": (5, 3), "start": (3,)}, (Node("y", accumulator(), ("x", "start")),),
                      ("y",))
        np.testing.assert_allclose(evaluate_real(graph, {"x": x, "start": start})["y"],
                                   1 + np.cumsum(x, axis=1))

    def test_body_is_changed_with_all_that_is_read_as_outputs(self):
        scan, seen = accumulator(), []
        scan = Scan(dataclasses.replace(scan.body, nodes=(
            *scan.body.nodes, Node("y", Tanh(), ("sum",))), outputs=("y",)), scan.states, True)

        def change(body):
            seen.append(body.outputs)
            return dataclasses.replace(body, notes=("changed",))

        changed = scan.change_body(change)
        assert seen == [("y", "sum")]
        assert changed.body.outputs == ("y",) and changed.body.notes == ("changed",)
        assert changed.states == scan.states and changed.reverse

    def test_lists_nodes_of_its_body_by_path(self):
        assert [path for path, _ in self.graph(accumulator()).walk()] == ["y", "y/sum"]

    @pytest.mark.parametrize(("states", "message"), [
        ((), "states must be state, the inputs of the body after the first, not []"),
        ((("state", "z"),), "state 'state' must have the shape of 'z', its next value, None, not "
                            "(3,)"),
    ])
    def test_must_have_a_next_value_for_each_state(self, states, message):
        with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
            Scan(accumulator().body, states)

    def test_a_body_has_no_preprocessing(self):
        body = Graph({"x": (3,)}, (Node("y", Sum(), ("x", "x")),), ("y",),
                     preprocessing={"x": Preprocessing(np.zeros(3), np.ones(3))})
        with pytest.raises(GraphError, match="^body must have no preprocessing: preprocess the "
                                             "sequence$"):
            Scan(body, ())


class TestRecurrence:
    def test_has_the_shape_of_its_scan(self):
        assert Recurrence(accumulator(), 5).shape((5, 3)) == (5, 3)

    @pytest.mark.parametrize("shapes, message", [
        ((), "a recurrence must have one operand, a sequence, not 0"),
        (((5, 3), (3,)), "a recurrence must have one operand, a sequence, not 2"),
        (((4, 3),), "steps must be those of the sequence, 4, not 5"),
        (((),), "elements of the sequence must have shape (3,), not ()"),
        (((5, 2),), "elements of the sequence must have shape (3,), not (2,)"),
    ])
    def test_has_one_operand_of_its_steps(self, shapes, message):
        with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
            Recurrence(accumulator(), 5).shape(*shapes)

    @pytest.mark.parametrize("first, result", [((1, 3), (3,)), ((3,), (1, 3))])
    def test_is_of_vectors(self, first, result):
        body = Graph({"x": first}, (Node("y", Reshape(result), ("x",)),), ("y",))
        with pytest.raises(GraphError, match="^elements of the sequence, and results of a step, "
                                             "must be vectors$"):
            Recurrence(Scan(body, ()), 5)
