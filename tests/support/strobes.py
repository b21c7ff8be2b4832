"""One-cycle inputs of components that report errors in the next cycle."""

from eie_hdl.registers import Error

__all__ = ["set_inputs", "strobe"]


def set_inputs(ctx, dut, **inputs):
    """Set inputs of a component by name."""
    for name, value in inputs.items():
        ctx.set(getattr(dut, name), value)


async def strobe(ctx, dut, **inputs):
    """Set inputs for one cycle; return the error and address reported after it, or None."""
    before = {name: ctx.get(getattr(dut, name)) for name in inputs}
    set_inputs(ctx, dut, **inputs)
    await ctx.tick()
    set_inputs(ctx, dut, **before)
    error = ctx.get(dut.error)
    return (Error(error.code), error.address) if error.code else None
