"""Check of the sizes of memories, and its message."""

import pytest

from eie_compiler.errors import describe_shortage


def test_a_memory_with_enough_words_lacks_nothing():
    assert describe_shortage("spmat SRAM", 8, 8, "spmat_depth") == ""


@pytest.mark.parametrize("options, message", [
    ({}, "ptr SRAM must have 9 words, not 8: raise ptr_depth to 9 or more"),
    ({"where": " for layer 'a'", "instead": ", or use more PEs", "raise_to": 16},
     "ptr SRAM must have 9 words for layer 'a', not 8: raise ptr_depth to 16 or more, or use more "
     "PEs"),
])
def test_a_memory_with_too_few_words_is_described_with_the_remedy(options, message):
    assert describe_shortage("ptr SRAM", 9, 8, "ptr_depth", **options) == message
