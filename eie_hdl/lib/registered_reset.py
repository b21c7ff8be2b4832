"""Resets, each registered so that it has a whole cycle to reach the flip-flops that it resets."""

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Fragment,
    ResetSignal,
    Signal,
)

__all__ = ["RESET_CYCLES", "drive_domain", "register_reset", "with_reset_register"]

#: Length of a reset of the core in cycles. Its registers in the core, and then in the tree nodes
#: and PEs, delay it by a cycle each; for two cycles all are in reset together.
RESET_CYCLES = 3


def drive_domain(m, aclk, aresetn):
    """Drive the domain ``sync`` of a top module by its ports, the reset through a register.

    The reset lasts :data:`RESET_CYCLES` or more, however short that of the port is.

    Returns
    -------
    :class:`~amaranth.hdl.Signal`
        The reset, active high. It is set before the first cycle, too.
    """
    in_reset = Signal(init=1)
    recent   = Signal(RESET_CYCLES - 1)    # one bit per cycle, the latest in bit 0
    m.domains += [ClockDomain("sync", local=True),
                  ClockDomain("always", local=True, reset_less=True)]
    m.d.always += [
        recent.eq(Cat(~aresetn, recent)),
        in_reset.eq(~aresetn | recent.any()),
    ]
    m.d.comb += [
        ClockSignal().eq(aclk),
        ClockSignal("always").eq(aclk),
        ResetSignal().eq(in_reset),
    ]
    return in_reset


def register_reset(reset):
    """Register a reset, and make it last two cycles or more.

    The feedback that does so also keeps synthesis from merging the registers of several modules
    into one.

    Returns
    -------
    registered : :class:`~amaranth.hdl.Signal`
        The reset one cycle later.
    statements : :class:`list`
        Assignments for a domain of the same clock.
    """
    registered = Signal(reset_less=True, name="reset")
    is_long    = Signal(reset_less=True, name="reset_is_long")
    return registered, [registered.eq(reset | (registered & ~is_long)), is_long.eq(registered)]


def with_reset_register(component, platform):
    """Elaborate a component, and register its reset."""
    registered, statements = register_reset(ResetSignal())
    inner = DomainRenamer("local")(Fragment.get(component, platform))
    inner.add_domains(ClockDomain("local", local=True))
    inner.add_statements("comb", Cat(ClockSignal("local"), ResetSignal("local")).eq(
        Cat(ClockSignal(), registered)))
    inner.add_statements("sync", statements)
    return inner
