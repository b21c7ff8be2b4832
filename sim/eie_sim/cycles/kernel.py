"""Cycle-by-cycle timing of the machine, compiled by Numba.

The parts are those of the RTL, from the CCU outwards. Each sees the others as they were when the
cycle began: the part downstream takes first, and records for the one upstream if there was
room. A part is evaluated only when it can change: a node until the cycle after a change in it or
next to it (`active_until`), a PE when it is due.

All functions are inlined into one, as a call would count references to each array it passes. They
share one file, as Numba's cache notices no change of another file.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eie_hdl.format import MAX_TILES

__all__ = ["ENDED", "CcuCounters", "Program", "TimingParameters", "run"]

#: Contents of a PE stage: nothing, a column without entries, an entry, the start of a tile, or the
#: end of tile `n` as ``_END + n``. Broadcast messages use the same codes, and one for a vector to
#: send.
_NOTHING, _EMPTY, _ENTRY, _START, _END = range(5)
_SEND = -1

#: Due cycle of a PE that waits for input.
_NEVER = 1 << 62

#: Marker in target of a column after the last activation of a source.
_NO_MORE = -1

#: States of the starter, as in the RTL, and that of a program that has ended.
_FETCH, _DECODE, _CHECK, _BEGIN, _STARTED, ENDED = range(6)

#: Cycles from the sending of a message to its arrival at a PE's scanner, vector sender, and
#: activation queue, without those of the tree levels.
_SCAN_DELAY, _SEND_DELAY, _QUEUE_DELAY = 1, 2, 4

#: Marker of the end in a stream of result words, of which other items are the number of elements.
_END_OF_VECTOR = 0

#: History of queue status, one bit per cycle: more bits than a tree has levels.
_HISTORY = 0xFFFF

#: Cycles from the last row drained until the PE reports its tile written.
_WRITTEN_DELAY = 9


class Program(NamedTuple):
    """Activity of a program, its steps concatenated.

    Attributes
    ----------
    send, barrier, result_barrier : bool (n_steps,)
        True if the step sends its source to the host; if it waits for all earlier tiles; if its
        tile waits for earlier results.
    n_words, first_word : int64 (n_steps,)
        Words of the source, and the index of the first in `mask`.
    last_lane, last_pe : int64 (n_steps,)
        Lane and PE of the last element that is sent.
    n_rows, first_column : int64 (n_steps,)
        Rows drained, and the index of the first column in `entries`.
    mask : uint8 (n_pe, n_words)
        Bit mask of the nonzero ones among the four activations of a word. PEs in tree order.
    entries : uint16 (n_pe, n_columns)
        Entries of each column.
    """

    send: NDArray[np.bool_]
    barrier: NDArray[np.bool_]
    result_barrier: NDArray[np.bool_]
    n_words: NDArray[np.int64]
    first_word: NDArray[np.int64]
    last_lane: NDArray[np.int64]
    last_pe: NDArray[np.int64]
    n_rows: NDArray[np.int64]
    first_column: NDArray[np.int64]
    mask: NDArray[np.uint8]
    entries: NDArray[np.uint16]


class TimingParameters(NamedTuple):
    """Parameters of the machine that determine its timing.

    Attributes
    ----------
    n_levels, drop_empty
        As in :class:`~eie_hdl.config.EIEConfig`.
    filling, full, in_flight, filling_limit
        Columns from which a queue counts as filling, and as full; the age in cycles of the queue
        status that the CCU sees; messages allowed in flight while a queue is filling.
    beat_elements
        Elements of a beat of results.
    first_child, parent, pes
        As in :class:`~.tree.Tree`.
    """

    n_levels: int
    drop_empty: bool
    filling: int
    full: int
    in_flight: int
    filling_limit: int
    beat_elements: int
    first_child: NDArray[np.int64]
    parent: NDArray[np.int64]
    pes: NDArray[np.int64]


class CcuCounters(NamedTuple):
    """Counters of the CCU.

    Attributes
    ----------
    state : :class:`int`
        :data:`ENDED`, or the state at the deadline.
    cycles, control, compute, output, full, scan, barrier : :class:`int`
        Total cycles, cycles of each phase, and stalls by cause.
    order : int64 (n_broadcasts + n_tiles,)
        Columns in the order of their broadcast, numbered over all steps; -1 for the start of a
        tile.
    """

    state: int
    cycles: int
    control: int
    compute: int
    output: int
    full: int
    scan: int
    barrier: int
    order: NDArray[np.int64]


#: A queue of two columns; `was_full` is its state when the cycle began, for the part upstream.
_QUEUE = [("level", np.int64), ("first", np.int64), ("second", np.int64), ("was_full", np.bool_)]

#: Output of a node or PE: columns, and the report of a written tile.
_OUTPUT = np.dtype([*_QUEUE, ("offered", np.bool_), ("taken", np.bool_)], align=True)

#: Output of results of a node, a queue, or of a PE, a register. `taken` is for the PE.
_RESULT = np.dtype([*_QUEUE, ("taken", np.bool_)], align=True)

#: A node's input from a child.
_INPUT = np.dtype([*_QUEUE, ("written", np.bool_)], align=True)

#: A broadcast message: `target` is the column, or the step of a start or end; `sent` is the cycle.
_MESSAGE = np.dtype([("kind", np.int64), ("target", np.int64), ("sent", np.int64)])

#: A PE without its output.
_PE = np.dtype([
    ("index", np.int64),
    # Activation queue: messages in it, and the first of them.
    ("level", np.int64), ("head", np.int64),
    # Stages of the spmat read, the cycle of the last entry in the first; decode; starts and ends
    # among them. While there are none, the stages after the first do not matter.
    ("n_controls", np.int64), ("last_at", np.int64),
    ("stage_1", np.int64), ("stage_2", np.int64), ("stage_3", np.int64), ("stage_4", np.int64),
    ("decoded", np.int64),
    # Drain and write-back.
    ("draining", np.bool_), ("writing", np.bool_), ("row", np.int64), ("written_at", np.int64),
    # Scanner: step of the source and of the one that waits; tiles scanned and not yet written;
    # words taken, word in stage 2 if any, activations left to send in stage 3.
    ("step", np.int64), ("waiting", np.bool_), ("next_step", np.int64), ("unwritten", np.int64),
    ("busy", np.bool_), ("fetching", np.bool_), ("fetched", np.bool_), ("n_taken", np.int64),
    ("has_word", np.bool_), ("word", np.int64), ("pending", np.int64), ("number", np.int64),
    # Vector sender: rows to read after the next, if that is the last and has no word of this PE,
    # elements of the last word, if the SRAM returns a word, and if it is, or was, the last.
    ("sending", np.bool_), ("n_left", np.int64), ("omits", np.bool_), ("last_size", np.int64),
    ("reads", np.bool_), ("was_last", np.bool_),
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
        all_written = all_written and inner.written
        below.taken = below.offered and not inner.written
        inner.written = inner.written or below.taken
    is_free = not outer.offered or outer.taken
    outer.offered = outer.offered and not outer.taken
    if all_written and is_free:
        outer.offered = True
        for child in range(first, stop):
            inners[child].written = False


@njit(inline="always")
def _merge_results(first, stop, results, outer, turn):
    """Advance a node's results by one cycle: forward a word of the child in turn, or the end.

    A child that has offered its end has no turn. Returns as :func:`_merge` does.
    """
    n_children = stop - first
    n_ends, next_turn = 0, -1
    for step in range(n_children):
        child = first + (turn + step) % n_children
        if results[child].level > 0 and results[child].first == _END_OF_VECTOR:
            n_ends += 1
        elif results[child].level > 0:
            _put(outer, results[child].first)
            _remove(results[child])
            next_turn = (turn + step + 1) % n_children
            break
        else:
            break
    if n_ends == n_children:
        _put(outer, _END_OF_VECTOR)
        for child in range(first, stop):
            _remove(results[child])
        next_turn = 0
    return next_turn


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
        if not results[node].was_full:
            turn = _merge_results(first, stop, results, results[node], turns[node])
            if turn >= 0:
                turns[node] = turn
        for child in range(max(first, n_nodes), stop):
            if results[child].taken:
                due[child - n_nodes] = min(due[child - n_nodes], 0)


@njit(inline="always")
def _pack(root, level, beat_elements):
    """Advance the packer by one cycle, with a host that is always ready.

    Returns the number of elements it holds, or -1 if it has taken an end.
    """
    has_item = root.level > 0
    is_end = has_item and root.first == _END_OF_VECTOR
    if level > beat_elements:
        level -= beat_elements
    elif has_item and level == beat_elements:
        level = 0
        if is_end:
            _remove(root)
            return -1
    elif is_end:
        _remove(root)
        return -1
    if has_item and not is_end and level < beat_elements:
        level += root.first
        _remove(root)
    return level


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
            if below.level > 0 and not inner.was_full:
                _put(inner, _take(below))
                active_until[node] = now + 1
                if child < n_nodes:
                    active_until[child] = now + 1
                else:
                    due[child - n_nodes] = now
        if waits:
            _report(first, stop, inners, outers, outer)


@njit(inline="always")
def _step_drain(pe, outer, now, n_rows):
    """Advance drain and write-back by one cycle; return true if the decoder advances."""
    is_end = pe.decoded >= _END
    advances = not is_end
    if pe.draining:
        advances = pe.row == n_rows[pe.decoded - _END] - 1
        pe.row += 1
        if advances:
            pe.draining = False
            pe.written_at = now + _WRITTEN_DELAY
    elif is_end and not pe.writing and not outer.offered:
        pe.draining = True
        pe.writing = True
        pe.row = 0
    outer.offered = outer.offered and not outer.taken
    if pe.written_at == now + 1:
        pe.writing = False
        pe.unwritten -= 1
        outer.offered = True
    return advances


@njit(inline="always")
def _step_entries(pe, number, now, messages, entries, drop_empty):
    """Advance a path without start or end messages by one cycle; nothing can stall it."""
    if pe.stage_1 != _ENTRY or pe.last_at <= now:
        pe.stage_1 = _NOTHING
        if pe.level > 0:
            _next_message(pe, number, now, messages, entries, drop_empty)


@njit(inline="always")
def _step_path(pe, number, advances, now, messages, entries, drop_empty):
    """Advance a path with start or end messages; the decoder keeps an end until it `advances`."""
    takes = pe.decoded < _END or advances
    moves = pe.stage_4 == _NOTHING or takes
    if takes:
        pe.n_controls -= (pe.decoded >= _END) + (pe.stage_4 == _START)
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
            _next_message(pe, number, now, messages, entries, drop_empty)


@njit(inline="always")
def _next_message(pe, number, now, messages, entries, drop_empty):
    """Move the first message of the queue to the first stage."""
    head = pe.head
    while messages[head].kind == _SEND or (
            drop_empty and _is_empty(messages[head], entries, number)):
        head += 1
    pe.stage_1 = messages[head].kind
    if pe.stage_1 == _ENTRY:
        n_entries = entries[number, messages[head].target]
        pe.last_at = now + n_entries
        pe.stage_1 = _ENTRY if n_entries else _EMPTY
    else:
        pe.n_controls += 1
    pe.head = head + 1
    pe.level -= 1


@njit(inline="always")
def _is_empty(message, entries, number):
    return message.kind == _ENTRY and entries[number, message.target] == 0


@njit(inline="always")
def _step_sender(pe, result, drains):
    """Advance a vector sender by one cycle; return true if it reads the activation SRAM."""
    is_free = pe.sending and not pe.reads and result.level == 0 and not result.taken
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
def _step_scanner(pe, number, outer, is_held, n_words, mask, first_word):
    """Advance a scanner by one cycle. If it `is_held`, another part reads the activation SRAM."""
    pending = pe.pending
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
            _put(outer, (4 * pe.number + lane) * len(mask) + pe.index)
        elif not pe.has_word and not pe.fetching:
            _put(outer, _NO_MORE)
            pe.busy = False
        pe.pending = rest
    if pe.has_word and is_free:
        pe.number = pe.word
        pe.pending = mask[number, first_word + pe.word]
    pe.has_word = takes or (pe.has_word and not is_free)
    pe.fetched = (reads or (pe.fetched and not takes)) and not is_held
    if takes:
        pe.word = pe.n_taken
        pe.fetching = not is_last
        pe.n_taken += 1


@njit(inline="always")
def _step_pes(pes, outers, results, active_until, due, n_over, now, messages, program, machine):
    """Advance all PEs by one cycle."""
    n_nodes = len(machine.first_child) - 1
    for number in range(len(pes)):
        if due[number] > now:
            continue
        pe, outer = pes[number], outers[n_nodes + number]
        drains, level, n_found = pe.decoded >= _END, pe.level, outer.level
        begins = _begins(pe, program.barrier)
        advances = True
        if pe.n_controls or pe.writing or outer.offered:
            advances = _step_drain(pe, outer, now, program.n_rows)
        if pe.n_controls:
            _step_path(pe, number, advances, now, messages, program.entries, machine.drop_empty)
        else:
            _step_entries(pe, number, now, messages, program.entries, machine.drop_empty)
        result, is_held = results[n_nodes + number], drains
        if pe.sending or pe.reads or result.taken:
            is_held = _step_sender(pe, result, drains) or is_held
        if pe.busy:
            _step_scanner(pe, number, outer, is_held, program.n_words[pe.step], program.mask,
                          program.first_word[pe.step])
        if begins:
            pe.waiting, pe.step = False, pe.next_step
            pe.busy = pe.fetching = True
            pe.n_taken = 0
            pe.unwritten += 1
        if pe.level < level:
            n_over[0] -= level == machine.filling
            n_over[1] -= level == machine.full
        if n_nodes and outer.level != n_found:
            active_until[machine.parent[n_nodes + number]] = now + 1
        if (pe.n_controls or pe.writing or outer.offered or pe.sending
                or (pe.busy and not _is_blocked(pe, outer)) or _begins(pe, program.barrier)):
            due[number] = now + 1
        elif pe.stage_1 == _NOTHING and pe.level == 0:
            due[number] = _NEVER
        else:
            due[number] = pe.last_at if pe.stage_1 == _ENTRY else now + 1


@njit(inline="always")
def _begins(pe, barrier):
    """Check if the scan of the source that waits begins."""
    return (pe.waiting and not pe.busy
            and (pe.unwritten == 0 or not barrier[pe.next_step]))


@njit(inline="always")
def _is_blocked(pe, outer):
    """Check if the scanner is stalled until its output is taken."""
    return outer.level == 2 and pe.fetched and pe.has_word and pe.pending != 0


@njit(inline="always")
def _arrive(message, pes, due, n_over, now, program, machine):
    """Add a message to the activation queues, except that of a vector."""
    for number in range(len(pes) if message.kind != _SEND else 0):
        if not (machine.drop_empty and _is_empty(message, program.entries, number)):
            pe = pes[number]
            pe.level += 1
            n_over[0] += pe.level == machine.filling
            n_over[1] += pe.level == machine.full
            if due[number] == _NEVER:
                due[number] = now + 1


@njit(inline="always")
def _start_scanners(pes, due, now, step):
    due[:] = now + 1
    for number in range(len(pes)):
        pes[number].waiting, pes[number].next_step = True, step


@njit(inline="always")
def _start_senders(pes, due, now, n_words, last_lane, last_pe):
    due[:] = now + 1
    for number in range(len(pes)):
        pe = pes[number]
        size = last_lane + 1 - (pe.index > last_pe)
        pe.sending, pe.was_last = True, False
        pe.n_left = n_words - 1
        pe.omits = size == 0
        pe.last_size = size


@njit(cache=True)
def run(machine, program, n_sent, deadline):
    """Run a program on a machine at rest.

    Parameters
    ----------
    machine : :class:`TimingParameters`
    program : :class:`Program`
    n_sent : :class:`int`
        Broadcasts of activations in the program.
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
    messages = np.zeros(n_sent + 2 * n_steps, _MESSAGE)
    pes = np.zeros(n_pe, _PE)
    for number in range(n_pe):
        pes[number].index = machine.pes[number]
        pes[number].written_at = -1
    root, result_root = outers[0], results[0]

    # Messages sent, and arrived at the scanners, at the vector senders, and at the queues.
    sent, scanned, received, queued, seen = 0, 0, 0, 0, 0
    n_over = np.zeros(2, np.int64)    # queues that are filling, and full
    filling, is_full = 0, 0           # history of "some queue is", one bit per cycle
    sending, n_packed = False, 0      # a vector is being sent; elements in the packer
    # The starter: its next step, and if the last tile started has a barrier. Tiles that are started
    # and not yet written, and those of them that are ended.
    state, step, last_barrier = _FETCH, 0, False
    unwritten, n_ended = 0, 0
    # The broadcaster: its tile, if any, and if nothing of it has been found yet.
    busy, tile, is_new = False, 0, True
    control, compute, output, full, scan, barrier = 0, 0, 0, 0, 0, 0
    now = 0
    while state != ENDED and now < deadline:
        # The CCU. Back-pressure takes one cycle in the PE and one per tree level.
        while seen < sent and messages[seen].sent < now - machine.in_flight:
            seen += 1
        is_over_limit = sent - seen > machine.filling_limit
        is_stopped = is_full >> n_levels & 1 or (filling >> n_levels & 1 and is_over_limit)
        has_item = root.level > 0
        is_end = busy and has_item and root.first == _NO_MORE
        is_found = busy and has_item and not is_end
        is_held = is_end and sending and program.result_barrier[tile]

        # The starter, which has priority.
        is_send = state == _BEGIN and program.send[step]
        for_result = is_send and sending
        must_wait = for_result or (is_send and program.barrier[step] and unwritten > 0)
        has_room = unwritten < MAX_TILES and not (last_barrier and unwritten > 1)
        offers = state == _BEGIN and not must_wait and (is_send or has_room)
        starts = offers and not is_stopped
        broadcasts = (is_found or (is_end and not is_held)) and not (offers or is_stopped)
        ends = is_end and broadcasts

        is_waiting = busy and is_new and not has_item and program.barrier[tile]
        if busy:
            barrier += is_waiting
            compute += not (is_end or is_waiting)
            output += is_held
            control += is_end and not is_held
            full += is_found and is_stopped
            scan += not (has_item or is_waiting)
        else:
            barrier += unwritten > 0
            output += unwritten == 0 and for_result
            control += unwritten == 0 and not for_result

        kind, target = _NOTHING, step
        if starts:
            kind = _SEND if is_send else _START
        elif ends:
            kind, target = _END + tile, tile
        elif broadcasts:
            kind, target = _ENTRY, program.first_column[tile] + root.first
        waits = n_ended > 0
        root.was_full = root.level == 2
        root.taken = root.offered
        is_complete = step == n_steps and unwritten == 0
        unwritten += (starts and not is_send) - root.offered
        n_ended += ends - root.offered
        if broadcasts:
            _take(root)
            if n_nodes:
                active_until[0] = now + 1
            else:
                due[0] = now

        starts_tile = starts and not is_send
        hands_over = starts_tile or state == _STARTED
        is_ready = ends or not busy
        if starts_tile:
            last_barrier = program.barrier[step]
        if is_ready:
            busy, tile, is_new = hands_over, step, True
        elif has_item:
            is_new = False
        if is_complete:
            state = ENDED
        elif (starts and is_send) or (hands_over and is_ready):
            step += 1
            state = _FETCH
        elif starts_tile:
            state = _STARTED
        elif state < _BEGIN and step < n_steps:
            state += 1
        if kind != _NOTHING:
            messages[sent].kind, messages[sent].target, messages[sent].sent = kind, target, now
            sent += 1

        _step_tree(machine, inners, outers, turns, active_until, due, waits, now)
        if sending:
            result_root.was_full = result_root.level == 2
            n_packed = _pack(result_root, n_packed, machine.beat_elements)
            if n_packed < 0:
                sending, n_packed = False, 0
            _step_results(machine, results, result_turns, due)
            if n_nodes == 0 and result_root.taken:
                due[0] = min(due[0], 0)
        sending = sending or kind == _SEND

        filling = (filling << 1 | (n_over[0] > 0)) & _HISTORY
        is_full = (is_full << 1 | (n_over[1] > 0)) & _HISTORY
        _step_pes(pes, outers, results, active_until, due, n_over, now, messages, program,
                  machine)
        if queued < sent and messages[queued].sent + n_levels + _QUEUE_DELAY == now:
            _arrive(messages[queued], pes, due, n_over, now, program, machine)
            queued += 1
        if scanned < sent and messages[scanned].sent + n_levels + _SCAN_DELAY == now:
            if messages[scanned].kind == _START:
                _start_scanners(pes, due, now, messages[scanned].target)
            scanned += 1
        if received < sent and messages[received].sent + n_levels + _SEND_DELAY == now:
            if messages[received].kind == _SEND:
                started = messages[received].target
                _start_senders(pes, due, now, program.n_words[started], program.last_lane[started],
                               program.last_pe[started])
            received += 1
        now += 1
    kinds = messages["kind"][:sent]
    order = np.where(kinds == _ENTRY, messages["target"][:sent], -1)
    return CcuCounters(state, now, control, compute, output, full, scan, barrier,
                       order[(kinds == _ENTRY) | (kinds == _START)])
