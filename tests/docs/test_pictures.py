"""The block diagrams of the docs are those that their sources draw."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = DOCS / "pictures"
NAMES = ["host", "machine", "pe", "tree"]


def test_all_pictures_are_there():
    assert sorted(path.stem for path in PICTURES.glob("*.svg")) == NAMES


def test_pictures_are_up_to_date(tmp_path):
    pytest.importorskip("schemdraw")
    subprocess.run([sys.executable, PICTURES, tmp_path], check=True)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    shown = {path.name: path.read_text(encoding="utf-8") for path in PICTURES.glob("*.svg")}
    assert drawn == shown, "`make pictures` draws them"


@pytest.mark.parametrize("name", NAMES)
def test_each_picture_is_shown_and_has_a_background_and_a_title(name):
    assert any(f"(pictures/{name}.svg)" in page.read_text(encoding="utf-8")
               for page in DOCS.glob("*.md"))
    picture = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    assert 'fill="white"' in picture and "<title>" in picture
