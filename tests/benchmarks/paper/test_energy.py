"""Arithmetic of the energy proxy, from the published figures to a layer."""

import pytest

from eie_bench.paper.energy import PARTS, PE_POWER_MW, access_pj, count_energy, sum_parts

#: The test machine: words of spmat are 2 · (3 + 2) bits, 256 of them.
SPMAT_PJ = 5 * 10 / 32 * (10 * 256 / (32 * 1024 * 8)) ** 0.5


def test_the_published_sram_takes_what_is_published():
    assert access_pj(bits=32, depth=8192) == 5


def test_an_access_takes_twice_as_much_if_there_are_four_times_as_many_words():
    assert access_pj(64, 4096) == pytest.approx(2 * access_pj(64, 1024))


def test_a_word_of_twice_the_bits_in_an_sram_of_the_same_capacity_takes_twice_as_much():
    assert access_pj(64, 1024) == pytest.approx(2 * access_pj(32, 2048))


def test_terms_are_counts_times_energies(measurement):
    terms = {term.what: term for term in count_energy(measurement())}
    spmat = terms["spmat word of 10 bits read"]
    assert (spmat.count, spmat.picojoules) == (300, pytest.approx(SPMAT_PJ))
    assert spmat.nanojoules == pytest.approx(0.3 * SPMAT_PJ)
    # 1,000 entries, and 7 words of 4 rows that each of 4 PEs drains.
    multiplications = terms["8 × 7 bits multiplied"]
    assert multiplications.count == 1000 + 4 * 7 * 4
    assert multiplications.picojoules == pytest.approx(3.1 * 56 / 1024)
    # 4 PEs: 6 words scanned; 7 words of biases read and 7 of results written.
    assert terms["word of 32 bits scanned, read as bias, or written"].count == 4 * (6 + 7 + 7)
    assert terms["cycle of 1 LNZD nodes"].count == 310
    assert terms["cycle of 1 LNZD nodes"].picojoules == pytest.approx(0.02875)


def test_parts_add_up(measurement):
    terms = count_energy(measurement())
    parts = sum_parts(terms)
    assert set(parts) == set(PARTS)
    assert min(parts.values()) > 0
    assert sum(parts.values()) == pytest.approx(sum(term.nanojoules for term in terms))


def test_the_published_parts_are_those_of_a_whole_pe():
    assert sum(PE_POWER_MW.values()) == pytest.approx(9.157, abs=0.002)
