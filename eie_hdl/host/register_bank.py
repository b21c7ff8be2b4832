from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from ..config import clog2
from ..registers import REGISTER_WIDTH, Access, Register
from .axi import AxiLiteSignature, Response
from .register_ports import RegisterPorts, member_name

__all__ = ["RegisterBank"]


class RegisterBank(wiring.Component):
    """Register bank on an AXI4-Lite bus.

    Reads and writes are independent. Write address and write data may arrive in any order. Each
    direction sustains an access every two cycles. No output of the bus depends combinationally on
    an input.

    A read is answered two cycles after its address is accepted, or in the cycle after the previous
    answer is taken if that is later, with the register values of the cycle before. A write is
    decided in the cycle after address and data have been accepted, or in the one in which the
    previous response is if that is later; executed a cycle later; and answered another cycle later.

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
    stored : sequence of :class:`~eie_hdl.registers.Register`
        Read-only registers that are rows of a memory, in order and without gaps. The address of the
        first is a multiple of the size of the memory, a power of two.

    Members
    -------
    bus : :py:`In(AxiLiteSignature(addr_width))`
        Bus of the host.
    lock : :py:`In(1)`
        Reject writes to registers that are `locked` and executed in the next cycle.
    restore : :py:`In(1)`
        Strobe: return fields that the host writes or clears to their reset values in the next
        cycle. Takes precedence over all other updates; bus accesses are unaffected.
    stored : :py:`In(memory.ReadPort.Signature(...))`
        Port to read a row with a latency of one cycle, if there are `stored` registers.
    wait : :py:`In(1)`
        Rows are changing: delay reads of `stored` registers, and those after them.
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
        If `addr_width` is too small for the registers, or `stored` are no rows of a memory.
    """
    lock: Signal
    restore: Signal

    def __init__(self, registers: Sequence[Register], *, addr_width: int,
                 stored: Sequence[Register] = ()):
        needed = max(register.address for register in (*registers, *stored)).bit_length()
        if addr_width < needed:
            raise ValueError(f"addr_width must be at least {needed} for these registers, "
                             f"not {addr_width}")
        if [register.address % (4 << clog2(len(stored))) for register in stored] != [
                4 * row for row in range(len(stored))]:
            raise ValueError(f"stored must be consecutive registers from a multiple of "
                             f"{4 << clog2(len(stored))}, not at "
                             f"{[register.address for register in stored]}")
        self._registers = tuple(registers)
        self._stored    = tuple(stored)
        super().__init__({
            "bus": In(AxiLiteSignature(addr_width)), "lock": In(1), "restore": In(1),
            **RegisterPorts(registers).members,
            **({"wait": In(1), "stored": In(memory.ReadPort.Signature(
                addr_width=clog2(len(stored)), shape=REGISTER_WIDTH))} if stored else {}),
        })

    def elaborate(self, platform):
        m = Module()

        # These two come late in a cycle, or go to many flip-flops.
        locked   = Signal()
        restored = Signal()
        m.d.sync += [locked.eq(self.lock), restored.eq(self.restore)]

        self._read(m)
        allowed, data, strobe, decides = self._write(m, locked)

        writable = [register for register in self._registers if register.access != Access.READ]
        selected = Signal(len(writable))    # one flag for each of them
        m.d.sync += selected.eq(Cat(decides & allowed[register] for register in writable))
        for register, flag in zip(writable, selected):
            writes = flag & ~locked if register.locked else flag
            self._update(m, register, writes, data, strobe)
        with m.If(restored):
            m.d.sync += [self._member(register, field).eq(field.reset)
                         for register in self._registers
                         if register.access in (Access.WRITE, Access.STICKY)
                         for field in register.fields]

        return m

    def _read(self, m):
        """Read channels: find the register as the address is accepted, then answer."""
        bus  = self.bus
        word = Const(0, REGISTER_WIDTH)
        matches  = _match_all(bus.araddr, (*self._registers, *self._stored))
        readable = [register for register in self._registers
                    if register.access != Access.COMMAND]
        reads = Signal(len(readable))    # one flag for each of them
        with m.If(bus.arready):
            m.d.sync += reads.eq(Cat(matches[register] for register in readable))
        for register, flag in zip(readable, reads):
            word |= Mux(flag, self._word(register), 0)
        is_read = Signal()
        known   = Signal()
        waits   = Const(0)
        if self._stored:
            selected, stored = self._find_stored(m, matches)
            word |= Mux(selected, stored, 0)
            waits = selected & self.wait
        m.d.comb += bus.arready.eq(~is_read)
        with m.If(bus.arready):
            m.d.sync += [
                is_read.eq(bus.arvalid),
                known.eq(Cat(matches.values()).any()),
            ]
        with m.If(is_read & ~waits & ~bus.rvalid):
            m.d.sync += [
                is_read.eq(0),
                bus.rvalid.eq(1),
                bus.rdata.eq(word),
                bus.rresp.eq(Mux(known, Response.OKAY, Response.SLVERR)),
            ]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)

    def _find_stored(self, m, matches):
        """Read a row as the address is accepted; return if one is selected, and its word."""
        bus, port = self.bus, self.stored
        selected  = Signal(name="stored_read")
        m.d.comb += [port.addr.eq(bus.araddr[2:]), port.en.eq(bus.arready)]
        with m.If(bus.arready):
            m.d.sync += selected.eq(Cat(matches[register] for register in self._stored).any())
        return selected, port.data

    def _word(self, register):
        """Return the value that a read of the register returns."""
        word, end = [], 0
        for field in register.fields:
            word += [Const(0, field.low - end), self._member(register, field)]
            end = field.low + field.width
        return Cat(*word, Const(0, REGISTER_WIDTH - end))

    def _write(self, m, locked):
        """Write channels: hold address and data until both have arrived, then decide and answer.

        Returns
        -------
        allowed : :class:`dict`
            For each register a flag: it would be written unless it is locked.
        data, strobe : :class:`~amaranth.hdl.Signal`
            The write, up to the cycle in which it is executed.
        decides : :class:`~amaranth.hdl.Signal`
            The write is executed in the next cycle.
        """
        bus = self.bus
        write_address = Signal.like(bus.awaddr)
        write_data    = Signal.like(bus.wdata)
        write_strobe  = Signal.like(bus.wstrb)
        has_address   = Signal()
        has_data      = Signal()
        decides       = Signal()
        executes      = Signal()
        is_allowed    = Signal()    # unless it is locked
        is_lockable   = Signal()
        matches = _match_all(write_address, self._registers)
        allowed = {register: match & _allows(register, write_strobe)
                   for register, match in matches.items()}
        m.d.comb += [
            bus.awready.eq(~has_address),
            bus.wready.eq(~has_data),
            decides.eq(has_address & has_data & ~executes & (~bus.bvalid | bus.bready)),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [has_address.eq(1), write_address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [has_data.eq(1), write_data.eq(bus.wdata), write_strobe.eq(bus.wstrb)]
        with m.If(decides):
            m.d.sync += [has_address.eq(0), has_data.eq(0)]
        m.d.sync += [
            executes.eq(decides),
            is_allowed.eq(Cat(allowed.values()).any()),
            is_lockable.eq(Cat(match for register, match in matches.items()
                               if register.locked).any()),
        ]
        with m.If(executes):
            m.d.sync += [
                bus.bvalid.eq(1),
                bus.bresp.eq(Mux(is_allowed & ~(is_lockable & locked),
                                 Response.OKAY, Response.SLVERR)),
            ]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        return allowed, write_data, write_strobe, decides

    def _update(self, m, register, writes, data, strobe):
        """Update the fields of a register: if it `writes`, the bytes of `data` in `strobe`."""
        if register.access == Access.COMMAND:
            m.d.comb += getattr(self, f"{register.name.lower()}_write").eq(writes)
        for field in register.fields:
            value = self._member(register, field)
            if register.access == Access.COMMAND:
                m.d.comb += value.eq(data[field.low:field.low + field.width])
                continue
            if register.access == Access.STICKY:
                raised = getattr(self, f"{member_name(register, field)}_set")
                m.d.sync += value.eq(value | raised)
            # Whole bytes, so that an enable of flip-flops is enough.
            for byte, low, high in _bytes(field):
                part = slice(low - field.low, high - field.low)
                with m.If(writes & strobe[byte]):
                    if register.access == Access.STICKY:
                        m.d.sync += value[part].eq(value[part] & ~data[low:high] | raised[part])
                    else:
                        m.d.sync += value[part].eq(data[low:high])

    def _member(self, register, field):
        return getattr(self, member_name(register, field))


def _match_all(address, registers):
    """Return a flag for each register, which is set if the address is that of the register.

    Registers share the halves of the comparison.
    """
    places = {register: divmod(register.address >> 2, 8) for register in registers}
    high   = {place: address[5:] == place for place, _ in places.values()}
    low    = {place: address[2:5] == place for _, place in places.values()}
    return {register: high[place_high] & low[place_low]
            for register, (place_high, place_low) in places.items()}


def _allows(register, strobe):
    """Return a flag that is set if the register can be written with these strobes."""
    if register.access == Access.COMMAND:
        needed = sum({1 << byte for field in register.fields for byte, _, _ in _bytes(field)})
        return strobe & needed == needed
    return Const(register.access != Access.READ)


def _bytes(field):
    """Yield the bytes with bits of a field, and the first of these bits and the one after them."""
    end = field.low + field.width
    for byte in range(field.low // 8, (end - 1) // 8 + 1):
        yield byte, max(field.low, 8 * byte), min(end, 8 * (byte + 1))
