"""JSON files of the project."""

import json

import pytest

from eie_compiler.files.json_file import SCHEMA_VERSION, to_json, write_json


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
