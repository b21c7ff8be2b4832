"""Random changes of files: of their bytes, and of their structure, so that checksums match."""

import io
import json
import random
import re
import zipfile

import numpy as np

#: Values that break assumptions of readers.
VALUES = [None, True, -1, 0, 1, 3, 255, 1 << 16, 1 << 24, 1 << 31, 1 << 40, 1 << 63, 10 ** 400, 0.5,
          -0.0, 1e308, "", "a", "../../escape", "/tmp/escape", "a" * 300, "é" * 150, "\0", "\n", [],
          [[1]], [1] * 100, [1 << 40] * 2, {}, {"a": 1}]
NUMBERS = [0, 1, -1, 2, 127, 255, 1 << 15, (1 << 16) - 1, 1 << 24, (1 << 31) - 1, (1 << 32) - 1,
           (1 << 63) - 1]


def deep(depth):
    """Nest lists."""
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def change_bytes(rng: random.Random, content: bytes) -> bytes:
    """Flip, overwrite, remove, repeat or move a few bytes."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        at = rng.randrange(len(changed) + 1)
        length = rng.choice([1, 2, 4, 8, 64])
        kind = rng.randrange(7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            size = rng.choice([1, 2, 4, 8])
            number = rng.choice(NUMBERS) & (1 << 8 * size) - 1
            changed[at:at + size] = number.to_bytes(size, rng.choice(["little", "big"]))
        elif kind == 2:
            del changed[at:at + length]
        elif kind == 3:
            changed[at:at] = rng.randbytes(length)
        elif kind == 4:
            changed[at:at] = changed[at:at + length] * rng.choice([1, 2, 100])
        elif kind == 5:
            other = rng.randrange(len(changed) + 1)
            changed[at:at + length] = changed[other:other + length]
        else:
            del changed[at:]
    return bytes(changed)


def change_json(rng: random.Random, value):
    """Replace, remove, copy or add one value in JSON."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        copy = value.copy()
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        kind = rng.random()
        if kind < 0.06:
            del copy[key]
        elif kind < 0.1 and isinstance(copy, dict):
            copy[rng.choice(["new", "", "../x", key + "0"])] = copy[key]
        elif kind < 0.1:
            copy.insert(rng.randrange(len(copy)), copy[key])
        else:
            copy[key] = change_json(rng, copy[key])
        return copy
    if type(value) is int and rng.random() < 0.4:
        return value + rng.choice([-1, 1, value, -2 * value])
    return deep(rng.choice([20, 500])) if rng.random() < 0.03 else rng.choice(VALUES)


def change_text(rng: random.Random, text: str) -> str:
    """Replace a token of text, such as TOML, or nest it."""
    tokens = list(re.finditer(r"[\w.]+|[^\w\s]", text))
    token = rng.choice(tokens)
    new = rng.choice(["", "[", "]", "{", "[" * 5000, "a." * 5000 + "a", "9" * 5000, "'", '"""', "=",
                      "1e999", "nan", "-1", "0x7fffffffffffffff", "1979-05-27", "true", "\\u0000",
                      '"é"', "\ud7ff", "[[a]]\n", "x = 1\n", str(rng.choice(NUMBERS)),
                      rng.choice(tokens)[0]])
    return text[:token.start()] + new + text[token.end():]


def change_array(rng: random.Random, array):
    """Change the type, shape or numbers of an array."""
    kind = rng.randrange(9)
    try:
        if kind == 0:
            return array.astype(rng.choice(["f2", "f4", "f8", "f16", "i1", "i8", "u1", "u8", "?",
                                            "c8", "U3", ">f4"]))
        if kind == 1:
            return array.reshape(rng.choice([(-1,), (1, -1), (-1, 1), (-1, 1, 1), (1, 1, 1, -1)]))
        if kind == 2:
            return array[:rng.choice([0, 1, -1])]
        if kind == 3:
            return np.concatenate([array, array])
        if kind == 4:
            return np.asfortranarray(array.T)
        copy = array.copy()
        number = rng.choice([np.nan, np.inf, -1, 1e300, 5e-324, 65504, 1 << 20, 1 << 30, 1 << 62])
        copy.flat[rng.randrange(max(copy.size, 1))] = number
        if kind == 5:
            copy[...] = number
        if kind == 6:
            return np.zeros(rng.choice([(), (0,), (0, 5), (1 << 20, 1), (1, 1 << 20)]), array.dtype)
        return copy
    except (ValueError, IndexError, OverflowError, TypeError):
        return array[..., np.newaxis]


def npy(array, rng=None) -> bytes:
    """Write an array in NumPy's format, maybe with another header."""
    stream = io.BytesIO()
    with np.errstate(all="ignore"):
        np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
    content = stream.getvalue()
    if rng is None or rng.random() > 0.3:
        return content
    end = content.index(b"\n") + 1
    header = content[10:end].decode("latin-1")
    changed = rng.choice([
        lambda: re.sub(r"'shape': \([^)]*\)", f"'shape': {rng.choice(NUMBERS), 0}", header),
        lambda: re.sub(r"'shape': \([^)]*\)", f"'shape': ({rng.choice(NUMBERS)},)", header),
        lambda: re.sub(r"'shape': \([^)]*\)", f"'shape': ({'9' * 200},)", header),
        lambda: re.sub(r"'descr': '[^']*'", "'descr': '|O'", header),
        lambda: re.sub(r"'descr': '[^']*'", "'descr': [('a', '<f4'), ('b', '|O')]", header),
        lambda: re.sub(r"'descr': '[^']*'", f"'descr': '|V{rng.choice(NUMBERS)}'", header),
        lambda: "(" * rng.choice([50, 150, 5000]) + header, lambda: change_text(rng, header)])()
    body = changed.encode("latin-1", "replace")[:65535]
    return content[:8] + len(body).to_bytes(2, "little") + body + content[end:]


def change_arrays(rng: random.Random, arrays) -> bytes:
    """Change one array of an .npz file, its name or its header."""
    names = list(arrays)
    name, kind = rng.choice(names), rng.randrange(12)
    members = [(f"{each}.npy", npy(arrays[each])) for each in names if kind != 0 or each != name]
    at = rng.randrange(len(members)) if members else 0
    if kind == 1:
        members.append((rng.choice(["new.npy", "../escape.npy", "x" * 300 + ".weight.npy",
                                    members[at][0]]), members[at][1]))
    elif kind == 2:
        members[at] = (change_text(rng, members[at][0]), members[at][1])
    elif kind == 3:
        members[at] = (members[at][0], change_bytes(rng, members[at][1]))
    elif kind == 4:
        rng.shuffle(members)
    elif kind > 4:
        members[names.index(name)] = (f"{name}.npy", npy(change_array(rng, arrays[name]), rng))
    return pack(rng, members)


def pack(rng: random.Random, members) -> bytes:
    """Write members of an archive, stored or deflated."""
    stream = io.BytesIO()
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(stream, "w", method) as archive:
        for number, (name, content) in enumerate(members):
            if name in archive.namelist() or "\0" in name or not name:
                name = f"{number}.npy"
            archive.writestr(name[:60000], content)
    return stream.getvalue()


def change_members(rng: random.Random, content: bytes) -> bytes:
    """Change the bytes of a member of an archive, whose checksums then match."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = rng.randrange(len(members))
    members[at] = (members[at][0], change_bytes(rng, members[at][1]))
    return pack(rng, members)


def encode(value) -> bytes:
    """Write JSON, with numbers of any length."""
    return json.dumps(value).encode("utf-8", "surrogatepass")
