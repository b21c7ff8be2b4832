"""JSON files of the project."""

import json
import re

import pytest

from eie_compiler.files.json_file import (
    SCHEMA_VERSION,
    JsonError,
    check_fields,
    parse_json,
    to_json,
    write_json,
)


def test_a_file_begins_with_its_version(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_json(path, {"name": "Größe", "values": [1, 2.5, None]})
    assert path.read_text(encoding="utf-8").endswith("}\n")
    assert list(json.loads(path.read_text(encoding="utf-8")).items()) == [
        ("schema_version", SCHEMA_VERSION), ("name", "Größe"), ("values", [1, 2.5, None])]


def test_a_line_carries_the_version_too():
    assert to_json({"a": {"b": [1, 2]}}, indent=None) == '{"schema_version": 1, "a": {"b": [1, 2]}}'


def test_numbers_that_json_does_not_have_are_rejected():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"ratio": float("nan")})


@pytest.mark.parametrize(("content", "message"), [
    (b"{", "must be JSON in UTF-8: Expecting "),
    (b'"\xff"', "must be JSON in UTF-8: 'utf-8' codec can't decode "),
    (b"[NaN]", "must be JSON in UTF-8: NaN is no number of JSON$"),
    (b"9" * 5000, "must be JSON in UTF-8: Exceeds the limit "),
    (b"[" * 33 + b"]" * 33, "must have at most 32 objects and lists inside each other$"),
    (b'{"a":' * 100_000, "must have at most 32 objects and lists inside each other$"),
])
def test_text_that_is_no_json_is_refused(content, message):
    with pytest.raises(JsonError, match=f"^{message}"):
        parse_json(content)


def test_brackets_in_text_are_no_depth():
    text = "[" * 40 + '\\"[{' * 40
    assert parse_json(json.dumps([text] * 2).encode()) == [text] * 2
    assert parse_json(b"[" * 32 + b"]" * 32)


@pytest.mark.parametrize(("value", "message"), [
    ([], "x must be an object with the fields a, not []"),
    ({}, "x must be an object with the fields a, not []"),
    ({"a": 1, "c": 1}, "x must be an object with the fields a, not ['a', 'c']"),
    ({"a": True}, "x.a must be an integer, not True"),
    ({"a": 1, "b": 1}, "x.b must be a list or null, not 1"),
])
def test_missing_unknown_and_wrong_fields_are_refused(value, message):
    with pytest.raises(JsonError, match=f"^{re.escape(message)}$"):
        check_fields("x", value, {"a": int}, {"b": (list, type(None))})


def test_optional_fields_may_be_absent():
    for value in ({"a": 1}, {"a": 1, "b": None}, {"a": 1, "b": []}):
        assert check_fields("x", value, {"a": int}, {"b": (list, type(None))}) is value
