"""Identification: constant registers of product and configuration."""

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import FORMAT_VERSION
from eie_hdl.host.identification import Identification
from eie_hdl.registers import PRODUCT_ID, VERSION


@pytest.mark.parametrize("config", [PRESETS["tiny"], EIEConfig(drop_empty_columns=False)])
def test_registers_have_the_product_the_versions_and_every_parameter(simulate, config):
    dut = Identification(config)

    async def bench(ctx):
        registers = dut.registers
        assert ctx.get(registers.id_value) == PRODUCT_ID
        assert ctx.get(registers.format_value) == FORMAT_VERSION
        assert VERSION == tuple(ctx.get(getattr(registers, f"version_{part}"))
                                for part in ("major", "minor", "patch"))
        for name, value in config.interface.items():
            assert ctx.get(getattr(registers, f"config_{name}_value")) == int(value), name

    simulate(dut, bench)
