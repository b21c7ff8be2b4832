"""Names of the modules of a machine, without its Verilog, which takes many times as long."""

from amaranth.hdl import Fragment, Instance
from amaranth.lib import wiring

from ..config import EIEConfig
from ..lib.registered_reset import with_reset_register
from ..top import Eie
from .names import DEFAULT_NAME
from .verilog import VerilogPlatform

__all__ = ["list_names"]


class _NamePlatform(VerilogPlatform):
    """Platform that finds names and converts nothing.

    Attributes
    ----------
    names : :class:`set` of :class:`str`
        Names of the modules.
    """
    def __init__(self) -> None:
        super().__init__(DEFAULT_NAME)
        self.names: set[str] = set()

    def convert(self, component: wiring.Component, name: str, *, is_shared: bool = False) -> str:
        elaborated = with_reset_register(component, self) if is_shared else component
        self._find(Fragment.get(elaborated, self), name)
        return ""

    def _find(self, fragment: Fragment, name: str) -> None:
        self.names.add(name)
        for inner, inner_name, _ in fragment.subfragments:    # type: ignore[attr-defined]
            if isinstance(inner, Instance):
                self.names.add(inner.type)    # type: ignore[attr-defined]
            else:
                self._find(inner, f"{name}_{inner_name}")


def list_names(config: EIEConfig) -> set[str]:
    """List the names of the modules of a machine named ``eie``, memories included.

    A module of constants alone is among them, but not in the Verilog.
    """
    platform = _NamePlatform()
    platform.convert(Eie(config), DEFAULT_NAME)
    return platform.names
