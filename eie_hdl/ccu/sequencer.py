from amaranth.hdl import Module, Mux, Shape, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig, clog2
from ..format import Kind, Layouts, Memory
from ..registers import REGISTER, Error
from .counters import strobes_layout
from .descriptor_check import DescriptorCheck
from .memory_reader import MemoryReader

__all__ = ["Sequencer", "fault_layout"]


def fault_layout(config: EIEConfig) -> data.StructLayout:
    """Fault of a program: an :class:`~eie_hdl.registers.Error`, and the number of the descriptor.
    """
    return data.StructLayout({"code": REGISTER["ERROR"].width("code"),
                              "address": unsigned(clog2(config.program_depth))})


class Sequencer(wiring.Component):
    """Sequencer of a program: fetches descriptors and executes them one after another.

    A descriptor of a tile is a start message, a message for each activation that the scanners find,
    and an end message. A descriptor with `start.send` is a start message alone: the PEs send the
    vector while further descriptors, and programs, are executed. One vector is sent at a time. A
    fault is detected one cycle late, and stops the sequencer until a reset. A vector that is being
    sent still leaves, but not the vector of the descriptor with the fault.

    A read of activations is executed as a descriptor that sends them; a read of another memory by a
    :class:`~eie_hdl.ccu.memory_reader.MemoryReader`, if the configuration has ``readback``.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    run, read, watched, busy, done, sending, fault
        As in :class:`~eie_hdl.ccu.ccu.CcuSignature`.
    program : :py:`In(memory.ReadPort.Signature(...))`
        The program memory.
    message : :py:`Out(stream.Signature(layouts.message))`
        Messages to broadcast. An offered message is withdrawn after a fault.
    request : :py:`Out(stream.Signature(layouts.load))`
        Requests for memory. Exists only with ``readback``.
    scan : :py:`In(stream.Signature(layouts.scan))`
        Activations that the scanners find.
    answer : :py:`In(stream.Signature(layouts.result))`
        Vectors of the PEs, and answers to requests for memory.
    results : :py:`Out(stream.Signature(layouts.result))`
        Vectors and memory contents for the host.
    tile_sent : :py:`Out(1)`
        Strobe: the end of a tile is broadcast.
    tiles_waiting : :py:`In(1)`
        At least one tile has been sent but not yet written.
    reading : :py:`Out(1)`
        A memory is being read; no program is running.
    queues_full, result_blocked : :py:`In(1)`
        Cause of a stalled activation or result, for the counters.
    strobes : :py:`Out(strobes_layout)`
        Events of this cycle, for the counters.
    """
    run: stream.Interface
    read: stream.Interface
    watched: Signal
    busy: Signal
    done: Signal
    sending: Signal
    fault: data.View
    program: memory.ReadPort
    message: stream.Interface
    scan: stream.Interface
    answer: stream.Interface
    results: stream.Interface
    tile_sent: Signal
    tiles_waiting: Signal
    reading: Signal
    queues_full: Signal
    result_blocked: Signal
    strobes: data.View

    def __init__(self, config: EIEConfig):
        self._config  = config
        self._layouts = layouts = Layouts.of(config)
        program = layouts.memories[Memory.PROGRAM]
        super().__init__({
            "run":     In(stream.Signature(layouts.run)),
            "read":    In(stream.Signature(layouts.read)),
            "watched": In(clog2(config.n_pe)),
            "busy":    Out(1),
            "done":    Out(1),
            "sending": Out(1),
            "fault":   Out(fault_layout(config)),
            "program": In(memory.ReadPort.Signature(
                addr_width=clog2(program.depth), shape=Shape.cast(program.shape).width)),
            "message": Out(stream.Signature(layouts.message)),
            **({"request": Out(stream.Signature(layouts.load))}
               if config.readback else {}),
            "scan":    In(stream.Signature(layouts.scan)),
            "answer":  In(stream.Signature(layouts.result)),
            "results": Out(stream.Signature(layouts.result)),
            "tile_sent":      Out(1),
            "tiles_waiting":  In(1),
            "reading":        Out(1),
            "queues_full":    In(1),
            "result_blocked": In(1),
            "strobes":        Out(strobes_layout),
        })

    def elaborate(self, platform):
        m = Module()

        # The descriptor being executed: of the program, or one that reads activations.
        descriptor = Signal(self._layouts.descriptor)
        address    = Signal.like(self.program.addr)
        offset     = Signal.like(self.run.p.offset)
        source, destination, error = self._check(m, descriptor, address, offset)

        # A state offers a message; it is sent if the broadcast accepts it and there is no fault.
        offer = stream.Signature(self._layouts.message).create(path=("offer",))
        sent  = offer.valid & offer.ready
        no_fault = self.fault.code == Error.NONE
        m.d.comb += [
            self.message.payload.eq(offer.payload),
            self.message.valid.eq(offer.valid & no_fault),
            offer.ready.eq(self.message.ready & no_fault),
            self.program.en.eq(0),    # except in a state that reads
        ]

        self._pass_results(m)

        with m.FSM() as fsm:
            with m.State("IDLE"):
                self._accept(m, address, offset)
            with m.State("READ"):
                with m.If(self.read.p.memory == Memory.ACT):
                    self._make_descriptor(m, descriptor)
                if self._config.readback:
                    with m.Else():
                        self._read_memory(m)
            with m.State("FETCH"):
                m.d.comb += self.strobes.phase_control.eq(1)
                m.d.comb += [self.program.en.eq(1), self.program.addr.eq(address)]
                m.next = "DECODE"
            with m.State("DECODE"):
                m.d.comb += self.strobes.phase_control.eq(1)
                m.d.sync += descriptor.eq(self.program.data)
                m.next = "START"
            with m.State("START"):
                self._start(m, descriptor, source, offer)
                with m.If(error != Error.NONE):
                    m.d.sync += self._fault(error, address)
                with m.If(sent & descriptor.start.send):
                    m.d.sync += self.sending.eq(error == Error.NONE)
                    m.next = "END"
                with m.Elif(sent):
                    m.next = "SCAN"
            with m.State("SCAN"):
                self._broadcast(m, descriptor, address, offer)
                with m.If(self.scan.valid & self.scan.ready & self.scan.p.end):
                    m.next = "END"
            with m.State("END"):
                self._end(m, descriptor, destination, address, offer)
            with m.State("FINISH"):
                self._finish(m)
        m.d.comb += [self.busy.eq(~fsm.ongoing("IDLE")), self.strobes.cycles.eq(self.busy)]

        return m

    def _check(self, m, descriptor, address, offset):
        """Return the first rows of a descriptor's source and destination, and its error."""
        m.submodules.check = check = DescriptorCheck(self._config)
        m.d.comb += [
            check.descriptor.eq(descriptor),
            check.source.eq(descriptor.start.source + Mux(descriptor.offset_source, offset, 0)),
            check.destination.eq(descriptor.end.destination
                                 + Mux(descriptor.offset_destination, offset, 0)),
            check.last.eq(address == self._config.program_depth - 1),
        ]
        return check.source, check.destination, check.code

    def _pass_results(self, m):
        """Pass results to the host while a vector is being sent; count if it stalls them."""
        m.d.comb += [
            self.strobes.stall_result.eq(self.busy & self.result_blocked),
            self.results.payload.eq(self.answer.payload),
            self.results.valid.eq(self.answer.valid & self.sending),
            self.answer.ready.eq(self.results.ready & self.sending),
        ]
        with m.If(self.results.valid & self.results.ready & self.results.p.end):
            m.d.sync += self.sending.eq(0)

    def _accept(self, m, address, offset):
        """Accept the start of a program or, with lower priority, a read of memory."""
        m.d.comb += self.run.ready.eq(1)
        m.d.sync += self.reading.eq(0)
        with m.If(self.run.valid):
            m.d.sync += [address.eq(self.run.p.descriptor), offset.eq(self.run.p.offset)]
            m.next = "FETCH"
        with m.Elif(self.read.valid):
            m.d.sync += self.reading.eq(1)
            m.next = "READ"

    def _make_descriptor(self, m, descriptor):
        """Turn a read of activations into a descriptor that sends them to the host."""
        m.d.comb += self.read.ready.eq(1)
        m.d.sync += [
            descriptor.eq(0),
            descriptor.start.source.eq(self.read.p.address),
            descriptor.start.last_word.eq(self.read.p.count - 1),
            descriptor.start.last_lane.eq(-1),
            descriptor.start.last_pe.eq(-1),
            descriptor.start.send.eq(1),
            descriptor.final.eq(1),
            descriptor.valid.eq(1),
        ]
        m.next = "START"

    def _read_memory(self, m):
        """Read a memory word by word: broadcast requests, and send the answers to the host."""
        m.submodules.memory_read = reader = MemoryReader(self._config)
        connect(m, flipped(self.read), reader.i)
        connect(m, flipped(self.answer), reader.answer)
        connect(m, reader.program, flipped(self.program))
        connect(m, reader.o, flipped(self.results))
        connect(m, reader.request, flipped(self.request))
        with m.If(self.read.ready):
            m.next = "IDLE"

    def _start(self, m, descriptor, source, offer):
        """Start a descriptor, after earlier tiles have been written if it has a barrier.

        A vector is sent after the one before.
        """
        for_tiles  = descriptor.barrier & self.tiles_waiting
        for_result = descriptor.start.send & self.sending
        must_wait  = for_tiles | for_result
        start = offer.p.body.start
        m.d.comb += [
            offer.p.kind.eq(Kind.START),
            start.eq(descriptor.start.as_value()),
            start.source.eq(source),
            start.watched.eq(self.watched),
            offer.valid.eq(~must_wait),
            self.strobes.stall_barrier.eq(for_tiles),
            self.strobes.phase_output.eq(for_result & ~for_tiles),
            self.strobes.phase_control.eq(~must_wait),
        ]

    def _broadcast(self, m, descriptor, address, offer):
        """Broadcast the activations that the scanners find in the source of a tile."""
        found = self.scan
        is_activation = found.valid & ~found.p.end
        pointer = descriptor.ptr_base + found.p.column
        m.d.comb += [
            offer.p.kind.eq(Kind.ACTIVATION),
            offer.p.body.activation.pointer.eq(pointer),
            offer.p.body.activation.value.eq(found.p.value),
            offer.valid.eq(is_activation),
            found.ready.eq(offer.ready),
            self.strobes.phase_compute.eq(1),
            self.strobes.broadcasts.eq(offer.valid & offer.ready),
            self.strobes.stall_full.eq(is_activation & self.queues_full),
            self.strobes.stall_scan.eq(~found.valid),
        ]
        with m.If(offer.valid & offer.ready & (pointer > self._config.n_pointers - 2)):
            m.d.sync += self._fault(Error.BAD_POINTER, address)

    def _fault(self, error, address):
        """Report an error of the descriptor at an address."""
        return [self.fault.code.eq(error), self.fault.address.eq(address)]

    def _end(self, m, descriptor, destination, address, offer):
        """End a descriptor, with a broadcast for a tile, and continue with the next one.

        A tile that may overwrite a result ends when earlier results have been sent.
        """
        is_tile = ~descriptor.start.send
        must_wait = is_tile & descriptor.result_barrier & self.sending
        sent = offer.valid & offer.ready
        m.d.comb += [
            offer.p.kind.eq(Kind.END),
            offer.p.body.end.eq(descriptor.end),
            offer.p.body.end.destination.eq(destination),
            offer.valid.eq(is_tile & ~must_wait),
            self.tile_sent.eq(sent),
            self.strobes.phase_output.eq(must_wait),
            self.strobes.phase_control.eq(~must_wait),
        ]
        with m.If(sent | (~is_tile & (self.fault.code == Error.NONE))):
            m.d.sync += address.eq(address + 1)
            m.next = "FETCH"
            with m.If(descriptor.final):
                m.next = "FINISH"

    def _finish(self, m):
        """End a program when its tiles are written, and a read when it has been sent."""
        m.d.comb += self.strobes.stall_barrier.eq(1)
        with m.If(~self.tiles_waiting & ~(self.reading & self.sending)):
            m.d.comb += self.done.eq(~self.reading)
            m.next = "IDLE"
