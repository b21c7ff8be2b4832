"""Simulation of Amaranth components: testbenches, streams with stalls, and words to load."""

import contextlib
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.sim import Simulator
from numpy.typing import NDArray

from eie_compiler.vectors import Vector, input_packets
from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_WIDTH, Layouts, Memory, n_beats
from support.stream_rules import StreamRules

__all__ = ["STALLS", "Stalls", "Unwatched", "get", "get_vector", "input_words", "image_words",
           "nothing", "put", "simulate", "streams"]

#: Clock period in seconds; it only affects the time axis of waveforms.
PERIOD = 10e-9

Bench = Callable[[Any], Coroutine[Any, Any, None]]


class Stalls(NamedTuple):
    """Probabilities per cycle of stalling an input and an output."""

    input: float
    output: float


#: Mixtures with which every component is tested. Each has caught bugs that the others missed.
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
        Stream to drive. If always valid, it carries payloads in consecutive cycles without stalls
        and keeps the last one.
    payloads
        Integers, or values accepted by the payload's layout: mappings, in which missing fields are
        zero, and NumPy arrays.
    stall : :class:`float`
        Probability of waiting another cycle.
    rng : :class:`random.Random`
        Source of the stalls. Default: the same sequence in every call.
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
        Stream to read. If always ready, it is read without stalls.
    count : :class:`int`
        Payloads to accept. Use :func:`nothing` to check that no more follow.

    Returns
    -------
    :class:`list`
        Integers, or values of the payload's layout.
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


async def get_vector(ctx: Any, stream: Any, *, stall: float = 0.0,
                     rng: random.Random | None = None) -> list[int]:
    """Accept words of `layouts.result` up to an end, and return their elements.

    Parameters
    ----------
    ctx, stream, stall, rng
        As for :func:`get`.
    """
    rng = rng or random.Random(2)
    elements: list[int] = []
    while True:
        [item] = await get(ctx, stream, 1, stall=stall, rng=rng)
        if item.end:
            return elements
        elements += list(item.word)[:item.last_lane + 1]


async def nothing(ctx: Any, stream: Any, *, cycles: int = 32) -> None:
    """Check that a stream stays silent for some cycles while it is ready."""
    if not stream.signature.always_ready:
        ctx.set(stream.ready, 1)
    for _ in range(cycles):
        *_, payload, given = await ctx.tick().sample(stream.payload, stream.valid)
        if given:
            raise AssertionError(f"Stream must be silent, but gave {payload!r}")
    if not stream.signature.always_ready:
        ctx.set(stream.ready, 0)


def _plain(payload: Any) -> Any:
    """Convert NumPy numbers and arrays, which Amaranth does not accept, to Python's."""
    if isinstance(payload, Mapping):
        return {name: _plain(value) for name, value in payload.items()}
    if isinstance(payload, (list, tuple)):
        return [_plain(value) for value in payload]
    return payload.tolist() if hasattr(payload, "tolist") else payload


def image_words(config: EIEConfig, images: Mapping[str, NDArray[np.uint64]]
                ) -> Iterator[dict[str, Any]]:
    """Yield the words of memory images as payloads of `layouts.load`."""
    for name, memory, pe, _ in Layouts.of(config).images(config):
        step, first = (2, int(name.endswith("odd"))) if memory is Memory.PTR else (1, 0)
        for row, word in enumerate(_numbers(images[name])):
            yield {"memory": memory, "pe": pe or 0, "address": first + step * row, "data": word}


def input_words(config: EIEConfig, vector: Vector, values: NDArray[np.int64], *, base: int
                ) -> Iterator[dict[str, Any]]:
    """Yield the words of an input vector (n,) from row `base` on, as :func:`image_words` does."""
    _, *beats = input_packets(config, vector, values[np.newaxis])[0]
    words = np.array(beats).reshape(-1, n_beats(Layouts.of(config).act_word))
    for number, word in enumerate(_numbers(words)):
        row, pe = divmod(number, config.n_pe)
        yield {"memory": Memory.ACT, "pe": pe, "address": base + row, "data": word}


def _numbers(words: NDArray[np.uint64]) -> list[int]:
    """Convert words (n_words, n_beats) to Python integers."""
    return [sum(beat << BEAT_WIDTH * n for n, beat in enumerate(word)) for word in words.tolist()]


class Unwatched(Elaboratable):
    """Component with unchecked streams, as it may withdraw payloads, for instance in a reset.

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
    """Yield name, interface and direction (true if output) of all streams of a component."""
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
        Testbenches; the simulation ends when all of them have ended.
    background
        Testbenches that need not end, such as a memory model.
    deadline : :class:`int`
        Limit of the simulation in cycles.
    vcd : :class:`str`, optional
        File for a waveform, which slows the simulation.

    Raises
    ------
    TimeoutError
        If the deadline passes. The message has the state of each stream.
    AssertionError
        If a testbench or monitor fails.
    """
    top = Module()
    top.domains.sync = ClockDomain()    # needed even if `dut` is combinational
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
    """Wrap a bench so that dropping it while it waits raises nothing in a later test.

    Python 3.11 cannot close the generators of `tick().repeat()` and `tick().until()`.
    """
    async def closable(ctx: Any) -> None:
        try:
            await bench(ctx)
        except RuntimeError as error:
            if not isinstance(error.__context__, GeneratorExit):
                raise

    return closable


def _transfers(m: Module, member: Any) -> Signal:
    """Count the transfers of a stream, for the report of a simulation that hangs."""
    count = Signal(32)
    with m.If(member.valid & member.ready):
        m.d.sync += count.eq(count + 1)
    return count
