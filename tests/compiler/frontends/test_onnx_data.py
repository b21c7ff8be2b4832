"""`eie_compiler.frontends.onnx_data`: weights in separate files beside the model."""

import re

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError, read_model
from eie_hdl.files import OutputError, protecting, write_file

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from eie_compiler.frontends.onnx import from_onnx  # noqa: E402

W = np.arange(24, dtype=np.float32).reshape(6, 4)


def external(tmp_path, size=96, **said):
    """Write a model with its weight in a separate file of some size; return the path."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "w.bin").write_bytes(W.tobytes()[:size])
    (tmp_path / "outside.bin").write_bytes(W.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    model = helper.make_model(
        helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
                          [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6])],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
                          [numpy_helper.from_array(W, "w")]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "w.bin"} | said).items():
        tensor.external_data.add(key=key, value=str(value))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


@pytest.mark.parametrize("said", [{}, {"offset": 0, "length": 96}])
def test_weights_in_a_file_next_to_the_model_are_read(tmp_path, said):
    model = read_model(external(tmp_path, **said))
    np.testing.assert_array_equal(model.layers[0].weight, W.T)


@pytest.mark.parametrize("size, said, message", [
    (96, {"location": "../outside.bin"},
     "must be in a file in the folder of the model, not in '../outside.bin'"),
    (96, {"location": "/etc/passwd"},
     "must be in a file in the folder of the model, not in '/etc/passwd'"),
    (96, {"location": "link.bin"}, "must be in a file in the folder of the model, not in "
     "'link.bin'"),
    (96, {"location": ".."}, "must be in a file in the folder of the model, not in '..'"),
    (96, {"location": ""}, "must be in a file in the folder of the model, not in ''"),
    (95, {"length": 96}, "must have separate bytes within the 95 of w.bin, not 96 from offset 0"),
    (96, {"offset": 4, "length": 96}, "must have separate bytes within the 96 of w.bin, not 96 "
                                      "from offset 4"),
    (96, {"offset": -96, "length": 96}, "must have separate bytes within the 96 of w.bin, not 96 "
                                        "from offset -96"),
    (96, {"length": -1}, "must have separate bytes within the 96 of w.bin, not -1 from offset 0"),
    (96, {"length": "all"}, "offset and length must be integers: invalid literal"),
])
def test_other_files_are_never_read(tmp_path, size, said, message):
    path = external(tmp_path, size, **said)
    message = f"{path}: constant 'w': {message}"
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}"):
        read_model(path)


@pytest.mark.parametrize("link", ["same", "symlink_to", "hardlink_to"])
def test_weights_beside_the_model_are_not_replaced(tmp_path, link):
    model = external(tmp_path)
    weights = output = model.parent / "w.bin"
    if link != "same":
        output = tmp_path / "out"
        getattr(output, link)(weights)
    with protecting([model], [output]), pytest.raises(OutputError) as caught:
        read_model(model)
    assert str(caught.value).startswith(f"output {output} must not be the input {weights}, ")
    with protecting([model], [tmp_path / "new"]):
        read_model(model)
        with pytest.raises(OutputError):    # an output in a folder
            write_file(output, "new")
    assert weights.read_bytes() == W.tobytes()


def test_a_model_in_memory_must_have_its_weights(tmp_path):
    model = onnx.load(external(tmp_path), load_external_data=False)
    with pytest.raises(FrontEndError, match="^constant 'w' must be in the model itself, not in a "
                                            "separate file: onnx.load loads it$"):
        from_onnx(model)
