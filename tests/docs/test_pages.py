"""The pages of the docs: their links lead somewhere, and version numbers agree."""

import re
import tomllib
from pathlib import Path

import pytest

from eie_compiler.files.network_file import FILE_VERSION, GRAPH_VERSION
from eie_hdl.format import FORMAT_VERSION
from eie_hdl.registers import VERSION

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("drivers/**/*.md"),
         *ROOT.glob("examples/**/*.md")]
GENERATED = ROOT / "docs/registers.md"
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")


def without_blocks(page):
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"),
                  flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """Names of the headings of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)", without_blocks(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    broken = []
    for target in LINK.findall(without_blocks(page)):
        name, _, heading = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists() or (heading and heading not in anchors(path)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != GENERATED],
                         ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_wrapped(page):
    """At 100 columns; tables, images and code may exceed them."""
    assert [line for line in without_blocks(page).splitlines()
            if len(line) > 100 and not line.startswith(("|", "![", "    "))] == []


def test_the_index_lists_every_page():
    listed = set(LINK.findall((ROOT / "docs/index.md").read_text(encoding="utf-8")))
    assert {page.name for page in ROOT.glob("docs/*.md")} - {"index.md"} <= listed


def test_every_release_has_a_date():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *releases = re.findall(r"^## (\[.*)", changelog, flags=re.MULTILINE)
    assert first == "[Unreleased]"
    assert releases
    for release in releases:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release), release


def test_version_numbers_agree():
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = tomllib.loads(pyproject)["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", changelog, flags=re.MULTILINE))
    assert table["package"] == version
    assert table["`FORMAT_VERSION`"] == str(FORMAT_VERSION)
    assert table["`VERSION`"] == ".".join(map(str, VERSION))
    assert table["network file"] == f"{FILE_VERSION}; {GRAPH_VERSION} of a graph"
    assert f"\n## [{version}] - " in changelog
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
