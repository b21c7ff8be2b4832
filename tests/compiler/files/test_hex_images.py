import re

import numpy as np
import pytest
from amaranth.hdl import unsigned
from hypothesis import given, strategies as st

from eie_compiler.files.hex_images import ImageError, from_hex, to_hex
from eie_hdl.format import Image


@given(st.data(), st.integers(1, 200))
def test_text_is_one_word_a_line(data, width):
    words = data.draw(st.lists(st.integers(0, (1 << width) - 1), max_size=20))
    beats = -(-width // 64)
    array = np.array([[word >> 64 * beat & (1 << 64) - 1 for beat in range(beats)]
                      for word in words], np.uint64).reshape(-1, beats)
    text = to_hex(unsigned(width), array)
    assert text.decode().split() == [f"{word:0{-(-width // 4)}x}" for word in words]
    np.testing.assert_array_equal(from_hex(Image(unsigned(width), 20), text), array)


@pytest.mark.parametrize("text, message", [
    (b"000\n00\n", "line 2 must have 3 digits, not b'00'"),
    (b"000\n0001\n", "line 2 must have 3 digits, not b'0001'"),
    (b"000\n\n000\n", "line 2 must have 3 digits, not b''"),
    (b"000\n000", "last line must end in a line feed"),
    (b"000\r\n001\r\n", "line 1 must have 3 digits, not b'000\\r'"),
    (b"000\n00A\n", "line 2 must have 10 bits in 3 lower-case hexadecimal digits, not b'00A'"),
    (b"@00\n000\n", "line 1 must have 10 bits in 3 lower-case hexadecimal digits, not b'@00'"),
    (b"3ff\n400\n", "line 2 must have 10 bits in 3 lower-case hexadecimal digits, not b'400'"),
    (b"000\n" * 5, "image must have at most 4 lines, the words of the memory, not 5"),
])
def test_text_that_is_no_image_is_refused(text, message):
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        from_hex(Image(unsigned(10), 4), text)
