"""TensorFlow Lite files, and their results in the interpreter of LiteRT, for tests."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

__all__ = ["TYPES", "FileMaker", "interpret"]

TYPES = {np.dtype(np.float32): "FLOAT32", np.dtype(np.float16): "FLOAT16",
         np.dtype(np.int8): "INT8", np.dtype(np.uint8): "UINT8", np.dtype(np.int16): "INT16",
         np.dtype(np.int32): "INT32", np.dtype(np.int64): "INT64"}


class FileMaker:
    """Tensors and operators of a file, added one by one."""

    def __init__(self):
        self.tensors, self.buffers, self.operators, self.codes = [], [schema.BufferT()], [], {}

    def tensor(self, name, shape, data=None, *, kind=None, scale=None, axis=0):
        tensor = schema.TensorT(name=name, shape=list(shape), hasRank=True)
        tensor.type = getattr(schema.TensorType,
                              kind or ("FLOAT32" if data is None else TYPES[data.dtype]))
        if data is not None:
            self.buffers.append(schema.BufferT(data=np.frombuffer(
                np.ascontiguousarray(data).tobytes(), np.uint8)))
            tensor.buffer = len(self.buffers) - 1
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT(
                scale=np.atleast_1d(np.float32(scale[0])),
                zeroPoint=np.atleast_1d(np.int64(scale[1])), quantizedDimension=axis)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, kind, inputs, outputs, options=None):
        place = self.codes.setdefault(kind, len(self.codes))
        made = schema.OperatorT(opcodeIndex=place, inputs=inputs, outputs=outputs)
        if options is not None:
            made.builtinOptions = options
            made.builtinOptionsType = getattr(schema.BuiltinOptions,
                                              type(options).__name__.removesuffix("T"))
        self.operators.append(made)

    def pack(self, inputs, outputs, change=None):
        """Make a file; `change` edits the object of the model before."""
        codes = []
        for kind in self.codes:
            number = getattr(schema.BuiltinOperator, kind)
            codes.append(schema.OperatorCodeT(builtinCode=number, version=1,
                                              deprecatedBuiltinCode=min(number, 127)))
        graph = schema.SubGraphT(tensors=self.tensors, inputs=inputs, outputs=outputs,
                                 operators=self.operators, name="main")
        model = schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph],
                              buffers=self.buffers, description="made by hand")
        if change is not None:
            change(model)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def interpret(content, x, *, every=False, plain=False):
    """Compute the outputs for samples with the interpreter, one by one.

    Integers are given and returned as such. With `every`, all tensors are returned by name. With
    `plain`, the kernels of the interpreter compute, not those of XNNPACK.
    """
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_preserve_all_tensors=every,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        if every or plain else OpResolverType.AUTO)
    interpreter.allocate_tensors()
    given, = interpreter.get_input_details()
    result, = interpreter.get_output_details()
    found = []
    for sample in x:
        interpreter.set_tensor(given["index"],
                               sample.reshape(given["shape"]).astype(given["dtype"]))
        interpreter.invoke()
        found.append({each["name"]: interpreter.get_tensor(each["index"])
                      for each in interpreter.get_tensor_details()
                      if each["name"]} if every
                     else interpreter.get_tensor(result["index"]))
    if every:
        return {name: np.array([each[name] for each in found]) for name in found[0]}
    return np.concatenate(found)
