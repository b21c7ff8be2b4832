from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ..config import EIEConfig
from ..format import FORMAT_VERSION
from ..registers import PRODUCT_ID, VERSION, config_registers
from .register_ports import RegisterPorts

__all__ = ["Identification"]


class Identification(wiring.Component):
    """Constant registers: product, versions and configuration.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    registers : :py:`In(RegisterPorts(...))`
        Registers ID, VERSION and FORMAT, and a register CONFIG_* for each parameter
        of the interface.
    """
    def __init__(self, config: EIEConfig):
        self._configuration = config_registers(config)
        super().__init__({"registers": In(RegisterPorts.of(
            "ID", "VERSION", "FORMAT", *self._configuration))})

    def elaborate(self, platform):
        m = Module()

        registers = self.registers
        major, minor, patch = VERSION
        m.d.comb += [
            registers.id_value.eq(PRODUCT_ID),
            registers.version_major.eq(major),
            registers.version_minor.eq(minor),
            registers.version_patch.eq(patch),
            registers.format_value.eq(FORMAT_VERSION),
            *(getattr(registers, f"{name.lower()}_value").eq(value)
              for name, value in self._configuration.items()),
        ]

        return m
