"""TensorFlow Lite files that are damaged or refer to the same parts too often are refused."""

import random
import re
import time
import warnings

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, FrontEndWarning, read_model

pytest.importorskip("tflite", reason="needs the extra [tflite]")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert", reason="needs the extra [test]")

import flatbuffers  # noqa: E402
from ai_edge_litert import schema_py_generated as schema  # noqa: E402

from eie_compiler.frontends.tflite import from_tflite  # noqa: E402
from eie_compiler.frontends.tflite_file import File  # noqa: E402
from eie_compiler.frontends.tflite_records import name_of  # noqa: E402
from eie_compiler.frontends.tflite_writer import Writer  # noqa: E402
from support.mutations import change_bytes  # noqa: E402
from support.tflite_models import Network  # noqa: E402


def small():
    net = Network(1, 4, 4, 2)
    x = net.pool(net.conv(0, 3, (2, 2), activation="RELU6"), "MAX")
    net.dense(net.reshape(x, 1, 12), 2)
    return net


SAMPLES = np.random.default_rng(0).normal(0, 1, (4, 4, 4, 2)).astype(np.float32)
CONTENT = small().integers(SAMPLES)


def is_read(content):
    """Read a file that may be damaged; true if it is a model, false if it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        try:
            from_tflite(content)
        except ValueError as error:    # GraphError and ModelError as well
            assert type(error).__module__.startswith("eie_compiler"), repr(error)
            return False
    return True


def test_a_change_of_any_byte_gives_a_model_or_an_error():
    net = Network(1, 2, 2, 1)
    net.dense(net.conv(0, 1, (1, 1)), 1)
    content = net.integers(SAMPLES[:, :2, :2, :1])
    assert is_read(content)
    assert {is_read(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1:])
            for place in range(len(content))} == {True, False}


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_give_a_model_or_an_error(seed):
    rng = random.Random(seed)
    for _ in range(150):
        is_read(change_bytes(rng, CONTENT))


def test_an_incomplete_file_is_refused():
    for size in range(0, len(CONTENT) - 4, 31):
        assert not is_read(CONTENT[:size])


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL2")
    with pytest.raises(FrontEndError, match=f"^{re.escape(str(path))}: must be a TensorFlow Lite "
                                            "model, whose bytes 4 to 7 are TFL3, not b'TFL2'$"):
        read_model(path)


def edit(part, place, **fields):
    """Make a change of fields of a tensor or buffer."""
    def change(model):
        parts = model.buffers if part == "buffer" else model.subgraphs[0].tensors
        for name, value in fields.items():
            setattr(parts[place], name, value)
    return change


def scales(scale, zero, axis=0, details=0):
    return schema.QuantizationParametersT(scale=np.float32(scale), zeroPoint=np.int64(zero),
                                          quantizedDimension=axis, detailsType=details,
                                          details=schema.CustomQuantizationT() if details else None)


@pytest.mark.parametrize("change, message", [
    (edit("tensor", 0, buffer=99), "tensor 't0': buffer must be among the 6 of the file, not 99"),
    (edit("tensor", 1, sparsity=schema.SparsityParametersT()),
     "CONV_2D operator (t0, t1 -> t3): 't1': constants must be stored densely: convert the model "
     "without sparsity"),
    (edit("tensor", 1, isVariable=True),
     "CONV_2D operator (t0, t1 -> t3): 't1': tensors must not keep a state: compute the steps on "
     "the host"),
    (edit("buffer", 1, offset=4096, size=24),
     "CONV_2D operator (t0, t1 -> t3): 't1': constants must be within the first 2 GiB of the file"),
    (edit("tensor", 1, shape=[3, 2, 2, 3]),
     "tensor 't1': constant must have 36 bytes for shape (3, 2, 2, 3), not 24"),
    (edit("tensor", 1, type=schema.TensorType.INT4),
     "tensor 't1': constants must be of floating point, or integers of 8 or 32 bits, not INT4: "
     "convert the model with weights of 8 bits"),
    (edit("tensor", 0, shape=[1, 4, 1 << 30, 2]),
     "tensor 't0': sizes must be 1 or more with up to 67108864 elements, not (1, 4, 1073741824, "
     "2)"),
    (edit("tensor", 0, shape=[1] * 100_000), "tensor 't0': axes must be at most 8, not 100000"),
    (edit("tensor", 0, shapeSignature=[-1, 4, -1, 2]),
     "input 't0' must have fixed sizes but for the batch: convert the model for one size"),
    (edit("tensor", 1, quantization=scales([0.1, 0, 0.1], [0, 0, 0])),
     "tensor 't1': scale must be finite and above 0: quantise the model again, with data that "
     "reaches all layers"),
    (edit("tensor", 1, quantization=scales([0.1, 0.1], [0, 0])),
     "tensor 't1': scales and zero points must be one for each element along axis 0 of shape (3, "
     "2, 2, 2), not 2 and 2"),
    (edit("tensor", 1, quantization=scales([0.1, 0.1], [0, 0], axis=3)),
     "CONV_2D operator (t0 -> t3): weights must have a scale for each output, along axis 0, not 3"),
    (edit("tensor", 0, quantization=scales([0.1], [128])),
     "tensor 't0': zero points must be from -128 to 127, not 128 to 128"),
    (edit("tensor", 0, quantization=scales([0.1], [0], details=1)),
     "tensor 't0': integers must have scales and zero points, without custom details"),
    (edit("tensor", 4, quantization=scales([0.1], [0])),
     "MAX_POOL_2D operator (t3 -> t4): result must have the scale and the zero point of the "
     "operands: convert the model again")])
def test_tensors_are_checked(change, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}$"):
        from_tflite(small().integers(SAMPLES, change=change))


def test_a_batch_of_open_size_is_one_sample():
    def change(model):
        model.subgraphs[0].tensors[0].shapeSignature = [-1, 4, 4, 2]
    assert is_read(small().floats(change=change))


def test_names_are_unique_and_never_empty():
    def change(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.name = {0: "t", 1: "t"}.get(tensor.buffer, "")
    names = File(small().floats(change=change)).names
    assert len(set(names)) == len(names) and all(names)
    assert names[0] == "t"


@pytest.mark.parametrize("parts, limit", [("operators", 1 << 14), ("tensors", 1 << 16)])
def test_numbers_of_parts_are_limited(parts, limit):
    def change(model):
        graph = model.subgraphs[0]
        part = schema.OperatorT() if parts == "operators" else schema.TensorT()
        setattr(graph, parts, [part] * (limit + 1))
    with pytest.raises(FrontEndError, match=f"^{parts} must be at most {limit}, not {limit + 1}$"):
        from_tflite(small().floats(change=change))


def test_operators_that_share_one_long_list_are_refused_at_once():
    """A small file must not become long lists."""
    builder = flatbuffers.Builder(1 << 18)
    lists = vector(builder, schema.OperatorStartInputsVector, builder.PrependInt32, [0] * 4096)
    operators = []
    for _ in range(4096):
        schema.OperatorStart(builder)
        schema.OperatorAddInputs(builder, lists)
        operators.append(schema.OperatorEnd(builder))
    refer = builder.PrependUOffsetTRelative
    operators = vector(builder, schema.SubGraphStartOperatorsVector, refer, operators)
    schema.TensorStart(builder)
    tensors = vector(builder, schema.SubGraphStartTensorsVector, refer, [schema.TensorEnd(builder)])
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    schema.SubGraphAddOperators(builder, operators)
    graphs = vector(builder, schema.ModelStartSubgraphsVector, refer,
                    [schema.SubGraphEnd(builder)])
    schema.OperatorCodeStart(builder)
    codes = vector(builder, schema.ModelStartOperatorCodesVector, refer,
                   [schema.OperatorCodeEnd(builder)])
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    schema.ModelAddOperatorCodes(builder, codes)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    content = bytes(builder.Output())
    with pytest.raises(FrontEndError, match="^must be an intact TensorFlow Lite model, whose lists "
                                            f"and names take at most 16 times its {len(content)} "
                                            "bytes$"):
        File(content)


def vector(builder, start, prepend, values):
    """Add a vector to a file."""
    start(builder, len(values))
    for value in reversed(values):
        prepend(value)
    return builder.EndVector()


def share_tensor(model):
    for operator in model.subgraphs[0].operators:
        operator.inputs[1] = 1


def share_buffer(model):
    for tensor in model.subgraphs[0].tensors:
        tensor.buffer = min(tensor.buffer, 1)


@pytest.mark.parametrize("share", [share_tensor, share_buffer])
def test_weights_that_many_layers_share_are_limited(share):
    """A small file must not become a large model."""
    net = Network(1, 1500)
    for _ in range(10):
        net.dense(len(net.tensors) - 1 if net.operators else 0, 1500, bias=False)
    with pytest.raises(FrontEndError, match="numbers used repeatedly must be at most 16777216"):
        from_tflite(net.floats(change=share))


def test_names_of_copies_are_found_at_once():
    net = Network(1, 4)
    net.pair("ADD", net.dense(0, 3), net.number(3))
    writer = Writer(File(net.floats()))
    start = time.process_time()
    names = {writer.add_constant("t4", writer.constant(4)) for _ in range(20_000)}
    assert len(names) == 20_000
    assert time.process_time() - start < 5


def test_files_from_before_2020_have_operators_of_8_bits():
    def change(model):
        for code in model.operatorCodes:
            code.builtinCode = 0
    assert is_read(small().floats(change=change))


def test_names_of_numbers_of_the_schema():
    assert name_of(schema.Padding, 1) == "VALID"
    assert name_of(schema.Padding, 17) == "17"
