"""Characters missing from the encoding of the output."""

import io
import sys

import pytest

from eie_cli.encoding import tolerate_encoding


@pytest.mark.parametrize("encoding, printed", [
    ("ascii", b"9 x 6 -> \\xe4 \\u4e2d \xff"),
    ("latin-1", b"9 \xd7 6 -> \xe4 \\u4e2d \xff"),
    ("utf-8", "9 × 6 → ä 中 ".encode() + b"\xff"),
])
def test_what_an_encoding_lacks_is_replaced(monkeypatch, encoding, printed):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    tolerate_encoding()
    print("9 × 6 → ä 中 \udcff", end="", flush=True)
    assert stream.buffer.getvalue() == printed
