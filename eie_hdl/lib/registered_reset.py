"""Clock and reset of a top module from its ports."""

from amaranth.hdl import ClockDomain, ClockSignal, ResetSignal, Signal

__all__ = ["register_reset"]


def register_reset(m, aclk, aresetn):
    """Drive the domain ``sync`` of a top module by its ports, the reset through a register.

    The reset thus has a whole cycle to reach every flip-flop.

    Returns
    -------
    :class:`~amaranth.hdl.Signal`
        The reset, active high. It is set before the first cycle, too.
    """
    in_reset = Signal(init=1)
    m.domains += [ClockDomain("sync", local=True),
                  ClockDomain("always", local=True, reset_less=True)]
    m.d.always += in_reset.eq(~aresetn)
    m.d.comb += [
        ClockSignal().eq(aclk),
        ClockSignal("always").eq(aclk),
        ResetSignal().eq(in_reset),
    ]
    return in_reset
