"""The machine's clock: what decides when something happens, cycle by cycle, and nothing else.

Compiled by Numba. The parts are those of the RTL, from the CCU outwards; each sees the others as
they were when the cycle began: the part downstream takes first, and notes for the one upstream
whether there was room. A part is looked at only when something can change in it: that of a node
until the cycle after a change near it, and a PE when it is due.

All functions are inlined into one, as calls would count references to every array that they pass;
and all are in this file, since Numba notices no change in another one when it keeps what it has
compiled.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["ENDED", "Clock", "Machine", "Program", "run"]

#: What a stage of a PE holds: nothing, a column without entries, an entry, the start of a tile; or
#: the end of tile `n` as ``_END + n``. Messages of the broadcast are numbered alike.
_NOTHING, _EMPTY, _ENTRY, _START, _END = range(5)

#: Cycle in which a PE is due that waits for something to come.
_NEVER = 1 << 62

#: In place of the column of an activation: there is none any more.
_NO_MORE = -1

#: States of the CCU; each is that of the RTL.
_FETCH, _DECODE, _BEGIN, _SCAN, _FINISH_TILE, _FINISH = range(6)
ENDED = 6

#: Cycles from the send of a message until a PE's scanner, and its queue, have it; without levels.
_TO_SCAN, _TO_QUEUE = 2, 4

#: Cycles of which it is kept whether a queue was full: more than a tree has levels.
_HISTORY = 0xFFFF

#: From the last row that drains until the PE calls its tile written.
_TO_WRITTEN = 9


class Program(NamedTuple):
    """What is to be done, of all steps one after the other.

    Attributes
    ----------
    dense, barrier : bool (n_steps,)
        Whether the step sends its source to the host; whether it waits for all earlier tiles.
    n_words, first_word : int64 (n_steps,)
        Words of the source, and where they begin in `mask`.
    n_rows, first_column : int64 (n_steps,)
        Rows that drain, and where the columns begin in `entries`.
    mask : uint8 (n_pe, n_words)
        Which of the four activations of a word are sent, as bits. PEs are in the order of the tree.
    entries : uint16 (n_pe, n_columns)
        Entries of each column.
    """

    dense: NDArray[np.bool_]
    barrier: NDArray[np.bool_]
    n_words: NDArray[np.int64]
    first_word: NDArray[np.int64]
    n_rows: NDArray[np.int64]
    first_column: NDArray[np.int64]
    mask: NDArray[np.uint8]
    entries: NDArray[np.uint16]


class Machine(NamedTuple):
    """Numbers that the clock depends on.

    Attributes
    ----------
    n_levels, drop_empty
        As in :class:`~eie_hdl.config.EIEConfig`.
    filling, full, in_flight, sparse
        Columns from which on a queue is filling, and full; for how many cycles the CCU does not
        know what it has sent, and how many messages those may be if a queue is filling.
    first_child, parent, pes
        As in :class:`~.tree.Tree`.
    """

    n_levels: int
    drop_empty: bool
    filling: int
    full: int
    in_flight: int
    sparse: int
    first_child: NDArray[np.int64]
    parent: NDArray[np.int64]
    pes: NDArray[np.int64]


class Clock(NamedTuple):
    """What the CCU counted.

    Attributes
    ----------
    state : :class:`int`
        :data:`ENDED`, or where it was when the time was over.
    cycles, control, compute, output, full, scan, barrier : :class:`int`
        Cycles in all, in each phase, and stalled by each cause.
    order : int64 (n_broadcasts,)
        Columns as they were broadcast, numbered over all steps.
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


#: A queue of two columns; `was_full` is as the cycle began, for who puts something in.
_QUEUE = [("level", np.int64), ("first", np.int64), ("second", np.int64), ("was_full", np.bool_)]

#: What a node or a PE offers: columns, and a tile that is written, which may be `taken` now.
_OUTER = np.dtype([*_QUEUE, ("offered", np.bool_), ("taken", np.bool_)], align=True)

#: What a node has of a child.
_INNER = np.dtype([*_QUEUE, ("written", np.bool_)], align=True)

#: A message of the broadcast: `place` is a column, or of a control the step; `sent` is when.
_MESSAGE = np.dtype([("kind", np.int64), ("place", np.int64), ("sent", np.int64)])

#: A PE, but for what it offers.
_PE = np.dtype([
    ("index", np.int64),
    # Activation queue, and the first message in it.
    ("level", np.int64), ("head", np.int64),
    # Stages of the spmat read, with the cycle of the last entry in the first; decode; starts and
    # ends among all that. Without one, the stages behind the first do not matter.
    ("n_controls", np.int64), ("last_at", np.int64),
    ("stage_1", np.int64), ("stage_2", np.int64), ("stage_3", np.int64), ("stage_4", np.int64),
    ("decoded", np.int64),
    # Drain and write-back.
    ("draining", np.bool_), ("writing", np.bool_), ("row", np.int64), ("written_at", np.int64),
    # Scanner: words taken, word in stage 2 or none, activations still to be sent in stage 3.
    ("busy", np.bool_), ("fetching", np.bool_), ("fetched", np.bool_), ("n_taken", np.int64),
    ("has_word", np.bool_), ("word", np.int64), ("pending", np.int64), ("number", np.int64),
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
def _merge(first, behind, inners, outer, turn, dense):
    """One cycle of an LNZD node: one column of its children goes on, or their common end.

    Its children are `first` to `behind` - 1. Returns whose turn it is then, or -1 if nothing goes.
    """
    granted, n_ends, next_turn = -1, 0, -1
    for step in range(behind - first):
        child = first + turn + step
        if child >= behind:
            child -= behind - first
        if inners[child].level > 0:
            if inners[child].first == _NO_MORE:
                n_ends += 1
            elif granted < 0 and (step == 0 or not dense):
                granted = child
    if n_ends == behind - first:
        for child in range(first, behind):
            _take(inners[child])
        _put(outer, _NO_MORE)
        next_turn = 0
    elif granted >= 0:
        _put(outer, _take(inners[granted]))
        next_turn = granted + 1 - first if granted + 1 < behind else 0
    return next_turn


@njit(inline="always")
def _report(first, behind, inners, outers, outer):
    """One cycle of what a node knows of written tiles: its children's, and what it offers."""
    all_written = True
    for child in range(first, behind):
        inner, below = inners[child], outers[child]
        all_written = all_written and inner.written
        below.taken = below.offered and not inner.written
        inner.written = inner.written or below.taken
    is_free = not outer.offered or outer.taken
    outer.offered = outer.offered and not outer.taken
    if all_written and is_free:
        outer.offered = True
        for child in range(first, behind):
            inners[child].written = False


@njit(inline="always")
def _step_tree(machine, inners, outers, turns, until, due, dense, waits, now):
    """One cycle of all nodes. Written tiles matter only if the CCU `waits` for some."""
    n_nodes = len(turns)
    for node in range(n_nodes):
        if until[node] < now and not waits:
            continue
        first, behind = machine.first_child[node], machine.first_child[node + 1]
        outer = outers[node]
        for child in range(first, behind):
            inners[child].was_full = inners[child].level == 2
        if not outer.was_full:
            turn = _merge(first, behind, inners, outer, turns[node], dense)
            if turn >= 0:
                turns[node] = turn
                until[node] = until[machine.parent[node]] = now + 1
        for child in range(first, behind):
            inner, below = inners[child], outers[child]
            below.was_full = below.level == 2
            if below.level > 0 and not inner.was_full:
                _put(inner, _take(below))
                until[node] = now + 1
                if child < n_nodes:
                    until[child] = now + 1
                else:
                    due[child - n_nodes] = now
        if waits:
            _report(first, behind, inners, outers, outer)


@njit(inline="always")
def _step_drain(pe, outer, now, n_rows):
    """One cycle of drain and write-back; whether the decoder gets rid of what it holds."""
    is_end = pe.decoded >= _END
    leaves = not is_end
    if pe.draining:
        leaves = pe.row == n_rows[pe.decoded - _END] - 1
        pe.row += 1
        if leaves:
            pe.draining = False
            pe.written_at = now + _TO_WRITTEN
    elif is_end and not pe.writing and not outer.offered:
        pe.draining = True
        pe.writing = True
        pe.row = 0
    outer.offered = outer.offered and not outer.taken
    if pe.written_at == now + 1:
        pe.writing = False
        outer.offered = True
    return leaves


@njit(inline="always")
def _walk(pe, number, now, messages, entries, drop_empty):
    """One cycle of the path while only entries are in it: each moves, as nothing holds them."""
    if pe.stage_1 != _ENTRY or pe.last_at <= now:
        pe.stage_1 = _NOTHING
        if pe.level > 0:
            _next_message(pe, number, now, messages, entries, drop_empty)


@njit(inline="always")
def _step_path(pe, number, leaves, now, messages, entries, drop_empty):
    """One cycle of the path with a control in it: the decoder holds an end until it `leaves`."""
    takes = pe.decoded < _END or leaves
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
    """Take what is first in the queue into the first stage."""
    head = pe.head
    while drop_empty and _is_empty(messages[head], entries, number):
        head += 1
    pe.stage_1 = messages[head].kind
    if pe.stage_1 == _ENTRY:
        n_entries = entries[number, messages[head].place]
        pe.last_at = now + n_entries
        pe.stage_1 = _ENTRY if n_entries else _EMPTY
    else:
        pe.n_controls += 1
    pe.head = head + 1
    pe.level -= 1


@njit(inline="always")
def _is_empty(message, entries, number):
    return message.kind == _ENTRY and entries[number, message.place] == 0


@njit(inline="always")
def _step_scanner(pe, number, outer, holds, n_words, mask, first_word):
    """One cycle of a scanner. In one that `holds` the drain reads the activation SRAM."""
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
    pe.fetched = (reads or (pe.fetched and not takes)) and not holds
    if takes:
        pe.word = pe.n_taken
        pe.fetching = not is_last
        pe.n_taken += 1


@njit(inline="always")
def _step_pes(pes, outers, until, due, n_above, now, messages, step, program, machine):
    """One cycle of all PEs."""
    n_nodes = len(machine.first_child) - 1
    for number in range(len(pes)):
        if due[number] > now:
            continue
        pe, outer = pes[number], outers[n_nodes + number]
        holds, level, n_found = pe.decoded >= _END, pe.level, outer.level
        leaves = True
        if pe.n_controls or pe.writing or outer.offered:
            leaves = _step_drain(pe, outer, now, program.n_rows)
        if pe.n_controls:
            _step_path(pe, number, leaves, now, messages, program.entries, machine.drop_empty)
        else:
            _walk(pe, number, now, messages, program.entries, machine.drop_empty)
        if pe.busy:
            _step_scanner(pe, number, outer, holds, program.n_words[step], program.mask,
                          program.first_word[step])
        if pe.level < level:
            n_above[0] -= level == machine.filling
            n_above[1] -= level == machine.full
        if n_nodes and outer.level != n_found:
            until[machine.parent[n_nodes + number]] = now + 1
        if pe.n_controls or pe.writing or outer.offered or (pe.busy and not _is_blocked(pe, outer)):
            due[number] = now + 1
        elif pe.stage_1 == _NOTHING and pe.level == 0:
            due[number] = _NEVER
        else:
            due[number] = pe.last_at if pe.stage_1 == _ENTRY else now + 1


@njit(inline="always")
def _is_blocked(pe, outer):
    """Whether the scanner cannot go on until something is taken from it."""
    return outer.level == 2 and pe.fetched and pe.has_word and pe.pending != 0


@njit(inline="always")
def _arrive(message, pes, due, n_above, now, program, machine):
    """A message comes to the activation queues."""
    for number in range(len(pes)):
        if not (machine.drop_empty and _is_empty(message, program.entries, number)):
            pe = pes[number]
            pe.level += 1
            n_above[0] += pe.level == machine.filling
            n_above[1] += pe.level == machine.full
            if due[number] == _NEVER:
                due[number] = now + 1


@njit(inline="always")
def _start_scanners(pes, due, now):
    due[:] = now + 1
    for number in range(len(pes)):
        pes[number].busy = pes[number].fetching = True
        pes[number].n_taken = 0


@njit(cache=True)
def run(machine, program, n_sent, deadline):
    """Run a program on a machine at rest.

    Parameters
    ----------
    machine : :class:`Machine`
    program : :class:`Program`
    n_sent : :class:`int`
        Activations that will be broadcast.
    deadline : :class:`int`
        Cycles after which to stop.

    Returns
    -------
    :class:`Clock`
    """
    n_levels, n_nodes = machine.n_levels, len(machine.first_child) - 1
    n_steps, n_pe = len(program.dense), len(machine.pes)
    outers = np.zeros(n_nodes + n_pe, _OUTER)
    inners = np.zeros(n_nodes + n_pe, _INNER)
    turns = np.zeros(n_nodes, np.int64)
    until = np.zeros(n_nodes, np.int64)
    due = np.full(n_pe, _NEVER)
    messages = np.zeros(n_sent + 2 * n_steps, _MESSAGE)
    pes = np.zeros(n_pe, _PE)
    for number in range(n_pe):
        pes[number].index = machine.pes[number]
        pes[number].written_at = -1
    root = outers[0]

    sent, scanned, queued = 0, 0, 0    # messages that have left the CCU, and come to the PEs
    step, scan_step, unwritten, unseen = 0, 0, 0, 0
    n_above = np.zeros(2, np.int64)    # queues that are filling, and full
    filling, is_full = 0, 0            # whether any is, and was, one bit for each cycle
    control, compute, output, full, scan, barrier = 0, 0, 0, 0, 0, 0
    state, now = _FETCH, 0
    while state != ENDED and now < deadline:
        # The CCU. A stop that a PE calls for takes a cycle in it and one in each level.
        kind, place = _NOTHING, step
        is_dense = program.dense[step]
        waits = unwritten > 0
        while unseen < sent and messages[unseen].sent < now - machine.in_flight:
            unseen += 1
        is_many = sent - unseen > machine.sparse
        is_stopped = is_full >> n_levels & 1 or (filling >> n_levels & 1 and is_many)
        is_found = root.level > 0
        is_end = is_found and root.first == _NO_MORE
        root.was_full = root.level == 2
        root.taken = root.offered
        if root.offered:
            unwritten -= 1
        if state == _FETCH:
            control += 1
            state = _DECODE
        elif state == _DECODE:
            control += 1
            state = _BEGIN
        elif state == _BEGIN:
            if waits and program.barrier[step]:
                barrier += 1
            else:
                control += 1
                if not is_stopped:
                    kind = _START
                    state = _SCAN
        elif state == _SCAN:
            output += is_dense
            compute += not is_dense
            scan += not is_dense and not is_found
            full += not is_dense and is_found and not is_end and is_stopped
            if is_found and (is_dense or not is_stopped):
                column = _take(root)
                if n_nodes:
                    until[0] = now + 1
                else:
                    due[0] = now
                if is_end:
                    state = _FINISH_TILE
                elif not is_dense:
                    kind, place = _ENTRY, program.first_column[step] + column
        elif state == _FINISH_TILE:
            control += 1
            if is_dense or not is_stopped:
                if not is_dense:
                    kind = _END + step
                    unwritten += 1
                if step + 1 < n_steps:
                    step += 1
                    state = _FETCH
                else:
                    state = _FINISH
        else:
            barrier += 1
            if not waits:
                state = ENDED
        if kind != _NOTHING:
            messages[sent].kind, messages[sent].place, messages[sent].sent = kind, place, now
            sent += 1

        _step_tree(machine, inners, outers, turns, until, due, program.dense[scan_step], waits, now)

        filling = (filling << 1 | (n_above[0] > 0)) & _HISTORY
        is_full = (is_full << 1 | (n_above[1] > 0)) & _HISTORY
        _step_pes(pes, outers, until, due, n_above, now, messages, scan_step, program, machine)
        if queued < sent and messages[queued].sent + n_levels + _TO_QUEUE == now:
            _arrive(messages[queued], pes, due, n_above, now, program, machine)
            queued += 1
        if scanned < sent and messages[scanned].sent + n_levels + _TO_SCAN == now:
            if messages[scanned].kind == _START:
                scan_step = messages[scanned].place
                _start_scanners(pes, due, now)
            scanned += 1
        now += 1
    is_column = messages["kind"][:sent] == _ENTRY
    return Clock(state, now, control, compute, output, full, scan, barrier,
                 messages["place"][:sent][is_column])
