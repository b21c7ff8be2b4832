"""Convert the four published files of MNIST to one .npz file.

The files are train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and
t10k-labels-idx1-ubyte.gz (LeCun, Cortes and Burges), available from several mirrors.
"""

import argparse
import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILES = {"train_images": "train-images-idx3-ubyte.gz", "train_labels": "train-labels-idx1-ubyte.gz",
         "test_images": "t10k-images-idx3-ubyte.gz", "test_labels": "t10k-labels-idx1-ubyte.gz"}

#: Type code of unsigned bytes in a header.
_UINT8 = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an array of bytes in IDX format: 0, 0, type, number of dimensions, lengths, bytes."""
    content = gzip.decompress(path.read_bytes())
    zero, kind, ndim = struct.unpack_from(">HBB", content)
    if zero or kind != _UINT8:
        raise SystemExit(f"{path}: must be an IDX file of bytes")
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def main() -> None:
    """Convert the files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of the four files")
    parser.add_argument("-o", "--output", type=Path, default=Path("mnist.npz"))
    arguments = parser.parse_args()
    np.savez_compressed(arguments.output, allow_pickle=False, **{
        name: read_idx(arguments.folder / file) for name, file in FILES.items()})


if __name__ == "__main__":
    main()
