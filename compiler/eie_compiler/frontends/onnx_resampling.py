"""Operations of ONNX between the channels and the pixels of images, and enlargement."""

from collections.abc import Callable

import numpy as np

from ..graph.operations import Affine
from .common import FrontEndError
from .onnx_site import Site
from .onnx_values import BATCH, Tensor

__all__ = ["RESAMPLING"]

#: Ways of Resize that repeat pixels where images grow by integers.
_REPEATING = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"),
              ("half_pixel", "round_prefer_ceil"), ("pytorch_half_pixel", "round_prefer_floor")}

#: Greatest number of times that a pixel is repeated along an axis.
_MAX_FACTOR = 64


def _depth_to_space(site: Site) -> Tensor:
    images, (channels, height, width) = site.image(site.tensor(), 2)
    n = site.options["blocksize"]
    mode = _word(site, "mode", "DCR")
    if n < 1 or channels % (n * n) or mode not in ("DCR", "CRD"):
        raise FrontEndError(f"blocksize must be such that its square divides the {channels} "
                            f"channels, and mode DCR or CRD, not {n} and {mode}")
    rest = channels // (n * n)
    if mode == "DCR":
        shape, order = (n, n, rest, height, width), (2, 3, 0, 4, 1)
    else:
        shape, order = (rest, n, n, height, width), (0, 3, 1, 4, 2)
    return _move(site, images, shape, order, (rest, height * n, width * n))


def _space_to_depth(site: Site) -> Tensor:
    images, (channels, height, width) = site.image(site.tensor(), 2)
    n = site.options["blocksize"]
    if n < 1 or height % n or width % n:
        raise FrontEndError(f"blocksize must divide {height} and {width}, not be {n}")
    return _move(site, images, (channels, height // n, n, width // n, n), (2, 4, 0, 1, 3),
                 (channels * n * n, height // n, width // n))


def _move(site: Site, images: Tensor, shape: tuple[int, ...], order: tuple[int, ...],
          result: tuple[int, ...]) -> Tensor:
    """Reshape images, permute their axes, and reshape them again."""
    name = site.builder.reshape(f"{site.name}.blocks", images.name, shape)
    name = site.builder.transpose(f"{site.name}.order", name, order)
    return site.result(site.builder.reshape(site.name, name, result), images, 0)


def _resize(site: Site) -> Tensor:
    """Handle Resize and Upsample that repeat each pixel."""
    images, (channels, height, width) = site.image(site.tensor(), 2)
    is_new = site.node.op_type == "Resize"
    scales, sizes = (2, 3) if is_new else (1, 9)
    shape = (images.n_samples, channels, height, width)
    if site.has(scales) and site.constant(scales).size == 4:
        factors = site.constant(scales).astype(np.float64)
    elif site.has(sizes):
        factors = np.array(site.integers(sizes), np.float64)
        if len(factors) == 4:
            if images.n_samples != BATCH and factors[0] not in (1, images.n_samples):
                raise FrontEndError(f"sizes must keep the batch of {images.n_samples}, not make it "
                                    f"{factors[0]:g}")
            factors = factors / shape
            factors[0] = 1    # the batch, whatever its size
    else:
        factors = np.array(site.options.get("scales", (0,) * 4), np.float64)
    way = (_word(site, "coordinate_transformation_mode", "half_pixel"),
           _word(site, "nearest_mode", "round_prefer_floor"))
    if _word(site, "mode", "nearest") != "nearest" or is_new and way not in _REPEATING \
            or len(factors) != 4 or (factors[:2] != 1).any() \
            or (factors < 1).any() or (factors % 1).any() or factors.max() > _MAX_FACTOR:
        raise FrontEndError("images must grow by integers, with mode nearest, not by "
                            f"{factors.tolist()[2:]} with mode {_word(site, 'mode', 'nearest')}: "
                            "resize them on the host")
    rows, columns = int(factors[2]), int(factors[3])
    name = site.builder.reshape(f"{site.name}.pixels", images.name,
                                (channels, height, 1, width, 1))
    name = site.builder.add(f"{site.name}.repeated", Affine(np.ones((rows, 1, columns)), 0.0), name)
    name = site.builder.reshape(site.name, name, (channels, height * rows, width * columns))
    return site.result(name, images, 0)


def _word(site: Site, option: str, otherwise: str) -> str:
    return str(site.options.get(option, otherwise.encode()).decode("utf-8", "replace"))


#: Operations on images.
RESAMPLING: dict[str, Callable[[Site], Tensor]] = {
    "DepthToSpace": _depth_to_space, "Resize": _resize, "SpaceToDepth": _space_to_depth,
    "Upsample": _resize}
