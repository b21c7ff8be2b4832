"""Reasons why operations of ONNX cannot be run, with remedies."""

from .onnx_operations import CHOICES

__all__ = ["ACTIVATIONS", "ONE_INPUT", "REASONS"]

#: Pattern of activations that are not supported.
ACTIVATIONS = (r"ThresholdedRelu|S?[Ee]lu|Celu|(.*\.)?\w*Gelu|Mish|Softplus|Softsign|Erf|Swish|"
                r"Softmax|LogSoftmax|Exp")

#: Pattern of operations -> kind of the model, empty if it says nothing, and reason with remedy.
REASONS = {
    "Scan|Loop": ("recurrent", "loops are not run: export the cell as LSTM, GRU or RNN, or "
                               "unrolled"),
    r".*([Qq]uantize|Integer|NBits|\.QAttention|QLinear).*|.*\bQ(Gemm|Ordered\w+)": (
        "quantised", "quantise the model with QuantizeLinear and DequantizeLinear, as "
                     "onnxruntime's quantize_static does with quant_format=QuantFormat.QDQ, or "
                     "export it before its quantisation"),
    "If": ("branching", "its condition must be constant: fix the input or size on which it "
                        "depends with fix=NAME=VALUE, or export the branch that is used"),
    "ConvTranspose": ("", "replace it by Resize with mode nearest, and Conv"),
    "(Global)?LpPool|MaxRoiPool": ("", "the pools that are run are of maxima and means"),
    "Tile|GridSample|AffineGrid": ("", "enlarge the images on the host"),
    r"(.*\.)?(\w+Normalization|LRN|Normalizer)|ReduceL1": (
        "", "its scale depends on the input, unlike that of BatchNormalization"),
    r"ai\.onnx\.ml\.TreeEnsemble\w*": ("", "trees have no matrices: fit a perceptron"),
    r"ai\.onnx\.ml\.SVM\w+": ("", "only SVMRegressor is run: fit LinearSVC, which has a score for "
                                   "each class"),
    ACTIVATIONS: ("", "train with Relu, LeakyRelu, HardSwish, Sigmoid or Tanh"),
    CHOICES: ("", "take the scores, and choose the class on the host"),
    r"Gather\w+|OneHot|Where": ("", "look up elements on the host"),
}

#: Operations with one computed input besides constants -> kind of the model with more, and reason.
ONE_INPUT = {
    **dict.fromkeys(("MatMul", "Gemm"), (
        "attention", "one factor must be constant, unlike in attention")),
    **dict.fromkeys(("Conv", "BatchNormalization", "PRelu"), ("", "weights must be constant")),
    "Div": ("", "division by a computed tensor is not run"),
}
