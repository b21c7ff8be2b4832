"""Deep Compression streams for tests."""

import struct

import numpy as np


def entries_of(codes):
    """Encode a flat list of codes as pairs (code, run), by the definition of the format."""
    entries, run = [], 0
    for code in codes:
        if code:
            entries.append((code, run))
            run = 0
        elif run == 15:
            entries.append((0, 15))
            run = 0
        else:
            run += 1
    return entries


def nibbles(values):
    """Pack two nibbles per byte, low nibble first."""
    values = [*values, 0]
    return bytes(low | high << 4 for low, high in zip(values[::2], values[1::2]))


def stream_of(layers):
    """Encode layers (name, codes, codebook, bias)."""
    entries = [entries_of(codes.ravel().tolist()) for _, codes, _, _ in layers]
    content = struct.pack(f"<{len(layers)}I", *map(len, entries))
    for (name, _, codebook, bias), pairs in zip(layers, entries):
        content += struct.pack(f"<{len(codebook)}f", *codebook)
        content += struct.pack(f"<{len(bias)}f", *bias)
        codes = [code for code, _ in pairs]
        content += bytes(codes) if "conv" in name else nibbles(codes)
        content += nibbles(run for _, run in pairs)
    return content


def random_layer(rng, name, shape, density=0.1):
    """Draw a layer of random codes and a random codebook of float32."""
    size = 256 if "conv" in name else 16
    codes = rng.integers(1, size, shape) * (rng.random(shape) < density)
    codebook = np.append(0, rng.normal(size=size - 1)).astype(np.float32).tolist()
    return name, codes, codebook, rng.normal(size=shape[0]).astype(np.float32).tolist()


def weights_of(layer):
    """Compute the dense weights of a layer."""
    _, codes, codebook, _ = layer
    return np.array(codebook)[codes]
