"""One operator of a TensorFlow Lite model, while it is translated to ONNX."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from .common import FrontEndError
from .tflite_constants import Constant
from .tflite_file import File
from .tflite_layout import order_of
from .tflite_records import LIMITS, Operator, Tensor, name_of
from .tflite_writer import Writer

__all__ = ["Site"]

#: Activation that an operator includes -> its limits.
_ACTIVATIONS = {"RELU": (0.0, None), "RELU_N1_TO_1": (-1.0, 1.0), "RELU6": (0.0, 6.0)}


class Site:
    """Operator with its tensors, and the writer of its nodes.

    Attributes
    ----------
    writer : :class:`~.tflite_writer.Writer`
        Graph in ONNX.
    operator : :class:`~.tflite_records.Operator`
        Operator.
    """

    def __init__(self, file: File, writer: Writer, operator: Operator) -> None:
        self._file = file
        self.writer = writer
        self.operator = operator

    @property
    def output(self) -> Tensor:
        """Result of the operator."""
        return self._file.tensor(self.operator.outputs[0])

    def has(self, place: int) -> bool:
        """Check if an input is given."""
        return len(self.operator.inputs) > place and self.operator.inputs[place] >= 0

    def options(self, name: str) -> Callable[[str], Any]:
        """Get a function that reads fields of the options, which are of this class."""
        return self.operator.options(name)

    def tensor(self, place: int = 0) -> Tensor:
        """Get an input."""
        if not self.has(place):
            raise FrontEndError(f"input {place} must be given")
        return self._file.tensor(self.operator.inputs[place])

    def value(self, place: int = 0) -> str:
        """Name an input in ONNX."""
        return self.writer.value(self.tensor(place).index)

    def is_constant(self, place: int = 0) -> bool:
        """Check if an input is a constant."""
        return self.writer.is_constant(self.tensor(place).index)

    def constant(self, place: int) -> Constant:
        """Get a constant input with the axes of TensorFlow."""
        return self.writer.constant(self.tensor(place).index)

    def integers(self, place: int) -> list[int]:
        """Get an input of constant integers, such as axes."""
        tensor = self.tensor(place)
        if tensor.data is None or tensor.data.dtype.kind != "i":
            raise FrontEndError(f"input {tensor.name!r} must be constant integers")
        return [int(number) for number in tensor.data.flat]

    def node(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of ONNX with the name of the result."""
        return self.writer.node(operation, inputs, self.output.name, **attributes)

    def parameter(self, place: int, constant: Constant) -> str:
        """Add a constant made of an input, and name it."""
        return self.writer.add_constant(self.tensor(place).name, constant)

    def array(self, name: str, array: NDArray[Any]) -> str:
        """Add an array, such as axes, and name it."""
        return self.writer.add_array(f"{self.output.name}.{name}", array)

    def broadcast(self, place: int) -> str:
        """Name an input with as many axes as the result has."""
        tensor, rank = self.tensor(place), len(self.output.shape)
        if self.is_constant(place):
            constant = self.constant(place).expand(rank)
            return self.parameter(place, constant.transpose(order_of(constant.array.ndim)))
        more = max(rank - len(tensor.shape), 0)
        return self.writer.reshape(self.value(place), tensor.shape, (1,) * more + tensor.shape,
                                   f"{self.output.name}.operand")

    def check_scales(self) -> None:
        """Check that the operands have the scale and the zero point of the result."""
        given = [self.output, *(self.tensor(place) for place in range(len(self.operator.inputs)))]
        if len({(each.quantisation.scale.tobytes(), each.quantisation.zero.tobytes())
                for each in given if each.quantisation is not None}) > 1:
            raise FrontEndError("result must have the scale and the zero point of the operands: "
                                "convert the model again")

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.writer.notes:
            self.writer.notes.append(text)

    def activate(self, value: str, number: int) -> str:
        """Apply the activation that the operator includes."""
        name = name_of(tflite.ActivationFunctionType, number)
        if name == "NONE":
            return value
        if name not in _ACTIVATIONS:
            raise FrontEndError(f"activation must be NONE, {', '.join(_ACTIVATIONS)}, not {name}: "
                                "let it be an operator of its own")
        return self.clip(value, *_ACTIVATIONS[name])

    def clip(self, value: str, low: float, high: float | None) -> str:
        """Limit a value where the integers of the result do not."""
        output = self.output
        if output.kind in LIMITS and output.quantisation is not None:
            least, greatest = LIMITS[output.kind]
            scale, zero = output.quantisation.scale.item(), output.quantisation.zero.item()
            is_low = zero + round(low / scale) <= least
            if high is not None and zero + round(high / scale) >= greatest:
                high = None
            if is_low and high is None:
                return value
        if high is None and low == 0:
            return self.node("Relu", value)
        limits = [self.array("limit", np.array(limit, np.float32))
                  for limit in (low, high) if limit is not None]
        return self.node("Clip", value, *limits)
