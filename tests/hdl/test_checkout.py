"""Commit of a checkout, and files that are of no commit."""

import subprocess

import pytest

from eie_hdl.checkout import CheckoutError, find_checkout


@pytest.fixture
def git(tmp_path):
    """Checkout with one commit of `folder/file`; commands of git in it."""
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *arguments], check=True,
                       cwd=tmp_path, capture_output=True)

    git("init", "-q")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("one", encoding="utf-8")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return git


def test_changes_are_those_of_the_paths(tmp_path, git):
    folder = tmp_path / "folder"
    found = find_checkout(folder)
    assert (len(found.commit), len(found.date), found.changes) == (40, 10, ())
    (tmp_path / "other").write_text("new", encoding="utf-8")
    assert find_checkout(folder) == find_checkout(folder, [folder]) == found
    assert find_checkout(folder, [":/"]).changes == ("?? other",)
    (folder / "file").write_text("two", encoding="utf-8")
    assert find_checkout(folder) == found._replace(changes=("M folder/file",))
    assert find_checkout(folder, [":/", ":(exclude)file"]).changes == ("?? other",)


def test_a_package_that_is_installed_in_a_checkout_is_not_of_its_commit(tmp_path, git):
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "module.py").write_text("", encoding="utf-8")
    with pytest.raises(CheckoutError, match="^git keeps no file of it$"):
        find_checkout(tmp_path / "venv")


def test_a_folder_without_a_checkout_or_git_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(CheckoutError, match="^fatal: not a git repository"):
        find_checkout(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CheckoutError, match="^git cannot run: "):
        find_checkout(tmp_path)
