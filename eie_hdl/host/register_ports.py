from collections.abc import Iterable

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..registers import REGISTER, Access, Field, Register

__all__ = ["RegisterPorts", "connect_registers", "member_name"]


def member_name(register: Register, field: Field) -> str:
    """Name of the member of a register bank that carries this field."""
    return f"{register.name.lower()}_{field.name}"


class RegisterPorts(wiring.Signature):
    """Fields of registers between the register bank and the logic that uses them.

    Directions are from the perspective of the bank. A component that uses some registers has a
    member :py:`registers` of the flow :py:`In`.

    Parameters
    ----------
    registers : iterable of :class:`~eie_hdl.registers.Register`
        Registers.

    Members
    -------
    {register}_{field} : :py:`In(width)` or :py:`Out(width)`
        The field. An input for `Access.READ`. The value for `Access.WRITE` and `Access.STICKY`.
        For `Access.COMMAND`, the value being written while {register}_write is set.
    {register}_{field}_set : :py:`In(width)`
        Bits of a field with `Access.STICKY` to set.
    {register}_write : :py:`Out(1)`
        Strobe. A register with `Access.COMMAND` is being written.
    """
    def __init__(self, registers: Iterable[Register]) -> None:
        members = {}
        for register in registers:
            for field in register.fields:
                name = member_name(register, field)
                flow = In if register.access == Access.READ else Out
                # The stubs know `init` by the name that it had before.
                members[name] = flow(field.width, init=field.reset)    # type: ignore[call-arg]
                if register.access == Access.STICKY:
                    members[f"{name}_set"] = In(field.width)
            if register.access == Access.COMMAND:
                members[f"{register.name.lower()}_write"] = Out(1)
        super().__init__(members)

    @classmethod
    def of(cls, *names: str) -> "RegisterPorts":
        """Return the ports of registers of the machine, by name."""
        return cls(REGISTER[name] for name in names)


def connect_registers(m, bank, user):
    """Connect the member :py:`registers` of a component to a register bank.

    Parameters
    ----------
    m : :class:`~amaranth.hdl.Module`
        Module that contains both.
    bank : :class:`~eie_hdl.host.register_bank.RegisterBank`
        Register bank. It may have more registers.
    user : :class:`~amaranth.lib.wiring.Component`
        Component with a member :py:`registers` of :py:`In(RegisterPorts(...))`.
    """
    for name, member in user.registers.signature.flip().members.items():
        source, sink = getattr(bank, name), getattr(user.registers, name)
        if member.flow == In:
            source, sink = sink, source
        m.d.comb += sink.eq(source)
