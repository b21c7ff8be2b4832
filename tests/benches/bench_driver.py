"""cocotb bench that runs the driver's test cases."""

import cocotb
from cocotb.task import bridge

from benches.driver_cases import PAUSE, TIMEOUT, WITH_X
from eie_driver.accelerator import Accelerator
from eie_sim.rtl.cocotb_bus import CocotbBus


@cocotb.test()
@cocotb.parametrize(case=WITH_X)
async def host(dut, case):
    bus = CocotbBus(dut, timeout=TIMEOUT, pause=PAUSE)
    await bus.start()
    await bridge(lambda: case(Accelerator(bus, timeout=TIMEOUT)))()
