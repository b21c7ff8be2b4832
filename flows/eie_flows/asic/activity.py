"""Toggles of every output of a cell, and accesses of the memories, from a waveform."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Activity", "read_activity"]


@dataclass(frozen=True)
class Activity:
    """Activity of a simulation.

    Attributes
    ----------
    cycles : :class:`int`
        Rising edges of the clock.
    toggles, high : :class:`dict` of :class:`str` to :class:`int` or :class:`float`
        Changes of each single-bit signal by path, and the share of the time that it was 1.
    enabled : :class:`dict` of :class:`str` to :class:`int`
        Rising edges of the clock at which a signal was 1, for those that were asked for.
    """

    cycles: int
    toggles: dict[str, int]
    high: dict[str, float]
    enabled: dict[str, int]


def read_activity(lines: Iterable[str], clock: str, *, pins: Iterable[str],
                  enables: Iterable[str]) -> Activity:
    """Read a VCD.

    Paths have their scopes joined by slashes, without those of the bench and the machine.

    Parameters
    ----------
    lines : iterable of :class:`str`
        Text of the waveform.
    clock : :class:`str`
        Path of the clock.
    pins : iterable of :class:`str`
        Last parts of the paths of the signals to count, such as ``Q``.
    enables : iterable of :class:`str`
        Paths of signals whose value at clock edges is counted.

    Raises
    ------
    ValueError
        If the clock or an enable is not in the waveform, or the clock never rises.
    """
    pins, enables = set(pins), set(enables)
    lines = iter(lines)
    codes, wanted = _read_header(lines, pins, {clock, *enables})
    for path in (clock, *sorted(enables)):
        if path not in wanted:
            raise ValueError(f"the waveform must have {path}, but does not")
    counted = set(codes.values())
    toggles: Counter[str] = Counter()
    since: dict[str, int] = {}
    high: defaultdict[str, int] = defaultdict(int)
    values: dict[str, str] = {}
    enabled: Counter[str] = Counter()
    clock_code = wanted[clock]
    cycles = now = begin = 0
    started = False
    changes: list[tuple[str, str]] = []

    def apply() -> None:
        nonlocal cycles
        if (clock_code, "1") in changes and values.get(clock_code) == "0":
            cycles += 1
            for path in enables:    # their values before the edge
                enabled[path] += values.get(wanted[path]) == "1"
        for code, value in changes:
            former = values.get(code)
            if code in counted and former != value:
                # From and to an unknown value is half a change at most; it is none here.
                toggles[code] += former in ("0", "1") and value in ("0", "1")
                if former == "1":
                    high[code] += now - since[code]
                since[code] = now
            values[code] = value
        changes.clear()

    for line in lines:
        first = line[0]
        if first == "#":
            apply()
            now = int(line[1:])
            if not started:
                begin, started = now, True
        elif first in "01xz":
            changes.append((line[1:].rstrip(), first))
    apply()
    if not cycles:
        raise ValueError(f"{clock} must rise in the waveform, but does not")
    length = max(now - begin, 1)
    for code, value in values.items():
        if value == "1" and code in counted:
            high[code] += now - since[code]
    return Activity(cycles, {path: toggles[code] for path, code in codes.items()},
                    {path: high[code] / length for path, code in codes.items()},
                    {path: enabled[path] for path in enables})


def _read_header(lines: Iterable[str], pins: set[str], others: set[str]
                 ) -> tuple[dict[str, str], dict[str, str]]:
    """Read paths and codes of the chosen pins and of other signals up to the definitions' end."""
    scopes: list[str] = []
    codes, wanted = {}, {}
    for line in lines:
        words = line.split()
        if not words:
            continue
        if words[0] == "$scope":
            scopes.append(words[2].removeprefix("\\"))
        elif words[0] == "$upscope":
            scopes.pop()
        elif words[0] == "$var" and words[2] == "1":
            path = "/".join([*scopes[2:], words[4]])
            if words[4] in pins:
                codes[path] = words[3]
            if path in others:
                wanted[path] = words[3]
        elif words[0] == "$enddefinitions":
            break
    return codes, wanted
