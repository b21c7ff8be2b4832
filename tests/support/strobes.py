"""Inputs of a component that reports an error in the cycle in which it sees them."""

from eie_hdl.registers import Error

__all__ = ["put_in", "strobe"]


def put_in(ctx, dut, **inputs):
    for name, value in inputs.items():
        ctx.set(getattr(dut, name), value)


async def strobe(ctx, dut, **inputs):
    """Set inputs for a cycle, and tell which error there was in it, and its address."""
    before = {name: ctx.get(getattr(dut, name)) for name in inputs}
    put_in(ctx, dut, **inputs)
    error = ctx.get(dut.error)
    await ctx.tick()
    put_in(ctx, dut, **before)
    return (Error(error.code), error.address) if error.code else None
