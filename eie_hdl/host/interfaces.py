"""Signatures of the interfaces between the components of the host logic."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..format import BEAT_WIDTH, N_BUFFERS
from ..registers import REGISTER
from .error_log import error_layout

__all__ = ["Interlock", "StartStatus", "Supervision", "load_beat"]

#: Beat of a load packet within the machine: `whole` is set if it has all its bytes.
load_beat = data.StructLayout({"data": BEAT_WIDTH, "whole": 1, "last": 1})


class Interlock(wiring.Signature):
    """Mutual exclusion of packets and programs, from the perspective of the load path.

    Members
    -------
    failing : :py:`Out(1)`
        A packet has an error that is not yet pending, but counts as if it was. Registered.
    receiving, receiving_model, receiving_input : :py:`Out(1)`, :py:`Out(1)`, :py:`Out(2)`
        A packet is being received: any packet, one for a model, or one for each input buffer, as
        in :class:`~eie_hdl.host.packet_reader.PacketReader`.
    waiting_input : :py:`Out(2)`
        As in :class:`~eie_hdl.host.packet_reader.PacketReader`.
    in_use : :py:`In(1)`
        A program is running or pending, a vector is being sent or memory read: only input buffers
        may be written.
    read_requested : :py:`In(1)`
        Strobe: memory will be `in_use` from the next cycle on, unless the read is rejected.
    buffer_in_use : :py:`In(2)`
        Input buffers that must not be written: packets for them wait.
    """
    def __init__(self) -> None:
        super().__init__({
            "failing": Out(1), "receiving": Out(1), "receiving_model": Out(1),
            "receiving_input": Out(N_BUFFERS), "waiting_input": Out(N_BUFFERS), "in_use": In(1),
            "read_requested": In(1), "buffer_in_use": In(N_BUFFERS),
        })


class StartStatus(wiring.Signature):
    """Running and pending programs, from the perspective of the start control.

    Members
    -------
    waiting : :py:`Out(1)`
        A start is pending.
    started : :py:`Out(1)`
        Strobe: a program starts.
    buffer : :py:`Out(1)`
        Input buffer of the oldest program in flight.
    descriptor : :py:`Out(16)`
        First descriptor of the oldest program, or of the pending start if none is in flight.
    start_error, read_error : :py:`Out(error_layout)`
        Errors of requests to start and to read, for one cycle each, in the cycle after the
        request.
    """
    def __init__(self) -> None:
        super().__init__({
            "waiting": Out(1), "started": Out(1), "buffer": Out(1),
            "descriptor": Out(REGISTER["START"].width("descriptor")),
            "start_error": Out(error_layout), "read_error": Out(error_layout),
        })


class Supervision(wiring.Signature):
    """Errors and resets, from the perspective of the supervisor.

    Members
    -------
    clear_request : :py:`Out(1)`
        Strobe: the host clears the error, or requests a soft reset. Registered: it follows the
        write to CONTROL by a cycle.
    soft_reset : :py:`Out(1)`
        Strobe: the host requests a soft reset. Likewise.
    error_pending : :py:`Out(1)`
        An error is logged: packets are dropped, and nothing is started.
    core_resetting : :py:`Out(1)`
        The core is being stopped, or its memories are being wiped.
    core_aborting : :py:`Out(1)`
        Events of the core no longer count: a soft reset is requested, or `core_resetting` is set.
    core_reset : :py:`Out(1)`
        Reset of the core.
    """
    def __init__(self) -> None:
        super().__init__({
            "clear_request": Out(1), "soft_reset": Out(1), "error_pending": Out(1),
            "core_resetting": Out(1), "core_aborting": Out(1), "core_reset": Out(1),
        })
