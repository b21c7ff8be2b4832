"""Cycle-by-cycle timing of the machine, compiled by Numba.

The parts are those of the RTL, from the CCU outwards, and the driver. Each sees the others as they
were when the cycle began: the part downstream takes first, and records for the one upstream if
there was room. A part is evaluated only when it can change: a node until the cycle after a change
in it or next to it (`active_until`), a PE when it is due.

All functions are inlined into one, as a call would count references to each array it passes. They
share one file, as Numba's cache notices no change of another file.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eie_hdl.format import N_BUFFERS, N_SEGMENTS

__all__ = ["ENDED", "EXPECT", "LOAD", "START", "TAKE", "WAIT", "CcuCounters", "Host", "Program",
           "TimingParameters", "run"]

#: Contents of a PE stage: nothing, a column without entries, an entry, the start of a descriptor,
#: or the end of a tile of step `n` as ``_END + 2 * n``, plus 1 for its last tile. Messages use the
#: same codes, one for a later segment of a descriptor, one for a vector to send, and one for the
#: end of local tiles.
_NOTHING, _EMPTY, _ENTRY, _START, _END = range(5)
_SEND, _SEGMENT, _LOCAL_END = -1, -2, -3

#: Due cycle of a PE that waits for input.
_NEVER = 1 << 62

#: Markers in place of a column: after the last activation of a source, and of a local tile, which
#: may be the last one of its descriptor. An activation of a local tile has this added to its place.
_NO_MORE, _LOCAL_NO_MORE, _LAST_NO_MORE = -1, -2, -3
_LOCAL = 1 << 48

#: Word that no PE reads.
_NO_WORD = -1

#: States of the starter, as in the RTL, and that after the end of the run.
_FETCH, _DECODE, _SUM, _CHECK, _BEGIN, _STARTED, ENDED = range(7)

#: Calls of the driver: load an input, start a program, expect a vector, take it, and wait until a
#: number of programs have ended.
LOAD, START, EXPECT, TAKE, WAIT = range(5)

#: Phases of a call: its start, the number of programs is read, it has been read, the interrupts are
#: to be read, they are read, they have been read, and a wait for an interrupt or a vector.
_CALL, _READ_COUNT, _COUNTED, _CHECK_IRQ, _READ_IRQ, _CHECKED, _SLEEP = range(7)

#: Cycles of a register access, and from its start until the register is read or written.
_READ_CYCLES, _WRITE_CYCLES = 3, 4
_READ_DELAY, _WRITE_DELAY = 1, 2

#: Cycles from the sending of a message to its arrival at a PE's scanner, vector sender, and
#: activation queue, without those of the tree levels.
_SCAN_DELAY, _SEND_DELAY, _QUEUE_DELAY = 1, 2, 4

#: Stages of the walk through the segments of a loop before its output.
_WALK_STAGES = 3

#: Marker of the end in a stream of result words, of which other items are the number of elements.
_END_OF_VECTOR = 0

#: History of queue status, one bit per cycle: more bits than a tree has levels.
_HISTORY = 0xFFFF

#: Cycles from the last row at the output of the MAC until the PE reports its tile written.
_WRITTEN_DELAY = 5


class Program(NamedTuple):
    """Activity of a program, or of several in succession, their steps concatenated.

    Attributes
    ----------
    first_step : int64 (n_programs + 1,)
        The steps of program `n` are ``first_step[n]`` to ``first_step[n + 1] - 1``.
    send, barrier, result_barrier, alone, frees_input, in_region : bool (n_steps,)
        True if the step sends its source to the host; if it waits for all earlier tiles of its
        program; if its tile waits for earlier results; if it waits for earlier programs; if it is
        the last that reads the input; if the vector that it sends, or writes, is in the region of
        its program's buffer.
    first_segment : int64 (n_steps + 1,)
        The segments of step `n` are ``first_segment[n]`` to ``first_segment[n + 1] - 1``. Without
        loops, a tile has one.
    words, first_word, origin : int64 (n_segments,)
        Words of a segment, the index of the first in `mask`, and the index in `entries` of column 0
        of this word.
    ends, closes, skipped, local : bool (n_segments,)
        True if the segment is the last of its tile, or of its step; if it is walked but not
        scanned; if its tile is in local mode.
    n_sent_words : int64 (n_steps,)
        Words that the first PE sends.
    last_lane, last_pe : int64 (n_steps,)
        Lane and PE of the last element that is sent.
    n_tiles, n_drains, n_fill : int64 (n_steps,)
        Tiles, cycles in which each is drained, and rows of zeros after the last one.
    mask : uint8 (n_pe, n_words)
        Bit mask of those of the four activations of a word that are processed. PEs in tree order.
    entries : uint16 (n_pe, n_columns)
        Entries of each column.
    first_word_read, last_word_read : int32 (n_pe, n_columns)
        Words of the spmat SRAM that they begin and end in.
    """

    first_step: NDArray[np.int64]
    send: NDArray[np.bool_]
    barrier: NDArray[np.bool_]
    result_barrier: NDArray[np.bool_]
    alone: NDArray[np.bool_]
    frees_input: NDArray[np.bool_]
    in_region: NDArray[np.bool_]
    first_segment: NDArray[np.int64]
    words: NDArray[np.int64]
    first_word: NDArray[np.int64]
    origin: NDArray[np.int64]
    ends: NDArray[np.bool_]
    closes: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    local: NDArray[np.bool_]
    n_sent_words: NDArray[np.int64]
    last_lane: NDArray[np.int64]
    last_pe: NDArray[np.int64]
    n_tiles: NDArray[np.int64]
    n_drains: NDArray[np.int64]
    n_fill: NDArray[np.int64]
    mask: NDArray[np.uint8]
    entries: NDArray[np.uint16]
    first_word_read: NDArray[np.int32]
    last_word_read: NDArray[np.int32]


class TimingParameters(NamedTuple):
    """Parameters of the machine that determine its timing.

    Attributes
    ----------
    n_levels, drop_empty, loops, local, max_tiles
        As in :class:`~eie_hdl.config.EIEConfig`.
    row_stages
        Stages of the MAC, of tables and of scales.
    any_unwritten
        Unwritten tiles of a start that waits for none.
    filling, full, n_slots, in_flight, filling_limit
        Columns from which a queue counts as filling, and as full, and those that it can hold; the
        age in cycles of the queue status that the CCU sees; messages allowed in flight while a
        queue is filling.
    beat_elements
        Elements of a beat of results.
    first_child, parent, pes
        As in :class:`~.tree.Tree`.
    """

    n_levels: int
    drop_empty: bool
    row_stages: int
    loops: bool
    local: bool
    max_tiles: int
    any_unwritten: int
    filling: int
    full: int
    n_slots: int
    in_flight: int
    filling_limit: int
    beat_elements: int
    first_child: NDArray[np.int64]
    parent: NDArray[np.int64]
    pes: NDArray[np.int64]


class Host(NamedTuple):
    """Host that runs programs through the driver, from cycle 0.

    Attributes
    ----------
    calls : int64 (n_calls, 2)
        Calls of the driver, each with the beats of a load, the input buffer of a start, or the
        number of programs that a wait is for. If there are none, program 0 starts in cycle 0.
    n_buffers : :class:`int`
        Input buffers, used in turn.
    n_words, word_beats : :class:`int`
        Words of a packet for an input buffer, and beats of a word; a header precedes them.
    input_pauses, result_pauses : int64 (n,)
        As in :class:`~..pauses.Pauses`.
    """

    calls: NDArray[np.int64]
    n_buffers: int
    n_words: int
    word_beats: int
    input_pauses: NDArray[np.int64]
    result_pauses: NDArray[np.int64]


class CcuCounters(NamedTuple):
    """Counters of the CCU.

    Attributes
    ----------
    state : :class:`int`
        :data:`ENDED`, or the state of the starter at the deadline.
    cycles, control, compute, output, full, scan, barrier : :class:`int`
        Total cycles, cycles of each phase, and stalls by cause.
    broadcasts, spmat_reads : :class:`int`
        Activations broadcast, and words read from the spmat SRAMs of all PEs.
    interval, latency : :class:`int`
        Cycles from the first and from the last beat of inputs to the last beat of results; the
        interval includes both.
    """

    state: int
    cycles: int
    control: int
    compute: int
    output: int
    full: int
    scan: int
    barrier: int
    broadcasts: int
    spmat_reads: int
    interval: int
    latency: int


#: A queue of two columns; `was_full` is its state when the cycle began, for the part upstream.
_QUEUE = [("level", np.int64), ("first", np.int64), ("second", np.int64), ("was_full", np.bool_)]

#: Output of a node or PE: columns, and the report of a written tile.
_OUTPUT = np.dtype([
    *_QUEUE, ("offered", np.bool_), ("taken", np.bool_),
    # Of a PE: its first column is not for the tree, or not yet; the tree has taken one.
    ("withheld", np.bool_), ("moved", np.bool_)], align=True)

#: Output of results of a node, a queue, or of a PE, a register: if it offers its end in this cycle,
#: and did in the cycle before. `taken` is for the PE.
_RESULT = np.dtype([*_QUEUE, ("ends", np.bool_), ("ended", np.bool_), ("taken", np.bool_)],
                   align=True)

#: A node's input from a child.
_INPUT = np.dtype([*_QUEUE, ("written", np.bool_)], align=True)

#: A message in an activation queue; `target` is the column.
_SLOT = np.dtype([("kind", np.int64), ("target", np.int64)])

#: A broadcast message: `target` is the column, or the step of a start or end; a start allows a
#: number of unwritten tiles; `sent` is the cycle.
_MESSAGE = np.dtype([("kind", np.int64), ("target", np.int64), ("allowed", np.int64),
                     ("sent", np.int64)])

#: A segment that waits to be scanned, and the unwritten tiles that it allows.
_QUEUED = np.dtype([("segment", np.int64), ("allowed", np.int64)])

#: Starter of loops: the segment in its first stage, which is followed by those in two stages before
#: the output; if one has been started, if the tile of the one at the output has, if the descriptor
#: has been handed over, and if all segments have been sent.
_LOOP = np.dtype([
    ("walked", np.int64), ("began", np.bool_), ("opened", np.bool_), ("handed", np.bool_),
    ("sent", np.bool_),
    # A vector has had to wait; and need not any more, so that it interrupts the loop.
    ("vector_waits", np.bool_), ("interrupted", np.bool_)], align=True)

#: Table of segments: segments in use, those freed in the cycle before, and those started of the
#: tile that is being started; the column or end in its register.
_TABLE = np.dtype([
    ("n_used", np.int64), ("n_freed", np.int64), ("count", np.int64), ("valid", np.bool_),
    ("column", np.int64)], align=True)

#: Per input buffer, its program: steps to start, from `step` to before `stop`; tiles not yet
#: written; tiles started after its last one; if it may read the input.
_CONTEXT = np.dtype([
    ("running", np.bool_), ("step", np.int64), ("stop", np.int64), ("unwritten", np.int64),
    ("n_since", np.int64), ("reads_input", np.bool_),
    # In the cycle before, packets could not write its input buffer.
    ("in_use", np.bool_)], align=True)

#: Packer of results, which has taken an end in this cycle; and beats that wait for the host, up to
#: two, each of which may be the last one of its packet.
_PACKER = np.dtype([
    ("level", np.int64), ("ended", np.bool_), ("n_beats", np.int64), ("is_last", np.bool_),
    ("next_is_last", np.bool_)], align=True)

#: Driver and its interface to the core.
_DRIVER = np.dtype([
    # Call, its phase, the cycle in which it goes on, and if the bit or number read is set.
    ("call", np.int64), ("phase", np.int64), ("until", np.int64), ("is_set", np.bool_),
    # Cycles in which START and IRQ_STATUS are written.
    ("start_at", np.int64), ("clear_at", np.int64),
    # Interrupt; PROGRAMS, a cycle after `ended`.
    ("irq_status", np.bool_), ("irq", np.bool_), ("ended", np.bool_), ("n_ended", np.int64),
    # A vector is expected, or has been received.
    ("armed", np.bool_), ("complete", np.bool_),
    # Beats sent and taken, cycles left of the pauses before the next, and cycles in which the first
    # and the last beat were sent.
    ("n_sent", np.int64), ("n_received", np.int64), ("input_pause", np.int64),
    ("result_pause", np.int64), ("first_sent", np.int64), ("last_sent", np.int64),
    # Beats to send, and in the queue; packets begun; the packet in reception, its beats that are
    # not yet accepted, and what is checked: its header, or a beat of a word.
    ("n_left", np.int64), ("queued", np.int64), ("n_packets", np.int64),
    ("buffer", np.int64), ("beats_left", np.int64),
    ("has_header", np.bool_), ("has_beat", np.bool_), ("beat", np.int64),
    ("offered", np.bool_), ("offered_buffer", np.int64), ("loads", np.bool_),
    # The start that is pending; a packet for its buffer comes before it. In the cycle before, a
    # header waited, for this buffer.
    ("pending", np.bool_), ("pending_buffer", np.int64), ("comes_after", np.bool_),
    ("waited", np.bool_), ("waited_buffer", np.int64),
], align=True)

#: A PE without its output.
_PE = np.dtype([
    ("index", np.int64),
    # Activation queue: messages in it, the slot of the first of them, and if it is filling; the
    # word that the spmat read holds, and words read.
    ("level", np.int64), ("head", np.int64), ("is_filling", np.bool_),
    ("held_word", np.int64), ("n_reads", np.int64),
    # Local feed: stages, the end of the tile has entered them, and activations on their way to the
    # queue. The step whose end has been broadcast, if any.
    ("feed_1", np.int64), ("feed_2", np.int64), ("feed_ends", np.bool_),
    ("fed_1", np.int64), ("fed_2", np.int64), ("is_open", np.bool_), ("open_step", np.int64),
    # Stages of the spmat read, the cycle of the last entry in the first; decode; starts and ends
    # among them, or being drained. While there are none, the stages after the first do not matter.
    ("n_controls", np.int64), ("last_at", np.int64),
    ("stage_1", np.int64), ("stage_2", np.int64), ("stage_3", np.int64), ("stage_4", np.int64),
    ("decoded", np.int64),
    # Drain and write-back; the tile that is drained.
    ("draining", np.bool_), ("drained", np.int64), ("row", np.int64), ("writing", np.bool_),
    ("written_at", np.int64),
    # Tiles started and not yet written, and those of them whose last segment is being scanned.
    ("unwritten", np.int64), ("n_begun", np.int64),
    # Scanner: segment of the source and of the one that waits, and the unwritten tiles that the
    # latter allows; words taken, word in stage 2 if any, activations left to send in stage 3.
    ("segment", np.int64), ("waiting", np.bool_), ("next_segment", np.int64),
    ("allowed", np.int64),
    ("busy", np.bool_), ("fetching", np.bool_), ("fetched", np.bool_), ("n_taken", np.int64),
    ("has_word", np.bool_), ("word", np.int64), ("pending", np.int64), ("number", np.int64),
    # Scanner of segments: those taken from the queue; the word that is walked to, the one that is
    # read, and the segment of `word`, as that of `number` is `segment`; if an end follows.
    ("n_popped", np.int64),
    ("walks", np.bool_), ("walked_segment", np.int64), ("walked_word", np.int64),
    ("has_read", np.bool_), ("read_segment", np.int64), ("read_word", np.int64),
    ("word_segment", np.int64), ("ends", np.bool_),
    # Vector sender: tiles to be written before, rows to read after the next, if that is the last
    # and has no word of this PE, elements of the last word, if the SRAM returns a word, and if it
    # is, or was, the last.
    ("sending", np.bool_), ("n_before", np.int64), ("n_left", np.int64), ("omits", np.bool_),
    ("last_size", np.int64), ("reads", np.bool_), ("was_last", np.bool_),
], align=True)


@njit(inline="always")
def _put(queue, column):
    if queue.level:
        queue.second = column
    else:
        queue.first = column
    queue.level += 1


@njit(inline="always")
def _take(queue):
    column = queue.first
    queue.first = queue.second
    queue.level -= 1
    return column


@njit(inline="always")
def _merge(first, stop, inners, outer, turn):
    """Advance an LNZD node by one cycle: forward a column of a child, or the end of all children.

    Its children are `first` to `stop` - 1. Returns the child whose turn is next, or -1 if nothing
    moved.
    """
    granted, n_ends, next_turn = -1, 0, -1
    for step in range(stop - first):
        child = first + turn + step
        if child >= stop:
            child -= stop - first
        if inners[child].level > 0:
            if inners[child].first == _NO_MORE:
                n_ends += 1
            elif granted < 0:
                granted = child
    if n_ends == stop - first:
        for child in range(first, stop):
            _take(inners[child])
        _put(outer, _NO_MORE)
        next_turn = 0
    elif granted >= 0:
        _put(outer, _take(inners[granted]))
        next_turn = granted + 1 - first if granted + 1 < stop else 0
    return next_turn


@njit(inline="always")
def _report(first, stop, inners, outers, outer):
    """Advance a node's reports of written tiles by one cycle."""
    all_written = True
    for child in range(first, stop):
        inner, below = inners[child], outers[child]
        below.taken = below.offered and not inner.written
        inner.written = inner.written or below.taken
        all_written = all_written and inner.written
    is_free = not outer.offered or outer.taken
    outer.offered = outer.offered and not outer.taken
    if all_written and is_free:
        outer.offered = True
        for child in range(first, stop):
            inners[child].written = False


@njit(inline="always")
def _merge_results(first, stop, results, outer, turn):
    """Advance a node's results by one cycle: forward a word of the child in turn, or the end.

    A child that has offered its end, in an earlier cycle, has no turn. Returns as :func:`_merge`
    does.
    """
    n_children = stop - first
    all_end = True
    for child in range(first, stop):
        all_end = all_end and results[child].ends
    if all_end:
        _put(outer, _END_OF_VECTOR)
        for child in range(first, stop):
            _remove(results[child])
            results[child].ends = False
        return 0
    for step in range(n_children):
        child = first + (turn + step) % n_children
        if not results[child].ended:
            if results[child].level > 0 and not results[child].ends:
                _put(outer, results[child].first)
                _remove(results[child])
                return (turn + step + 1) % n_children
            break
    return -1


@njit(inline="always")
def _remove(result):
    """Take an item of a node at once; that of a PE is kept for the rest of the cycle."""
    _take(result)
    result.taken = True


@njit(inline="always")
def _step_results(machine, results, turns, due):
    """Advance the results of all nodes by one cycle."""
    n_nodes = len(turns)
    for node in range(n_nodes):
        first, stop = machine.first_child[node], machine.first_child[node + 1]
        for child in range(first, stop):
            results[child].was_full = results[child].level == 2
            results[child].ends = (results[child].level > 0
                                   and results[child].first == _END_OF_VECTOR)
        if not results[node].was_full:
            turn = _merge_results(first, stop, results, results[node], turns[node])
            if turn >= 0:
                turns[node] = turn
        for child in range(first, stop):
            results[child].ended = results[child].ends
        for child in range(max(first, n_nodes), stop):
            if results[child].taken:
                due[child - n_nodes] = min(due[child - n_nodes], 0)


@njit(inline="always")
def _pack(root, packer, is_sending, is_receiving, beat_elements):
    """Advance the packer by one cycle; return if the host, if it `is_receiving`, takes a beat."""
    has_item = is_sending and root.level > 0
    is_end = has_item and root.first == _END_OF_VECTOR
    is_taken = packer.n_beats > 0 and is_receiving
    level = packer.level
    is_last = is_end and level <= beat_elements
    leaves = ((level > beat_elements or (has_item and level == beat_elements) or is_last)
              and packer.n_beats < 2)
    if is_taken:
        packer.is_last = packer.next_is_last
        packer.n_beats -= 1
    if leaves:
        level = 0 if is_last else level - beat_elements
        if packer.n_beats == 0:
            packer.is_last = is_last
        packer.next_is_last = is_last
        packer.n_beats += 1
    packer.ended = is_last and leaves
    if packer.ended:
        _remove(root)
    elif has_item and not is_end and level < beat_elements:
        level += root.first
        _remove(root)
    packer.level = level
    return is_taken


@njit(inline="always")
def _step_driver(driver, host, now):
    """Advance the driver up to the state of the machine in this cycle."""
    while driver.call < len(host.calls) and driver.until <= now:
        kind, phase = host.calls[driver.call, 0], driver.phase
        is_done = False
        if kind == LOAD and phase == _CALL:
            driver.n_left = host.calls[driver.call, 1]
            driver.phase = _SLEEP
        elif kind == LOAD:
            is_done = driver.n_left == 0
            if not is_done:
                break
        elif kind == START:
            is_done = phase != _CALL
            if not is_done:
                driver.start_at = now + _WRITE_DELAY
                driver.until = now + _WRITE_CYCLES
                driver.phase = _SLEEP
        elif kind == EXPECT:
            driver.armed = is_done = True
        elif phase == _CALL and kind == TAKE:
            is_done = driver.complete
            driver.complete = False
            driver.phase = _CHECK_IRQ
        elif phase == _CALL:
            driver.until = now + _READ_DELAY
            driver.phase = _READ_COUNT
        elif phase == _READ_COUNT:
            driver.is_set = driver.n_ended >= host.calls[driver.call, 1]
            driver.until = now + _READ_CYCLES - _READ_DELAY
            driver.phase = _COUNTED
        elif phase == _COUNTED:
            is_done = driver.is_set
            driver.phase = _CHECK_IRQ
        elif phase == _CHECK_IRQ:
            driver.until = now + _READ_DELAY
            driver.phase = _READ_IRQ
        elif phase == _READ_IRQ:
            driver.is_set = driver.irq_status
            driver.until = now + _READ_CYCLES - _READ_DELAY
            driver.phase = _CHECKED
        elif phase == _CHECKED and driver.is_set:
            # The interrupt is cleared, and ERROR is read.
            driver.clear_at = now + _WRITE_DELAY
            driver.until = now + _WRITE_CYCLES + _READ_CYCLES
            driver.phase = _CALL
        elif phase == _CHECKED:
            driver.phase = _SLEEP
        elif driver.irq or driver.complete:
            driver.phase = _CALL
        else:
            break
        if is_done:
            driver.call += 1
            driver.phase = _CALL


@njit(inline="always")
def _step_loads(driver, host, contexts, sending, has_slow_loads, now):
    """Advance packets and the pending start by one cycle; return true if a start is offered."""
    next_buffer, of_buffer = driver.n_packets % host.n_buffers, driver.pending_buffer
    in_words = driver.beats_left > 0
    waits = driver.queued > 0 and not in_words
    receives = in_words or driver.has_header or driver.has_beat
    receiving = ((receives and driver.buffer == of_buffer)
                 or (driver.offered and driver.offered_buffer == of_buffer))
    is_first = driver.comes_after and driver.waited and driver.waited_buffer == of_buffer
    is_taken = waits and next_buffer == of_buffer and not contexts[of_buffer].in_use
    packet_first = is_first and not receiving and not is_taken
    is_offered = driver.pending and not receiving and not is_first
    is_ready = not (has_slow_loads and driver.loads
                    and (contexts[0].running or contexts[1].running))
    is_stalled = driver.has_beat and driver.offered and not is_ready
    takes = (driver.queued > 0 and not is_stalled
             and (in_words or not contexts[next_buffer].in_use))

    driver.waited, driver.waited_buffer = waits, next_buffer
    driver.comes_after = is_first and not receiving
    is_requested = driver.start_at == now
    requested = host.calls[driver.call, 1] if is_requested else 0
    for number in range(N_BUFFERS):
        contexts[number].in_use = (
            (contexts[number].running and contexts[number].reads_input)
            or (driver.pending and not packet_first and of_buffer == number)
            or (is_requested and requested == number)
            or (sending and host.n_buffers == 1))

    driver.loads = driver.offered and is_ready
    driver.offered = driver.offered and not is_ready
    if driver.has_beat and not is_stalled:
        if driver.beat == host.word_beats - 1:
            driver.offered, driver.offered_buffer = True, driver.buffer
            driver.beat = 0
        else:
            driver.beat += 1
    driver.has_header = takes and not in_words
    driver.has_beat = is_stalled or (takes and in_words)
    if driver.has_header:
        driver.buffer, driver.beats_left = next_buffer, host.n_words * host.word_beats
        driver.n_packets += 1
    elif takes:
        driver.beats_left -= 1

    is_pausing = driver.n_left > 0 and driver.input_pause > 0
    sends = driver.n_left > 0 and driver.queued != 2 and not is_pausing
    driver.input_pause -= is_pausing
    driver.n_left -= sends
    if sends:
        if driver.n_sent == 0:
            driver.first_sent = now
        driver.last_sent = now
        driver.n_sent += 1
        driver.input_pause = host.input_pauses[driver.n_sent % len(host.input_pauses)]
    driver.queued += sends - takes

    driver.pending = driver.pending and not (is_offered and not contexts[of_buffer].running)
    if is_requested:
        driver.pending, driver.pending_buffer = True, requested
        driver.comes_after = waits and next_buffer == requested
    return is_offered


@njit(inline="always")
def _step_interrupt(driver, done, now):
    driver.irq = driver.irq_status
    driver.irq_status = done or (driver.irq_status and driver.clear_at != now)
    driver.n_ended += driver.ended
    driver.ended = done


@njit(inline="always")
def _step_tree(machine, inners, outers, turns, active_until, due, waits, now):
    """Advance all nodes by one cycle. Written tiles matter only if the CCU `waits` for some."""
    n_nodes = len(turns)
    for node in range(n_nodes):
        if active_until[node] < now and not waits:
            continue
        first, stop = machine.first_child[node], machine.first_child[node + 1]
        outer = outers[node]
        for child in range(first, stop):
            inners[child].was_full = inners[child].level == 2
        if not outer.was_full:
            turn = _merge(first, stop, inners, outer, turns[node])
            if turn >= 0:
                turns[node] = turn
                active_until[node] = active_until[machine.parent[node]] = now + 1
        for child in range(first, stop):
            inner, below = inners[child], outers[child]
            below.was_full = below.level == 2
            if below.level > 0 and not (inner.was_full or below.withheld):
                _put(inner, max(_take(below), _NO_MORE))
                below.moved = True
                active_until[node] = now + 1
                if child < n_nodes:
                    active_until[child] = now + 1
                else:
                    due[child - n_nodes] = now
        if waits:
            _report(first, stop, inners, outers, outer)


@njit(inline="always")
def _step_drain(pe, outer, now, n_drains, n_fill, row_stages):
    """Advance drain and write-back by one cycle; return true if the drain is ready."""
    is_end = pe.decoded >= _END
    is_ready = not is_end and not pe.draining
    if pe.draining:
        pe.row += 1
        if pe.row == n_drains[pe.drained >> 1]:
            pe.draining = False
            pe.n_controls -= 1
            pe.written_at = now + row_stages + _WRITTEN_DELAY
            if pe.drained & 1:
                pe.written_at += n_fill[pe.drained >> 1]
    elif is_end and not pe.writing and not outer.offered:
        is_ready = pe.draining = pe.writing = True
        pe.drained = pe.decoded - _END
        pe.row = 0
    outer.offered = outer.offered and not outer.taken
    if pe.written_at == now + 1:
        pe.writing = False
        pe.unwritten -= 1
        pe.n_begun -= 1
        pe.n_before = max(0, pe.n_before - 1)
        outer.offered = True
    return is_ready


@njit(inline="always")
def _step_entries(pe, number, now, slots, program):
    """Advance a path without start or end messages by one cycle; nothing can stall it."""
    if pe.stage_1 != _ENTRY or pe.last_at <= now:
        pe.stage_1 = _NOTHING
        if pe.level > 0:
            _next_message(pe, number, now, slots, program)


@njit(inline="always")
def _step_path(pe, number, is_ready, now, slots, program):
    """Advance a path with start or end messages; the decoder stalls unless the drain `is_ready`."""
    moves = pe.stage_4 == _NOTHING or is_ready
    if is_ready:
        pe.n_controls -= pe.stage_4 == _START
        pe.decoded = pe.stage_4 if pe.stage_4 >= _END else _NOTHING
    first = pe.stage_1
    is_done = first != _ENTRY or pe.last_at <= now
    if moves:
        pe.stage_4 = pe.stage_3
        pe.stage_3 = pe.stage_2
        pe.stage_2 = _NOTHING if first == _EMPTY else first
    else:
        pe.last_at += 1
    if first == _NOTHING or (moves and is_done):
        pe.stage_1 = _NOTHING
        if pe.level > 0:
            _next_message(pe, number, now, slots, program)


@njit(inline="always")
def _next_message(pe, number, now, slots, program):
    """Move the first message of the queue to the first stage."""
    slot = slots[number, pe.head]
    pe.stage_1 = slot.kind
    if pe.stage_1 == _ENTRY:
        n_entries = program.entries[number, slot.target]
        pe.last_at = now + n_entries
        if n_entries:
            first, last = (program.first_word_read[number, slot.target],
                           program.last_word_read[number, slot.target])
            pe.n_reads += last - first + (first != pe.held_word)
            pe.held_word = last
        else:
            pe.stage_1 = _EMPTY
    else:
        pe.n_controls += 1
        if pe.stage_1 == _START:
            pe.held_word = _NO_WORD
    pe.head = pe.head + 1 if pe.head + 1 < slots.shape[1] else 0
    pe.level -= 1


@njit(inline="always")
def _put_message(pe, number, kind, target, slots, n_over, program, machine):
    """Add a message to an activation queue, but for a column without entries that is dropped."""
    if machine.drop_empty and kind == _ENTRY and program.entries[number, target] == 0:
        return False
    place = pe.head + pe.level
    slot = slots[number, place if place < slots.shape[1] else place - slots.shape[1]]
    slot.kind, slot.target = kind, target
    pe.level += 1
    n_over[0] += pe.level == machine.filling
    n_over[1] += pe.level == machine.full
    return True


@njit(inline="always")
def _step_feed(pe, outer, has_message):
    """Advance the local feed by one cycle; return what arrives at the activation queue."""
    arriving = pe.fed_2
    pe.fed_2, pe.fed_1 = pe.fed_1, _NOTHING
    feeds = pe.feed_2 != _NOTHING and not (pe.is_filling or has_message)
    moves = pe.is_open and (pe.feed_2 == _NOTHING or feeds)
    takes = (outer.level > 0 and not outer.moved and _is_local(outer.first)
             and not pe.feed_ends and (pe.feed_1 == _NOTHING or moves))
    if outer.moved:
        pe.feed_ends = outer.moved = False
    if feeds:
        pe.fed_1, pe.feed_2 = pe.feed_2, _NOTHING
        if pe.fed_1 == _LAST_NO_MORE:
            pe.is_open = False
    if moves:
        pe.feed_2, pe.feed_1 = pe.feed_1, _NOTHING
    if takes:
        pe.feed_1 = outer.first
        pe.feed_ends = outer.first < 0
        if not pe.feed_ends:
            _take(outer)
    return arriving


@njit(inline="always")
def _is_local(column):
    return column >= _LOCAL or column < _NO_MORE


@njit(inline="always")
def _is_withheld(pe, outer):
    """Check if the first column at the output of a PE is not for the tree, or not yet."""
    is_done = pe.feed_ends and pe.feed_1 == _NOTHING and pe.feed_2 == _NOTHING
    return outer.level > 0 and _is_local(outer.first) and not is_done


@njit(inline="always")
def _step_sender(pe, result, drains, waits):
    """Advance a vector sender by one cycle; return true if it reads the activation SRAM."""
    is_free = (pe.sending and not waits and not pe.reads and result.level == 0
               and not result.taken)
    is_done = pe.was_last or (pe.n_left == 0 and pe.omits)
    reads = is_free and not is_done and not drains
    if pe.reads:
        _put(result, pe.last_size if pe.was_last else 4)
    if is_free and is_done:
        _put(result, _END_OF_VECTOR)
        pe.sending = False
    if reads:
        pe.was_last = pe.n_left == 0
        pe.n_left -= 1
    pe.reads = reads
    result.taken = False
    return reads


@njit(inline="always")
def _step_scanner(pe, number, outer, is_held, program):
    """Advance a scanner by one cycle. If it `is_held`, another part reads the activation SRAM."""
    pending, n_words, mask = pe.pending, program.words[pe.segment], program.mask
    rest = pending & (pending - 1)
    is_free = pending == 0 or (rest == 0 and not outer.was_full)
    takes = pe.fetched and (is_free or not pe.has_word)
    is_last = pe.n_taken == n_words - 1
    reads = not is_last if takes else pe.fetching and not pe.fetched

    if not outer.was_full:
        if pending:
            lane = 0
            while not pending >> lane & 1:
                lane += 1
            _put(outer, program.origin[pe.segment] + (4 * pe.number + lane) * len(mask) + pe.index)
        elif not pe.has_word and not pe.fetching:
            _put(outer, _NO_MORE)
            pe.busy = False
        pe.pending = rest
    if pe.has_word and is_free:
        pe.number = pe.word
        pe.pending = mask[number, program.first_word[pe.segment] + pe.word]
    pe.has_word = takes or (pe.has_word and not is_free)
    pe.fetched = (reads or (pe.fetched and not takes)) and not is_held
    if takes:
        pe.word = pe.n_taken
        pe.fetching = not is_last
        pe.n_taken += 1


@njit(inline="always")
def _step_segments(pe, number, outer, is_held, queue, n_queued, program):
    """Advance a scanner of segments by one cycle, as :func:`_step_scanner` does."""
    pending, ends, is_free = pe.pending, pe.ends, not outer.was_full
    rest = pending & (pending - 1)
    is_done = pending == 0 or (rest == 0 and not ends)
    moves = (pending == 0 and not ends) or (is_done and is_free)
    takes = pe.fetched and (not pe.has_word or moves)
    walks_on = not pe.has_read or takes
    reads = (pe.has_read and not pe.fetched) or (pe.walks and walks_on)
    is_last = pe.walks and pe.walked_word == program.words[pe.walked_segment] - 1
    pops = _may_pop(pe, queue, n_queued) and (not pe.walks or (walks_on and is_last))

    if is_free:
        if pending:
            lane = 0
            while not pending >> lane & 1:
                lane += 1
            _put(outer, program.origin[pe.segment]
                 + (4 * pe.number + lane) * len(program.mask) + pe.index
                 + _LOCAL * program.local[pe.segment])
        elif ends and program.local[pe.segment]:
            _put(outer, _LAST_NO_MORE if program.closes[pe.segment] else _LOCAL_NO_MORE)
        elif ends:
            _put(outer, _NO_MORE)
        pe.pending = rest
        pe.ends = ends and pending != 0
    if pe.has_word and moves:
        pe.segment, pe.number = pe.word_segment, pe.word
        pe.pending = program.mask[number, program.first_word[pe.segment] + pe.word]
        pe.ends = program.ends[pe.segment] and pe.word == program.words[pe.segment] - 1
    pe.has_word = takes or (pe.has_word and not moves)
    if takes:
        pe.word_segment, pe.word = pe.read_segment, pe.read_word
    pe.fetched = (reads or (pe.fetched and not takes)) and not is_held
    if walks_on:
        pe.has_read, pe.read_segment, pe.read_word = pe.walks, pe.walked_segment, pe.walked_word
        pe.walks = pe.walks and not is_last
        pe.walked_word += 1
    if pops:
        pe.walks, pe.walked_segment, pe.walked_word = True, queue[pe.n_popped].segment, 0
        pe.n_popped += 1
        pe.n_begun += program.ends[pe.walked_segment]
    pe.busy = pe.walks or pe.has_read or pe.has_word or pe.pending != 0 or pe.ends


@njit(inline="always")
def _may_pop(pe, queue, n_queued):
    """Check if the first segment that waits may begin."""
    return pe.n_popped < n_queued and pe.n_begun <= queue[pe.n_popped].allowed


@njit(inline="always")
def _step_pes(pes, outers, results, active_until, due, n_over, now, has_message, slots, queue,
              n_queued, program, machine):
    """Advance all PEs by one cycle."""
    n_nodes = len(machine.first_child) - 1
    for number in range(len(pes)):
        if due[number] > now:
            continue
        pe, outer = pes[number], outers[n_nodes + number]
        drains, level, n_found = pe.draining or pe.decoded >= _END, pe.level, outer.level
        if machine.loops:    # an end that waits leaves the SRAM to others
            drains = pe.draining or (pe.decoded >= _END and not pe.writing and not outer.offered)
        waits, has_controls = pe.n_before > 0, pe.n_controls > 0
        is_ready = True
        if has_controls or pe.writing or outer.offered:
            is_ready = _step_drain(pe, outer, now, program.n_drains, program.n_fill,
                                   machine.row_stages)
        begins = _begins(pe)
        if has_controls:
            _step_path(pe, number, is_ready, now, slots, program)
        else:
            _step_entries(pe, number, now, slots, program)
        result, is_held = results[n_nodes + number], drains
        if pe.sending or pe.reads or result.taken:
            is_held = _step_sender(pe, result, drains, waits) or is_held
        arriving = _step_feed(pe, outer, has_message) if machine.local else _NOTHING
        if machine.loops:
            if pe.busy or pe.n_popped < n_queued:
                _step_segments(pe, number, outer, is_held, queue, n_queued, program)
        elif pe.busy:
            _step_scanner(pe, number, outer, is_held, program)
        if begins:
            pe.waiting, pe.segment = False, pe.next_segment
            pe.busy = pe.fetching = True
            pe.n_taken = 0
        if pe.level < level:
            n_over[0] -= level == machine.filling
            n_over[1] -= level == machine.full
        if arriving != _NOTHING:
            kind, target = _ENTRY, arriving - _LOCAL
            if arriving < 0:
                kind, target = _END + 2 * pe.open_step + (arriving == _LAST_NO_MORE), 0
            _put_message(pe, number, kind, target, slots, n_over, program, machine)
        was_withheld, feeds = outer.withheld, False
        if machine.local:
            pe.is_filling = level >= machine.filling
            outer.was_full = outer.level == 2
            outer.withheld = _is_withheld(pe, outer)
            feeds = (outer.withheld or pe.feed_1 != _NOTHING or pe.feed_2 != _NOTHING
                     or pe.fed_1 != _NOTHING or pe.fed_2 != _NOTHING)
        if n_nodes and (outer.level != n_found or outer.withheld != was_withheld):
            active_until[machine.parent[n_nodes + number]] = now + 1
        if (pe.n_controls or pe.writing or outer.offered or pe.sending
                or (pe.busy and not _is_blocked(pe, outer)) or _begins(pe) or feeds
                or (machine.loops and _may_pop(pe, queue, n_queued))):
            due[number] = now + 1
        elif pe.stage_1 == _NOTHING and pe.level == 0:
            due[number] = _NEVER
        else:
            due[number] = pe.last_at if pe.stage_1 == _ENTRY else now + 1


@njit(inline="always")
def _begins(pe):
    """Check if the scan of the source that waits begins."""
    return pe.waiting and not pe.busy and pe.unwritten <= pe.allowed + 1


@njit(inline="always")
def _is_blocked(pe, outer):
    """Check if the scanner is stalled until its output is taken."""
    return (outer.level == 2 and pe.fetched and pe.has_word
            and (pe.pending != 0 or pe.ends))


@njit(inline="always")
def _arrive(message, pes, due, n_over, now, slots, program, machine):
    """Add a message to the activation queues, except those that the PEs keep elsewhere."""
    for number in range(len(pes) if message.kind >= 0 else 0):
        if (_put_message(pes[number], number, message.kind, message.target, slots, n_over, program,
                         machine) and due[number] == _NEVER):
            due[number] = now + 1


@njit(inline="always")
def _start_scanners(pes, due, now, message):
    due[:] = now + 1
    for number in range(len(pes)):
        pes[number].waiting = True
        pes[number].unwritten += 1
        pes[number].next_segment, pes[number].allowed = message.target, message.allowed


@njit(inline="always")
def _queue_segment(pes, due, now, message, queue, n_queued, program):
    """Add a segment to the queue of each scanner."""
    due[:] = now + 1
    queue[n_queued].segment, queue[n_queued].allowed = message.target, message.allowed
    if program.ends[message.target]:
        for number in range(len(pes)):
            pes[number].unwritten += 1


@njit(inline="always")
def _start_senders(pes, due, now, allowed, n_words, last_lane, last_pe):
    due[:] = now + 1
    for number in range(len(pes)):
        pe = pes[number]
        size = last_lane + 1 - (pe.index > last_pe)
        pe.sending, pe.was_last = True, False
        pe.n_before = max(0, pe.unwritten - allowed)
        pe.n_left = n_words - 1
        pe.omits = size == 0
        pe.last_size = size


@njit(inline="always")
def _step_loop(loop, table, begins, starts, is_shown, hands_over, ends_tile, is_last):
    """Advance the starter of loops by one cycle; return true if a descriptor is done."""
    is_done = ((loop.handed or hands_over)
               and (loop.sent or (starts and is_last)))
    if starts or not is_shown:
        loop.walked += 1
    if starts:
        loop.began, loop.opened, loop.sent = True, not ends_tile, is_last
        table.n_used += 1
        table.count += 1
    loop.handed = loop.handed or hands_over
    if is_done:
        loop.began = loop.handed = loop.sent = False
    if begins:
        loop.walked, loop.opened = 0, False
    return is_done


@njit(cache=True)
def run(machine, program, host, n_sent, deadline):
    """Run programs on a machine at rest.

    Parameters
    ----------
    machine : :class:`TimingParameters`
    program : :class:`Program`
    host : :class:`Host`
    n_sent : :class:`int`
        Broadcasts of activations.
    deadline : :class:`int`
        Limit in cycles.

    Returns
    -------
    :class:`CcuCounters`
    """
    n_levels, n_nodes = machine.n_levels, len(machine.first_child) - 1
    n_steps, n_pe = len(program.send), len(machine.pes)
    outers = np.zeros(n_nodes + n_pe, _OUTPUT)
    inners = np.zeros(n_nodes + n_pe, _INPUT)
    results = np.zeros(n_nodes + n_pe, _RESULT)
    turns = np.zeros(n_nodes, np.int64)
    result_turns = np.zeros(n_nodes, np.int64)
    active_until = np.zeros(n_nodes, np.int64)
    due = np.full(n_pe, _NEVER)
    n_tiles = np.count_nonzero(program.ends)
    messages = np.zeros(n_sent + n_steps + len(program.ends) + n_tiles, _MESSAGE)
    queue, n_queued = np.zeros(len(program.ends), _QUEUED), 0    # segments for the scanners
    pes = np.zeros(n_pe, _PE)
    for number in range(n_pe):
        pes[number].index = machine.pes[number]
        pes[number].written_at = -1
        pes[number].held_word = _NO_WORD
    slots = np.zeros((n_pe, machine.n_slots), _SLOT)    # of the activation queues
    root, result_root = outers[0], results[0]

    # Messages sent, and arrived at the scanners, at the vector senders, and at the queues.
    sent, scanned, received, queued, seen = 0, 0, 0, 0, 0
    n_over = np.zeros(2, np.int64)    # queues that are filling, and full
    filling, is_full = 0, 0           # history of "some queue is", one bit per cycle
    sending, sender, sent_in_region = False, 0, False    # a vector is being sent, of a program
    interval, latency = 0, 0
    packers, drivers = np.zeros(1, _PACKER), np.zeros(1, _DRIVER)
    has_driver = len(host.calls) > 0
    drivers[0].armed = not has_driver
    drivers[0].start_at = drivers[0].clear_at = -1
    drivers[0].input_pause, drivers[0].result_pause = host.input_pauses[0], host.result_pauses[0]
    # The starter: the program that takes the next step and the oldest one, by input buffer; the
    # tiles that the last start allows. Owners of the tiles, in order of their starts.
    contexts = np.zeros(N_BUFFERS, _CONTEXT)
    owners = np.zeros(n_tiles, np.int64)
    n_programs, n_started, n_written, n_ended = 0, 0, 0, 0
    loops, tables = np.zeros(1, _LOOP), np.zeros(1, _TABLE)
    tile_segments = np.zeros(n_tiles, np.int64)    # segments of each tile that were started
    n_counted, n_freed = 0, 0                      # tiles of which they are known, and not used
    state, selected, oldest, last_allowed, in_vain = _FETCH, 0, 0, 0, False
    must_wait, may_start = False, False    # a descriptor, decided in the cycle before
    is_offered, next_buffer = False, 0     # a start
    if not has_driver:
        contexts[0].running, contexts[0].stop = True, program.first_step[1]
        n_programs = 1
    # The broadcaster: its step, if any, if nothing of it has been found yet, and its tiles that
    # have ended.
    busy, tile, owner, is_new, n_done = False, 0, 0, True, 0
    is_announced = False    # the end of its local tiles
    n_broadcasts = 0
    control, compute, output, full, scan, barrier = 0, 0, 0, 0, 0, 0
    now = 0
    while state != ENDED and now < deadline:
        # The CCU. Back-pressure takes one cycle in the PE and one per tree level.
        while seen < sent and messages[seen].sent < now - machine.in_flight:
            seen += 1
        is_over_limit = sent - seen > machine.filling_limit
        is_stopped = is_full >> n_levels & 1 or (filling >> n_levels & 1 and is_over_limit)
        loop, table = loops[0], tables[0]
        has_found = root.level > 0 and not root.withheld
        has_item, item = has_found, root.first
        if machine.loops:
            has_item, item = table.valid, table.column
        is_end = busy and has_item and item == _NO_MORE
        is_found = busy and has_item and not is_end
        is_local = busy and program.local[program.first_segment[tile]]
        announces = is_local and not is_announced
        at_end, sends_end = is_end or announces, announces if is_local else is_end
        is_held = (sends_end and sending and program.result_barrier[tile]
                   and not (machine.loops and program.in_region[tile] and sent_in_region
                            and sender != owner))

        # Programs that end and start.
        driver, packer = drivers[0], packers[0]
        context = contexts[oldest]
        done = context.running and context.step == context.stop and context.unwritten == 0
        run_offered, run_buffer, is_pausing = False, 0, False
        if has_driver:
            _step_driver(driver, host, now)
            is_pausing = driver.armed and driver.result_pause > 0
            driver.result_pause -= is_pausing
            run_buffer = driver.pending_buffer
            run_offered = _step_loads(driver, host, contexts, sending, n_pe == 1, now)
            _step_interrupt(driver, done, now)
        begins = run_offered and not contexts[run_buffer].running
        was_offered, offered_buffer = is_offered, next_buffer    # in the cycle before
        is_offered, next_buffer = run_offered, run_buffer
        runs = contexts[0].running or contexts[1].running

        # The starter, which has priority.
        context, other = contexts[selected], contexts[1 - selected]
        step, n_unwritten = context.step, n_started - n_written
        is_pending = context.running and step < context.stop
        other_pending = other.running and other.step < other.stop
        is_ready = state == _BEGIN
        is_known = is_ready or state == _CHECK
        is_send = is_known and program.send[step]
        has_barrier = is_known and program.barrier[step]
        allowed = context.n_since if has_barrier else machine.any_unwritten
        for_result = is_send and sending
        for_turn = is_known and selected != oldest and (is_send or program.alone[step])
        for_tiles = has_barrier and (
            busy and owner == selected if is_send else
            context.unwritten > 0 and context.n_since == 0 and not in_vain
            and (other_pending or (was_offered and offered_buffer != selected)))
        offers = is_ready and may_start
        segment = program.first_segment[step] if is_pending else 0
        is_shown = is_last = ends_tile = False    # a segment, at the output of the walk
        goes_on = gives_way = False               # a loop, or interrupted by a vector
        if machine.loops and is_pending:
            segment += loop.walked - _WALK_STAGES
            last_segment = program.first_segment[step + 1] - 1
            is_shown = (loop.walked >= _WALK_STAGES and segment <= last_segment
                        and not program.skipped[segment])
            is_last = segment == last_segment
            ends_tile = is_shown and program.ends[segment]
            if is_ready and not is_send:
                goes_on = loop.began
                gives_way = goes_on and is_shown and not loop.opened and loop.interrupted
                offers = ((may_start or goes_on) and not gives_way and is_shown
                          and table.n_used < N_SEGMENTS
                          and (loop.opened or n_unwritten < machine.max_tiles))
        starts, starter = offers and not is_stopped, selected
        waited = must_wait    # decided in the cycle before, as `may_start`
        must_wait = for_result or for_turn or for_tiles
        has_room = n_unwritten < machine.max_tiles and n_unwritten <= last_allowed + 1
        may_start = not must_wait and (is_send or has_room or machine.loops)
        broadcasts = (is_found or (sends_end and not is_held)) and not (offers or is_stopped)
        is_ready_for = is_announced if is_local else broadcasts
        ends = is_end and is_ready_for
        closes = ends and n_done + 1 == program.n_tiles[tile]

        is_late = busy and not (has_item or at_end or is_local)
        is_waiting = is_late and is_new and program.barrier[tile]
        if busy:
            barrier += is_waiting
            compute += not (at_end or is_waiting)
            output += is_held
            control += at_end and not is_held
            full += is_found and is_stopped
            scan += is_late and not is_waiting
        elif runs:
            barrier += n_unwritten > 0
            output += n_unwritten == 0 and is_ready and for_result
            control += n_unwritten == 0 and not (is_ready and for_result)

        kind, target = _NOTHING, step
        if starts and is_send:
            kind = _SEND
        elif starts:
            kind, target = _SEGMENT if loop.began else _START, segment
            allowed = machine.any_unwritten if loop.began else allowed
        elif broadcasts and announces:
            kind, target = _LOCAL_END, tile
        elif broadcasts and is_end:
            kind, target = _END + 2 * tile + closes, tile
        elif broadcasts:
            kind, target = _ENTRY, item
            n_broadcasts += 1
        # In local mode, a PE may have written its part of a tile before others have found theirs.
        waits = n_ended > 0 or (machine.local and n_written < n_started)
        root.was_full = root.level == 2
        root.taken = root.offered
        takes = broadcasts
        if machine.loops:
            takes = has_found and (is_ready_for or not table.valid)
            if is_ready_for or not table.valid:
                table.valid, table.column = has_found, max(root.first, _NO_MORE)
        if takes:
            _take(root)
            root.moved = True
            if n_nodes:
                active_until[0] = now + 1
            else:
                due[0] = now

        is_resumed = False    # the loop that the vector has interrupted
        starts_segment = starts and not is_send
        starts_tile = starts_segment and not loop.opened
        hands_over = starts_segment or state == _STARTED
        accepts = closes or not busy
        is_done = hands_over and accepts
        if machine.loops:
            hands_over = ((starts_segment or goes_on) and not gives_way) and not loop.handed
            is_interrupted = (loop.vector_waits and selected != oldest and not sending
                              and not (busy and owner == oldest))
            loop.vector_waits = ((loop.vector_waits and not (starts and is_send))
                                 or (is_send and is_ready and waited and other_pending))
            loop.interrupted = is_interrupted
            is_resumed = loop.began and is_send
            is_done = _step_loop(loop, table, state == _SUM and not loop.began, starts_segment,
                                 is_shown or (loop.began and not is_ready) or is_resumed,
                                 hands_over and accepts, ends_tile, is_last)
            if starts_segment and ends_tile:
                tile_segments[n_counted] = table.count
                table.count = 0
                n_counted += 1
            table.n_used -= table.n_freed
            table.n_freed = 0
            if ends:
                table.n_freed = tile_segments[n_freed]
                n_freed += 1
        if root.offered:
            contexts[owners[n_written]].unwritten -= 1
            n_written += 1
            n_ended -= 1
        if ends:
            n_ended += 1
            n_done += 1
        if closes and program.frees_input[tile]:
            contexts[owner].reads_input = False
        if starts_tile:
            owners[n_started] = selected
            n_started += 1
            last_allowed = allowed
            context.unwritten += 1
            context.n_since = 0
            other.n_since = min(other.n_since + 1, machine.any_unwritten)
        if accepts:
            busy, tile, owner, is_new, n_done = hands_over, step, selected, True, 0
            is_announced = False
        else:
            is_new = is_new and not has_item
            is_announced = is_announced or (broadcasts and announces)
        if (starts and is_send) or is_done:
            context.step += 1
            selected = 1 - selected if is_resumed else oldest
            state, in_vain = _FETCH, False
        elif gives_way:
            selected, state = oldest, _FETCH
        elif starts_tile and not machine.loops:
            state = _STARTED
        elif is_ready and waited and other_pending and not goes_on:
            in_vain = in_vain or selected != oldest
            selected = 1 - selected
            state = _FETCH
        elif state == _FETCH and not is_pending:
            if other_pending:
                selected = 1 - selected
            elif begins:
                selected = run_buffer
        elif state < _BEGIN:
            state += 1
        if done:
            contexts[oldest].running = False
            oldest = 1 - oldest
        if begins:
            context = contexts[run_buffer]
            context.running = context.reads_input = True
            context.step = program.first_step[n_programs]
            context.stop = program.first_step[n_programs + 1]
            n_programs += 1
            if not runs:
                oldest = run_buffer
        if driver.call == len(host.calls) and (done or has_driver):
            state = ENDED
        if kind != _NOTHING:
            messages[sent].kind, messages[sent].target, messages[sent].sent = kind, target, now
            messages[sent].allowed = allowed
            sent += 1

        _step_tree(machine, inners, outers, turns, active_until, due, waits, now)
        if sending or packer.n_beats > 0:
            result_root.was_full = result_root.level == 2
            packer_last = packer.is_last
            is_receiving = driver.armed and not is_pausing
            if (_pack(result_root, packer, sending, is_receiving, machine.beat_elements)
                    and has_driver):
                driver.complete = packer_last
                driver.armed = not packer_last
                interval, latency = now + 1 - driver.first_sent, now - driver.last_sent
                driver.n_received += 1
                driver.result_pause = host.result_pauses[
                    driver.n_received % len(host.result_pauses)]
            if sending:
                _step_results(machine, results, result_turns, due)
                if n_nodes == 0 and result_root.taken:
                    due[0] = min(due[0], 0)
            sending = sending and not packer.ended
        if kind == _SEND:
            sending, sender, sent_in_region = True, starter, program.in_region[target]

        filling = (filling << 1 | (n_over[0] > 0)) & _HISTORY
        is_full = (is_full << 1 | (n_over[1] > 0)) & _HISTORY
        is_received = received < sent and messages[received].sent + n_levels + _SEND_DELAY == now
        received_kind = messages[received].kind if is_received else _SEND
        has_message = received_kind != _SEND and received_kind != _SEGMENT
        _step_pes(pes, outers, results, active_until, due, n_over, now, has_message, slots, queue,
                  n_queued, program, machine)
        if queued < sent and messages[queued].sent + n_levels + _QUEUE_DELAY == now:
            _arrive(messages[queued], pes, due, n_over, now, slots, program, machine)
            queued += 1
        if is_received:
            if received_kind == _LOCAL_END:
                for number in range(n_pe):
                    pes[number].is_open = True
                    pes[number].open_step = messages[received].target
            elif received_kind == _SEND:
                started = messages[received].target
                _start_senders(pes, due, now, messages[received].allowed,
                               program.n_sent_words[started], program.last_lane[started],
                               program.last_pe[started])
            received += 1
        if scanned < sent and messages[scanned].sent + n_levels + _SCAN_DELAY == now:
            scanned_kind = messages[scanned].kind
            if machine.loops and (scanned_kind == _START or scanned_kind == _SEGMENT):
                _queue_segment(pes, due, now, messages[scanned], queue, n_queued, program)
                n_queued += 1
            elif scanned_kind == _START:
                _start_scanners(pes, due, now, messages[scanned])
            scanned += 1
        now += 1
    return CcuCounters(state, now, control, compute, output, full, scan, barrier, n_broadcasts,
                       pes["n_reads"].sum(), interval, latency)
