"""Small graphs for tests."""

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operation import GraphError, Operation, rescale


class Sum(Operation):
    """Sum of two tensors of one shape."""

    def shape(self, one, other):
        if one != other:
            raise GraphError(f"operands must have one shape, not {one} and {other}")
        return one

    def real(self, one, other):
        return one + other

    def words(self, one, other, *, fracs, frac):
        return rescale(one, fracs[0], frac) + rescale(other, fracs[1], frac)


def accumulator(**options):
    """Graph that sums a sequence."""
    body = Graph({"x": (3,), "state": (3,)}, (Node("sum", Sum(), ("x", "state")),), ("sum",),
                 **options)
    return Scan(body, (("state", "sum"),))
