"""Limits of the work of converting an exported program, as a small file can ask for much."""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from .common import FrontEndError
from .pytorch_export import quiet, reason_of

__all__ = ["check_work"]

#: Most operations that those of a program consist of.
_MAX_OPERATIONS = 1 << 14

#: Most tensors in the lists that operations return; PyTorch makes a node of each.
_MAX_RESULTS = 1 << 10

#: Most steps of recurrent layers, each of which PyTorch traces.
_MAX_STEPS = 1 << 12

_RECURRENT = {"aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"}

#: Operations that return a tensor for each element of an axis, or for each part of that size.
_BY_ELEMENT, _BY_SIZE = {"aten::unbind"}, {"aten::split", "aten::unsafe_split"}


def check_work(program: "torch.export.ExportedProgram") -> None:
    """Check that the operations of a program are few, before it is converted.

    The shapes that count are those that the operations compute, as a file can declare others;
    tensors have no elements here.

    Raises
    ------
    FrontEndError
        If the program has too many operations or results, or shapes that do not match.
    """
    inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
    try:
        with quiet(), torch.no_grad(), FakeTensorMode():
            fakes = [torch.empty([_length(size) for size in each.shape], dtype=each.dtype)
                     for each in inputs]
            with _Work():
                _Interpreter(program.graph_module).run(*fakes)
    except Exception as error:    # of any operation
        reason = reason_of(error)
        if isinstance(error, FrontEndError):
            raise FrontEndError(reason) from None    # without the node in PyTorch's form
        raise FrontEndError(f"operations must match the shapes of their tensors: {reason}"
                            ) from error


def _length(size: Any) -> int:
    """Return a size, or of an open one that which PyTorch takes as its example."""
    return int(size.node.hint) if isinstance(size, torch.SymInt) else size


class _Interpreter(torch.fx.Interpreter):
    """Interpreter that limits the steps of recurrent layers."""

    _steps = 0

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call a function, after the steps of a recurrent layer have been counted."""
        if isinstance(target, torch._ops.OpOverload) and target._schema.name in _RECURRENT:
            self._steps += max(args[0].shape[:-1])    # in either order with the batch
            if self._steps > _MAX_STEPS:
                raise FrontEndError(f"recurrent layers must have at most {_MAX_STEPS} steps in "
                                    f"all, not {self._steps} or more")
        return super().call_function(target, args, kwargs)


class _Work(TorchDispatchMode):
    """Counts of operations and of their results."""

    def __init__(self) -> None:
        super().__init__()
        self._operations = self._results = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._operations += 1
        if any(str(each.type) == "List[Tensor]" for each in func._schema.returns):
            self._results += _n_results(func, *args)
        for n, most, kind in ((self._operations, _MAX_OPERATIONS, "operations"),
                              (self._results, _MAX_RESULTS, "tensors in lists")):
            if n > most:
                raise FrontEndError(f"program must have at most {most} {kind}, not {n} or more, "
                                    f"at {func}")
        return func(*args, **(kwargs or {}))


def _n_results(func: Any, tensor: Any, of: Any = 0, axis: int = 0) -> int:
    """Count the tensors of the list that an operation will return."""
    if isinstance(of, list):
        return len(of)
    name = func._schema.name
    length = tensor.shape[of if name in _BY_ELEMENT else axis]
    if name not in _BY_ELEMENT | _BY_SIZE:
        raise FrontEndError(f"parts of a tensor must be of a known number, not those of {func}")
    return -(-length // of) if name in _BY_SIZE and of else length
