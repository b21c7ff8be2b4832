"""Names in Verilog and C: identifiers, length and keywords."""

import pytest

from eie_hdl.identifiers import VERILOG, C, find_fault


@pytest.mark.parametrize("language", [VERILOG, C], ids=lambda language: language.name)
@pytest.mark.parametrize("name", ["", "2nd", "Left", "a-b", "a.b", "../a", "_a", "ä", "a\n", "a$"])
def test_only_lower_case_identifiers_have_no_fault(language, name):
    assert find_fault(name, language) == (
        f"must be a {language.name} identifier of lower-case letters, digits and underscores that "
        f"begins with a letter, not {name!r}")
    assert find_fault("left_2", language) == ""


@pytest.mark.parametrize("name, faulty", [
    ("int", {"Verilog", "C"}), ("class", {"Verilog", "C"}), ("xor", {"Verilog", "C"}),
    ("wire", {"Verilog"}), ("logic", {"Verilog"}), ("std", {"Verilog"}),
    ("goto", {"C"}), ("nullptr", {"C"}), ("module", {"Verilog", "C"}), ("model", set())])
def test_keywords_are_those_of_the_language(name, faulty):
    faults = {language: find_fault(name, language) for language in (VERILOG, C)}
    assert {language.name for language, fault in faults.items() if fault} == faulty
    assert all(fault in ("", f"must not be {name}, which is a keyword of {language.family}: "
                             "choose another name") for language, fault in faults.items())


def test_a_name_has_at_most_63_characters():
    assert find_fault("n" * 63, C) == ""
    assert find_fault("n" * 64, C) == f"must have at most 63 characters, not 64: '{'n' * 64}'"
