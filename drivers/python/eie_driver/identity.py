"""Identification of a machine and its configuration."""

from typing import Any

from eie_hdl.config import LATER_PARAMETERS, ConfigError, EIEConfig
from eie_hdl.format import FORMAT_VERSION
from eie_hdl.registers import PRODUCT_ID, VERSION, config_registers

from .errors import ConfigMismatch, DriverError
from .registers import Registers

__all__ = ["check_config", "identify"]


def identify(registers: Registers) -> EIEConfig:
    """Read the configuration of the machine. Parameters without a register have their default.

    Raises
    ------
    DriverError
        If there is no EIE, or its version or configuration is unsupported.
    """
    if (product := registers.value("ID")) != PRODUCT_ID:
        raise DriverError(f"ID must be 0x{PRODUCT_ID:08X}, not 0x{product:08X}: there is no EIE at "
                          f"this address")
    version = registers.read("VERSION")
    if (major := version["major"]) != VERSION[0]:
        raise DriverError(f"VERSION.major must be {VERSION[0]}, not {major}: use the "
                          f"software version of the hardware")
    if (number := registers.value("FORMAT")) != FORMAT_VERSION:
        raise DriverError(f"FORMAT must be {FORMAT_VERSION}, not {number}: use the software "
                          f"version of the hardware")
    defaults = EIEConfig().interface
    # Hardware of version 2.0 answers a read of their registers with an error.
    names = {parameter: register for parameter, register
             in zip(defaults, config_registers(EIEConfig()))
             if parameter not in LATER_PARAMETERS or version["minor"] >= 1}
    numbers = registers.values([*names.values()])
    values: dict[str, Any] = {
        name: bool(number) if type(defaults[name]) is bool else number
        for name, number in zip(names, numbers)}
    try:
        return EIEConfig(**values)
    except ConfigError as error:
        raise DriverError(f"Machine must have a valid configuration, but {error}"
                          ) from error


def check_config(build: EIEConfig, machine: EIEConfig) -> None:
    """Check that a build is for the machine; raise :class:`~.errors.ConfigMismatch`."""
    ours, theirs = build.interface, machine.interface
    differing = [f"{name} = {theirs[name]}, not {value}" for name, value in ours.items()
                 if value != theirs[name]]
    if differing:
        raise ConfigMismatch(f"Build must be for a machine with {'; '.join(differing)}: compile "
                             f"it for this machine")
