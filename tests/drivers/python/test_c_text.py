"""Text of C source."""

from eie_driver.c_text import array, structure
from support.c_text import read_array


def test_lines_of_arrays_are_full_but_not_too_long():
    text = array("int", "a", map(str, range(1000)))
    lines = text.splitlines()
    assert read_array(text, "a") == list(range(1000))
    assert max(map(len, lines)) <= 100
    assert min(map(len, lines[1:-2])) > 90


def test_members_of_a_structure_are_named():
    assert structure("const struct s", "a", {"x": 1, "y": "a_y"}) == (
        "const struct s a = {\n    .x = 1,\n    .y = a_y,\n};\n")
