from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ..registers import REGISTER_WIDTH, Access, Register
from .axi import AxiLiteSignature, Response
from .register_ports import RegisterPorts, member_name

__all__ = ["RegisterBank"]


class RegisterBank(wiring.Component):
    """Register bank on an AXI4-Lite bus.

    Reads and writes are independent. Write address and write data may arrive in any order. A read
    is answered in the cycle after its address is accepted, with the register values of the cycle of
    acceptance. A write is executed in the cycle after address and data have been accepted, or after
    the previous response has, and answered a cycle later. Each direction thus sustains an access
    every two cycles. No output of the bus depends combinationally on an input.

    The lowest two bits of addresses, ``awprot`` and ``arprot`` are ignored. Fields are written
    bytewise, according to the strobes. The response is `Response.SLVERR`, and the access has no
    effect, if there is no register at the address, if a read-only or locked register is written, or
    if a command is written without the strobes of all bytes that contain its fields.

    Parameters
    ----------
    registers : sequence of :class:`~eie_hdl.registers.Register`
        Registers, at distinct addresses.
    addr_width : :class:`int`
        Width of a byte address.

    Members
    -------
    bus : :py:`In(AxiLiteSignature(addr_width))`
        Bus of the host.
    lock : :py:`In(1)`
        Reject writes to registers that are `locked`.
    restore : :py:`In(1)`
        Strobe: return fields that the host writes or clears to their reset values. Takes precedence
        over all other updates; bus accesses are unaffected.
    {register}_{field} : :py:`In(width)` or :py:`Out(width)`
        Value of the field: an input for `Access.READ`, an output for `Access.WRITE` and
        `Access.STICKY`. For `Access.COMMAND`, the value written while {register}_write is set.
    {register}_{field}_set : :py:`In(width)`
        Set bits of a field with `Access.STICKY`; takes precedence over a simultaneous clear.
    {register}_write : :py:`Out(1)`
        Strobe: a register with `Access.COMMAND` is written.

    Raises
    ------
    ValueError
        If `addr_width` is too small for the registers.
    """
    lock: Signal
    restore: Signal

    def __init__(self, registers: Sequence[Register], *, addr_width: int):
        needed = max(register.address for register in registers).bit_length()
        if addr_width < needed:
            raise ValueError(f"addr_width must be at least {needed} for these registers, "
                             f"not {addr_width}")
        self._registers = tuple(registers)
        super().__init__({
            "bus": In(AxiLiteSignature(addr_width)), "lock": In(1), "restore": In(1),
            **RegisterPorts(registers).members,
        })

    def elaborate(self, platform):
        m = Module()

        self._read(m)
        address, data, strobe, execute, response = self._write(m)

        with m.Switch(address[2:]):
            for register in self._registers:
                with m.Case(register.address >> 2):
                    m.d.comb += response.eq(self._check_write(register, strobe))
        allowed = Signal()
        m.d.comb += allowed.eq(execute & (response == Response.OKAY))

        bits = Signal.like(data)
        m.d.comb += bits.eq(Cat(byte.replicate(8) for byte in strobe))
        for register in self._registers:
            if register.access != Access.READ:
                selected = Signal(name=f"{register.name.lower()}_selected")
                m.d.comb += selected.eq(allowed & (address[2:] == register.address >> 2))
                self._update(m, register, selected, data, bits)

        return m

    def _read(self, m):
        """Read channels: capture the word of the register as the address is accepted."""
        bus = self.bus
        found = {register.address >> 2: Cat(self._word(register), Const(1))
                 for register in self._registers}
        word  = Signal.like(bus.rdata)
        known = Signal()
        m.d.comb += Cat(word, known).eq(_select(found, bus.araddr[2:], REGISTER_WIDTH + 1))

        m.d.comb += bus.arready.eq(~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(word), bus.rresp.eq(Response.SLVERR)]
            with m.If(known):
                m.d.sync += bus.rresp.eq(Response.OKAY)
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)

    def _word(self, register):
        """Return the value that a read of the register returns."""
        word, end = [], 0
        for field in register.fields if register.access != Access.COMMAND else ():
            word += [Const(0, field.low - end), self._member(register, field)]
            end = field.low + field.width
        return Cat(*word, Const(0, REGISTER_WIDTH - end))

    def _write(self, m):
        """Write channels: hold address and data until both have arrived, then execute the write.

        Returns
        -------
        address, data, strobe : :class:`~amaranth.hdl.Signal`
            The write.
        execute : :class:`~amaranth.hdl.Signal`
            The write is executed in this cycle.
        response : :class:`~amaranth.lib.enum.EnumView`
            To be driven with the response; `Response.SLVERR` by default.
        """
        bus = self.bus
        write_address = Signal.like(bus.awaddr)
        write_data    = Signal.like(bus.wdata)
        write_strobe  = Signal.like(bus.wstrb)
        has_address   = Signal()
        has_data      = Signal()
        execute       = Signal()
        response      = Signal(Response, init=Response.SLVERR)
        m.d.comb += [
            bus.awready.eq(~has_address),
            bus.wready.eq(~has_data),
            execute.eq(has_address & has_data & ~bus.bvalid),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [has_address.eq(1), write_address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [has_data.eq(1), write_data.eq(bus.wdata), write_strobe.eq(bus.wstrb)]
        with m.If(execute):
            m.d.sync += [has_address.eq(0), has_data.eq(0), bus.bvalid.eq(1),
                         bus.bresp.eq(response)]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        return write_address, write_data, write_strobe, execute, response

    def _check_write(self, register, strobe):
        """Return the response to a write of `register` with these strobes."""
        possible = register.access != Access.READ
        if register.access == Access.COMMAND:
            needed = sum({1 << bit // 8 for field in register.fields
                          for bit in range(field.low, field.low + field.width)})
            possible = strobe & needed == needed
        if register.locked:
            possible &= ~self.lock
        return Mux(possible, Response.OKAY, Response.SLVERR)

    def _update(self, m, register, selected, data, bits):
        """Update the fields of a register: if `selected`, write `data` where `bits` are set."""
        if register.access == Access.COMMAND:
            m.d.comb += getattr(self, f"{register.name.lower()}_write").eq(selected)
        for field in register.fields:
            value = self._member(register, field)
            new   = _slice(data, field)
            mask  = _slice(bits, field)
            match register.access:
                case Access.COMMAND:
                    m.d.comb += value.eq(new)
                    continue
                case Access.WRITE:
                    with m.If(selected):
                        m.d.sync += value.eq(new & mask | value & ~mask)
                case Access.STICKY:
                    clear = new & mask & selected.replicate(field.width)
                    raised = getattr(self, f"{member_name(register, field)}_set")
                    m.d.sync += value.eq(value & ~clear | raised)
            with m.If(self.restore):
                m.d.sync += value.eq(field.reset)

    def _member(self, register, field):
        return getattr(self, member_name(register, field))


def _select(values, index, width):
    """Select the value at an index, zero if there is none.

    A tree of two-input multiplexers takes fewer cells than a comparison with each index.
    """
    if not values or not len(index):
        return values.get(0, Const(0, width))
    half = 1 << len(index) - 1
    low  = {n: value for n, value in values.items() if n < half}
    high = {n - half: value for n, value in values.items() if n >= half}
    return Mux(index[-1], _select(high, index[:-1], width), _select(low, index[:-1], width))


def _slice(word, field):
    """Return the bits of a word that belong to a field."""
    return word[field.low:field.low + field.width]
