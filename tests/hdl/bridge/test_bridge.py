"""Bridge through the driver.

It consists of eie_hdl.bridge.executor, eie_hdl.bridge.frame_receiver and
eie_hdl.bridge.frame_sender.
"""

import random

import numpy as np
import pytest

from eie_driver.bridge_link import BridgeLink
from eie_driver.bus import BusError
from eie_driver.serial_bus import SerialBus
from eie_hdl.bridge.bridge import Bridge
from eie_hdl.frames import (
    END,
    ESCAPE,
    FRAME_BYTES,
    MAX_BEATS,
    MAX_READS,
    Command,
    Decoder,
    Reply,
    Status,
    encode,
)
from support.bridge_line import REFUSED, BridgeLine, Noise


@pytest.fixture
def connect(monkeypatch):
    """Make a bridge and a bus to it; return the bus and the line."""
    def make(*, noise_rate=0.0, seed=1, **options):
        line = BridgeLine(Bridge(), noise=Noise(noise_rate, seed), seed=seed, **options)
        line.patch_time(monkeypatch)
        link = BridgeLink(line, byte_time=3e-6, patience=500e-6)
        return SerialBus(link, timeout=0.005), line

    return make


def exchange(line, data, n_replies=1):
    """Send bytes, and return the next replies."""
    decoder, replies = Decoder(), []
    line.write(data)
    line.timeout = 5e-3
    while len(replies) < n_replies:
        received = line.read(1)
        assert received, replies
        replies += [Reply.of(frame) for frame in decoder.feed(received)]
    return replies


def hello(line, sequence):
    [reply] = exchange(line, encode(bytes([sequence, Command.HELLO]) + b"abcd"))
    assert (reply.sequence, reply.status) == (sequence, Status.OK)


def result_beats(packet):
    for start in range(0, len(packet), 8):
        part = packet[start:start + 8]
        yield (int.from_bytes(part, "little"), (1 << len(part)) - 1, start + 8 >= len(packet))


@pytest.mark.parametrize("noise_rate, stall", [(0, 0.3), (0.003, 0)])
def test_accesses_are_executed_once_and_in_order_whatever_the_line_does(connect, noise_rate, stall):
    """Random accesses, through drops, flips and garbage in both directions."""
    rng = random.Random(7)
    bus, line = connect(noise_rate=noise_rate, stall=stall, seed=7)
    writes, beats = [], []
    for _ in range(24):
        kind = rng.randrange(4)
        if kind == 0:
            addresses = [4 * rng.randrange(255) for _ in range(rng.choice([1, 3, 9]))]
            assert bus.read_all(addresses) == [
                address * 0x01010101 & 0xFFFFFFFF for address in addresses]
        elif kind == 1:
            writes.append((4 * rng.randrange(255), rng.choice([END, ESCAPE, rng.getrandbits(32)])))
            bus.write(*writes[-1])
        elif kind == 2:
            packet = [rng.choice([0xC0C0DBDB << 32, rng.getrandbits(64)])
                      for _ in range(rng.choice([1, 2, 10]))]
            bus.send(np.array(packet, np.uint64))
            beats += [(beat, n == len(packet) - 1) for n, beat in enumerate(packet)]
        else:
            packet = rng.randbytes(rng.choice([1, 8, rng.randint(1, 40)]))
            bus.expect(len(packet))
            line.results.extend(result_beats(packet))
            for _ in range(200):
                if (received := bus.receive()) is not None:
                    break
            assert received.tobytes() == packet
    assert line.writes == writes
    assert line.beats == [(data, int(last)) for data, last in beats]
    assert (line.noise.n_damaged > 5) == (bus.link.repeats > 0) == bool(noise_rate)


def test_a_long_packet_goes_in_parts_and_a_machine_that_takes_none_is_reported(connect):
    bus, line = connect()
    packet = np.arange(MAX_BEATS + 3, dtype=np.uint64)
    bus.send(packet)
    assert line.beats == [(n, n == len(packet) - 1) for n in range(len(packet))]
    line.beats.clear()
    line.blocked = True
    # One beat is out of the frame: it is offered, which cannot be taken back.
    with pytest.raises(BusError, match=r"^Packet of 5 beats must be accepted, but the machine has "
                                       r"taken none after the first 1 for 0.005 s$"):
        bus.send(packet[:5])
    assert bus.read(4) == 0x04040404    # the bridge still answers
    line.blocked = False
    bus.send(packet[1:5])
    assert line.beats == [(n, n == 4) for n in range(5)]


def test_a_long_packet_of_results_comes_in_parts(connect):
    bus, line = connect()
    packet = random.Random(11).randbytes(8 * MAX_BEATS + 3)
    bus.expect(len(packet))
    assert bus.receive() is None
    line.results.extend(result_beats(packet))
    bus.wait(1)
    assert bus.receive().tobytes() == packet and bus.receive() is None


def test_registers_that_do_not_exist_are_reported_and_many_are_read_in_parts(connect):
    bus, _ = connect()
    addresses = [4 * (n % 255) for n in range(MAX_READS + 5)]
    assert bus.read_all(addresses) == [address * 0x01010101 & 0xFFFFFFFF for address in addresses]
    with pytest.raises(BusError, match="^Machine must have a readable register at 0x3FC, but "
                                       "refuses the access$"):
        bus.read_all([4, REFUSED, 8])
    with pytest.raises(BusError, match="^Machine must accept 0x00000001 in the register at 0x3FC, "
                                       "but refuses the access$"):
        bus.write(REFUSED, 1)
    assert bus.read(8) == 0x08080808


def test_a_repeated_request_is_answered_again_and_executed_once(connect):
    _, line = connect()
    hello(line, 255)
    write = encode(bytes([0, Command.WRITE, 8, 0, 1, 2, 3, 4]))
    replies = exchange(line, write) + exchange(line, write) + exchange(line, write)
    assert line.writes == [(8, 0x04030201)]
    assert replies == [Reply(0, Status.OK, False, False, b"")] * 3
    # A notice does not replace the reply that is kept.
    read = encode(bytes([1, Command.READ, 4, 0]))
    [first] = exchange(line, read)
    assert exchange(line, b"\x01" + bytes([END]))[0].status == Status.BAD_FRAME
    assert exchange(line, read) == [first] and first.payload == b"\4\4\4\4"


@pytest.mark.parametrize("sequence", [1, 3, 254])
def test_a_request_out_of_sequence_is_refused(connect, sequence):
    _, line = connect()
    write = encode(bytes([sequence, Command.WRITE, 8, 0, 1, 2, 3, 4]))
    assert exchange(line, write) == [Reply(sequence, Status.BAD_SEQUENCE, False, False, b"")]
    hello(line, 255)    # so that the next one is 0
    assert exchange(line, write) == [Reply(sequence, Status.BAD_SEQUENCE, False, False, b"")]
    assert not line.writes


@pytest.mark.parametrize("command, payload", [
    (0, b""), (0, b"abc"), (1, b"\4"), (1, bytes(2 * MAX_READS + 2)), (2, bytes(5)),
    (2, bytes(7)), (3, b""), (3, bytes(8)), (3, bytes(10)), (4, b"\0"), (5, b""), (255, bytes(6))])
def test_a_command_that_does_not_exist_or_has_another_length_is_not_executed(
        connect, command, payload):
    _, line = connect()
    hello(line, 9)
    expected = [Reply(10, Status.BAD_COMMAND, False, False, b"")]
    assert exchange(line, encode(bytes([10, command]) + payload)) == expected
    assert not line.writes and not line.beats


@pytest.mark.parametrize("garbage", [
    b"\x00", bytes([ESCAPE]), bytes([ESCAPE, 0x33, 1, 2, 3, 4, 5, 6, 7]), bytes(FRAME_BYTES + 1),
    encode(b"\0\1\4\0")[:-3], encode(bytes([0, Command.WRITE, 8, 0, 1, 2, 3, 4]))[:-1] + b"\1",
    encode(b"")], ids=range(7))
def test_what_is_no_frame_is_reported_and_the_next_frame_is_taken(connect, garbage):
    _, line = connect()
    hello(line, 255)
    replies = exchange(line, garbage + encode(bytes([0, Command.READ, 4, 0])), 2)
    assert [reply.status for reply in replies] == [Status.BAD_FRAME, Status.OK]
    assert replies[1].payload == b"\4\4\4\4" and not line.writes


def test_the_longest_frame_is_taken_and_a_longer_one_is_not(connect):
    _, line = connect()
    hello(line, 255)
    fits = bytes([0, 77]) + bytes(FRAME_BYTES - 6)
    assert [reply.status for reply in exchange(line, encode(fits))] == [Status.BAD_COMMAND]
    assert [reply.status for reply in exchange(line, encode(fits + b"\0"))] == [Status.BAD_FRAME]


def test_empty_frames_mean_nothing(connect):
    _, line = connect()
    replies = exchange(line, bytes([END] * 50) + encode(bytes([3, Command.HELLO]) + b"abcd"))
    assert replies[0].payload[:4] == b"abcd"
    line.timeout = 1e-3
    assert line.read(1) == b""


def test_a_bridge_that_was_reset_is_noticed(connect, monkeypatch):
    bus, line = connect()
    bus.write(4, 1)
    hello(line, 77)    # as another program does
    with pytest.raises(BusError, match="^Bridge must be in the session of this driver, but it was "
                                       "reset, or another program uses the line: clear the "
                                       "machine, and load it again$"):
        bus.write(4, 2)
    bus.write(4, 3)    # in a session of its own
    assert line.writes == [(4, 1), (4, 3)]


@pytest.mark.parametrize("keep", [0b10, 0b01])
def test_results_with_gaps_are_refused(connect, keep):
    bus, line = connect()
    line.results.append((1, keep, keep == 0b10))
    bus.expect(8)
    with pytest.raises(BusError, match="^Beats of results must have bytes from the lowest on, and "
                                       f"all but the last of a packet eight, but TKEEP is "
                                       f"0x0{keep}$"):
        for _ in range(9):
            bus.receive()
