"""Origin of the figures of a record: the machine, the commit and the tools."""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import eie_hdl
from eie_hdl.checkout import Checkout, CheckoutError, find_checkout
from eie_hdl.config import EIEConfig
from eie_sim.rtl.toolchain import check_tools, require

__all__ = ["Provenance", "trace"]


class Provenance(NamedTuple):
    """Origin of figures.

    Attributes
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    sources : :class:`~eie_hdl.checkout.Checkout`, optional
        Commit of the Verilog and of these flows; None if they are in no checkout.
    tools : :class:`dict` of :class:`str` to :class:`str`
        Version of each tool.
    """

    config: EIEConfig
    sources: Checkout | None
    tools: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return the keys in a JSON file."""
        return {"config": self.config.as_dict(), "sources": self.sources and self.sources._asdict(),
                "tools": self.tools}


def trace(config: EIEConfig, *tools: str) -> Provenance:
    """Find commit and tools before figures are measured, which may take minutes.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    tools : :class:`str`
        Names of the tools, as :func:`~eie_sim.rtl.toolchain.check_tools` has them.

    Raises
    ------
    ToolError
        If one is missing. The message has the remedy.
    """
    found = {tool.name: tool for tool in check_tools()}
    return Provenance(config, _find_sources(),
                      {name: require(found[name]).version or "" for name in tools})


def _find_sources() -> Checkout | None:
    """Find the commit; None for an installed wheel."""
    folders = Path(eie_hdl.__file__).parent, Path(__file__).parent
    with contextlib.suppress(CheckoutError):
        return find_checkout(folders[0], folders)
    return None
