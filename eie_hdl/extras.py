"""Optional dependencies, and the command that installs them."""

import importlib.metadata
import json
import urllib.parse
import urllib.request

__all__ = ["install_alone", "install_command", "missing"]

_NAME = "eie-hdl"


def missing(package: str, purpose: str, extra: str) -> str:
    """Return the error message for a missing package of an extra.

    Parameters
    ----------
    package : :class:`str`
        Name of the package, such as ``PyTorch``.
    purpose : :class:`str`
        Purpose, such as ``to train``.
    extra : :class:`str`
        Extra of this project that includes it.
    """
    return (f"{package} must be installed {purpose}, but was not found: "
            f"{install_command(extra)}")


def install_command(extra: str = "") -> str:
    """Return the command that installs an extra, or the project again if there is none.

    It uses the source of the installation: a checkout, a wheel, an address or an index.
    """
    extras = f"[{extra}]" if extra else ""
    try:
        recorded = importlib.metadata.distribution(_NAME).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:    # neither installed nor in an index
        recorded = None
    if recorded is None:
        return f"pip install '{_NAME}{extras}'"
    source = json.loads(recorded)
    url = urllib.parse.urlsplit(source["url"])
    if url.scheme == "file" and "vcs_info" not in source:
        path = urllib.request.url2pathname(url.path)
        editable = "-e " if source.get("dir_info", {}).get("editable") else ""
        return f"pip install {editable}'{path}{extras}'"
    address = source["url"]
    if vcs := source.get("vcs_info"):
        address = f"{vcs['vcs']}+{address}@{vcs['commit_id']}"
    return f"pip install '{_NAME}{extras} @ {address}'"


def install_alone(package: str) -> str:
    """Return the command that installs a package without those that it depends on."""
    return f"pip install --no-deps {package}"
