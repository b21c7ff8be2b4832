"""Commit from which figures are: that of the git checkout of some files, and their changes."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Checkout", "CheckoutError", "find_checkout"]


class CheckoutError(ValueError):
    """Files of no commit: they are in no checkout, or git does not keep them."""


class Checkout(NamedTuple):
    """Commit of a checkout.

    Attributes
    ----------
    commit, date : :class:`str`
        Hash in full, and date of the commit.
    changes : :class:`tuple` of :class:`str`
        Files that differ from it, each with git's letters for how, such as ``M docs/host.md``.
    """

    commit: str
    date: str
    changes: tuple[str, ...]


def find_checkout(folder: Path, paths: Sequence[str | Path] = (".",)) -> Checkout:
    """Find the commit that is checked out.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Folder in the checkout.
    paths : sequence of :class:`str` or :class:`~pathlib.Path`
        What may be changed or not: git's patterns of paths, relative to `folder`.

    Raises
    ------
    CheckoutError
        If git is missing, or keeps no file of `folder`, as in an environment for Python in the
        checkout of another project.
    """
    def git(*arguments: str) -> str:
        try:
            run = subprocess.run(["git", *arguments], cwd=folder, capture_output=True,
                                 encoding="utf-8", check=False, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise CheckoutError(f"git cannot run: {error}") from error
        if run.returncode:
            raise CheckoutError(run.stderr.strip())
        return run.stdout.strip()

    if not git("ls-files", "--", "."):
        raise CheckoutError("git keeps no file of it")
    commit, date = git("log", "-1", "--format=%H %cs").split()
    changes = git("status", "--porcelain", "--", *map(str, paths)).splitlines()
    return Checkout(commit, date, tuple(line.strip() for line in changes))
