"""`eie_compiler.lowering.capacity`: memory of networks, alone and together."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.lowering.capacity import Needs, find_spmat_shortage
from eie_hdl.config import EIEConfig

CONFIG = EIEConfig(n_pe=2, acc_depth=4, act_depth=8, ptr_depth=5, spmat_depth=4, n_codebooks=2,
                   program_depth=6, entries_per_word=2)
FULL = Needs(descriptors=6, pointers=9, entries=np.array([8, 3]), codebooks=frozenset([b"a", b"b"]),
             biases=3, vectors=5, widest="fc1")
NOTHING = Needs(0, 0, np.zeros(2, np.int64), frozenset(), 0, 0, "")


def test_full_memories_suffice():
    FULL.require_fit(CONFIG)
    assert FULL.pointer_words == 5


@pytest.mark.parametrize("changes, parameter", [
    ({"descriptors": 7}, "program_depth"), ({"pointers": 10}, "ptr_depth"),
    ({"entries": np.array([8, 9])}, "spmat_depth"), ({"biases": 4}, "act_depth"),
    ({"vectors": 6}, "act_depth"), ({"codebooks": frozenset([b"a", b"b", b"c"])}, "n_codebooks")])
def test_one_more_of_anything_is_too_much(changes, parameter):
    shortages = dataclasses.replace(FULL, **changes).find_shortages(CONFIG)
    assert list(shortages) == [parameter]
    assert shortages[parameter].excess > 1
    assert f"raise {parameter} to " in shortages[parameter].message


def test_all_shortages_are_in_one_message():
    with pytest.raises(CompileError) as error:
        (FULL | FULL).require_fit(CONFIG)
    assert str(error.value).split("; ") == [
        "activation SRAM must have 11 words (6 of biases, 5 of inputs and outputs of layer 'fc1'), "
        "not 8: raise act_depth to 11 or more, or n_pe",
        "each of the two pointer SRAMs of a PE must have 10 words for 19 pointers, one for each "
        "column of each tile, not 5: raise ptr_depth to 10 or more, or acc_depth or n_pe for fewer "
        "tiles",
        "spmat SRAM must have 8 words for the 16 entries of PE 0, not 4: raise spmat_depth to 8 or "
        "more, or n_pe",
        "program memory must have 12 words, one for each tile and each output, not 6: raise "
        "program_depth to 12 or more, or acc_depth"]


def test_vectors_share_their_rows_and_codebooks_are_shared():
    joined = FULL | dataclasses.replace(NOTHING, vectors=6, widest="other",
                                        codebooks=frozenset([b"b", b"c"]))
    assert (joined.vectors, joined.widest, len(joined.codebooks)) == (6, "other", 3)
    assert (FULL | NOTHING).widest == "fc1"


def test_the_fullest_pe_is_named():
    assert find_spmat_shortage(CONFIG, np.array([8, 8])) == ""
    assert "for the 10 entries of PE 1, not 4" in find_spmat_shortage(CONFIG, np.array([9, 10]))
