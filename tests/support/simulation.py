"""Simulation of Amaranth components in one line, with streams that stall, and words to load."""

import contextlib
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.sim import Simulator
from numpy.typing import NDArray

from eie_compiler.vectors import Placed, input_packets
from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_WIDTH, Layouts, Memory, n_beats
from support.stream_rules import StreamRules

__all__ = ["STALLS", "Stalls", "Unwatched", "get", "input_words", "model_words", "nothing", "put",
           "simulate", "streams"]

#: Length of a clock cycle in seconds; nothing but the time axis of a waveform shows it.
PERIOD = 10e-9

Bench = Callable[[Any], Coroutine[Any, Any, None]]


class Stalls(NamedTuple):
    """How often a test holds back an input, and how often it refuses an output: probabilities."""

    input: float
    output: float


#: The mixtures that every component is tested with. Each has caught faults that the others missed.
STALLS = {
    "flowing": Stalls(0, 0),
    "slow-input": Stalls(0.5, 0),
    "slow-output": Stalls(0, 0.5),
    "slow-both": Stalls(0.5, 0.5),
}


async def put(ctx: Any, stream: Any, payloads: Iterable[Any], *, stall: float = 0.0,
              rng: random.Random | None = None) -> None:
    """Offer each of `payloads` in turn, waiting before each with probability `stall`.

    Parameters
    ----------
    ctx
        Context of the testbench.
    stream : :class:`~amaranth.lib.stream.Interface`
        Stream to drive. One that is always valid takes what it is given in consecutive cycles,
        without a stall, and the last payload stays.
    payloads
        Integers; or what the payload's layout makes a constant of, such as mappings, in which
        fields left out are zero, and NumPy arrays.
    stall : :class:`float`
        Probability of waiting another cycle.
    rng : :class:`random.Random`
        Decides when to stall; the same sequence in every call if left out.
    """
    rng = rng or random.Random(1)
    always_valid = stream.signature.always_valid
    for payload in payloads:
        while not always_valid and rng.random() < stall:
            await ctx.tick()
        ctx.set(stream.payload, _plain(payload))
        if not always_valid:
            ctx.set(stream.valid, 1)
        taken = False
        while not taken:
            *_, taken = await ctx.tick().sample(stream.ready)
        if not always_valid:
            ctx.set(stream.valid, 0)


async def get(ctx: Any, stream: Any, count: int, *, stall: float = 0.0,
              rng: random.Random | None = None) -> list[Any]:
    """Accept `count` payloads, waiting before each with probability `stall`.

    Parameters
    ----------
    ctx, stall, rng
        As for :func:`put`.
    stream : :class:`~amaranth.lib.stream.Interface`
        Stream to read. One that is always ready is read without a stall.
    count : :class:`int`
        Payloads to accept. Whether more would come is for :func:`nothing` to say.

    Returns
    -------
    :class:`list`
        Integers, or what the payload's layout makes of the bits.
    """
    rng = rng or random.Random(2)
    always_ready = stream.signature.always_ready
    payloads: list[Any] = []
    while len(payloads) < count:
        while not always_ready and rng.random() < stall:
            await ctx.tick()
        if not always_ready:
            ctx.set(stream.ready, 1)
        given = False
        while not given:
            *_, payload, given = await ctx.tick().sample(stream.payload, stream.valid)
        if not always_ready:
            ctx.set(stream.ready, 0)
        payloads.append(payload)
    return payloads


async def nothing(ctx: Any, stream: Any, *, cycles: int = 32) -> None:
    """Check that a stream stays silent for some cycles, though all it offers is accepted."""
    if not stream.signature.always_ready:
        ctx.set(stream.ready, 1)
    for _ in range(cycles):
        *_, payload, given = await ctx.tick().sample(stream.payload, stream.valid)
        if given:
            raise AssertionError(f"Stream must be silent, but gave {payload!r}")
    if not stream.signature.always_ready:
        ctx.set(stream.ready, 0)


def _plain(payload: Any) -> Any:
    """Replace NumPy's numbers and arrays, which Amaranth does not take, by Python's."""
    if isinstance(payload, Mapping):
        return {name: _plain(value) for name, value in payload.items()}
    if isinstance(payload, (list, tuple)):
        return [_plain(value) for value in payload]
    return payload.tolist() if hasattr(payload, "tolist") else payload


def model_words(config: EIEConfig, images: Mapping[str, NDArray[np.uint64]]
                ) -> Iterator[dict[str, Any]]:
    """What a core is loaded with before a program, word by word: payloads of `layouts.load`."""
    for name, memory, pe, _ in Layouts.of(config).images(config):
        step, first = (2, int(name.endswith("odd"))) if memory is Memory.PTR else (1, 0)
        for row, word in enumerate(_numbers(images[name])):
            yield {"memory": memory, "pe": pe or 0, "address": first + step * row, "data": word}


def input_words(config: EIEConfig, vector: Placed, values: NDArray[np.int64], *, base: int
                ) -> Iterator[dict[str, Any]]:
    """The words of an input vector (n,) for rows `base` and up, as :func:`model_words`."""
    _, *beats = input_packets(config, vector, values[np.newaxis])[0]
    words = np.array(beats).reshape(-1, n_beats(Layouts.of(config).act_word))
    for number, word in enumerate(_numbers(words)):
        row, pe = divmod(number, config.n_pe)
        yield {"memory": Memory.ACT, "pe": pe, "address": base + row, "data": word}


def _numbers(words: NDArray[np.uint64]) -> list[int]:
    """Words (n_words, n_beats) as Python's numbers."""
    return [sum(beat << BEAT_WIDTH * n for n, beat in enumerate(word)) for word in words.tolist()]


class Unwatched(Elaboratable):
    """A component that may take back what it offers, such as one that is reset.

    Parameters
    ----------
    component : :class:`~amaranth.hdl.Elaboratable`
        The component.
    """
    signature = wiring.Signature({})

    def __init__(self, component: Elaboratable) -> None:
        self._component = component

    def elaborate(self, platform: Any) -> Elaboratable:
        return self._component


def streams(component: Any) -> Iterator[tuple[str, Any, bool]]:
    """All streams of a component, however deep in its signature: name, interface, if an output."""
    yield from _streams(component.signature, component, "")


def _streams(signature: Any, interface: Any, prefix: str) -> Iterator[tuple[str, Any, bool]]:
    for name, member in signature.members.items():
        if not member.is_signature:
            continue
        for path, element in _elements(getattr(interface, name), member.dimensions, prefix + name):
            inner = member.signature
            flipped = isinstance(inner, wiring.FlippedSignature)
            if isinstance(inner.flip() if flipped else inner, stream.Signature):
                yield path, element, not flipped
            else:
                yield from _streams(inner, element, f"{path}.")


def _elements(value: Any, dimensions: tuple[int, ...], path: str) -> Iterator[tuple[str, Any]]:
    if not dimensions:
        yield path, value
        return
    for index, element in enumerate(value):
        yield from _elements(element, dimensions[1:], f"{path}[{index}]")


def simulate(dut: Elaboratable, *benches: Bench, background: Iterable[Bench] = (),
             deadline: int = 10_000, vcd: str | None = None) -> None:
    """Run testbenches, async functions of the simulator context, against a component.

    Every stream that the component produces is watched by :class:`~.StreamRules`.

    Parameters
    ----------
    dut : :class:`~amaranth.lib.wiring.Component`
        Component under test.
    benches
        Testbenches; the simulation is over when all of them are.
    background
        Testbenches that need not end, such as a model of a memory.
    deadline : :class:`int`
        Cycles within which the simulation must end.
    vcd : :class:`str`
        Where to write a waveform. It costs time; left out, there is none.

    Raises
    ------
    TimeoutError
        If the deadline passes. The message tells the state of each stream.
    AssertionError
        If a bench or a monitor finds a fault.
    """
    top = Module()
    top.domains.sync = ClockDomain()    # there even if `dut` is combinational
    top.submodules.dut = dut
    counts = {}
    for name, member, is_output in streams(dut):
        counts[name] = member, _transfers(top, member)
        if is_output:
            signature = member.signature
            top.submodules[f"rules of {name}"] = rules = StreamRules(signature, name=name)
            rules.watch(top, member)

    async def watch_deadline(ctx: Any) -> None:
        await ctx.delay(deadline * PERIOD)
        raise TimeoutError("\n  ".join([
            f"Simulation must end within {deadline} cycles",
            *(f"{name}: {ctx.get(count)} taken, valid={ctx.get(member.valid)}, "
              f"ready={ctx.get(member.ready)}, payload={ctx.get(member.payload)!r}"
              for name, (member, count) in counts.items())]))

    simulator = Simulator(top)
    simulator.add_clock(PERIOD)
    for bench in benches:
        simulator.add_testbench(_closable(bench))
    for bench in (*background, watch_deadline):
        simulator.add_testbench(_closable(bench), background=True)
    with simulator.write_vcd(vcd) if vcd else contextlib.nullcontext():
        simulator.run()


def _closable(bench: Bench) -> Bench:
    """Keep a bench that is dropped while it waits from complaining in some later test.

    Python 3.11 cannot close the generator behind `tick().repeat()` and `tick().until()`.
    """
    async def closable(ctx: Any) -> None:
        try:
            await bench(ctx)
        except RuntimeError as error:
            if not isinstance(error.__context__, GeneratorExit):
                raise

    return closable


def _transfers(m: Module, member: Any) -> Signal:
    """Count what a stream carries, for the report of a simulation that hangs."""
    count = Signal(32)
    with m.If(member.valid & member.ready):
        m.d.sync += count.eq(count + 1)
    return count
