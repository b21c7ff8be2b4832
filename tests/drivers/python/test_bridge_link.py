"""BridgeLink, on lines modelled in Python."""

import itertools

import pytest

from eie_driver import bridge_link
from eie_driver.bridge_link import BridgeLink
from eie_driver.bus import BusError
from eie_hdl.frames import Command, Decoder, Status, encode, hello_payload


class Model:
    """Line to a bridge that answers each request with its number of executions."""

    timeout = 0

    def __init__(self):
        self.requests, self.answer = [], lambda frame: [self.execute(frame)]
        self._decoder, self._received = Decoder(), bytearray()

    def execute(self, body):
        payload = body[2:] + hello_payload() if body[1] == Command.HELLO else b""
        return encode(bytes([body[0], Status.OK]) + payload)

    def write(self, data):
        for body in self._decoder.feed(data):
            self.requests.append(body)
            self._received += b"".join(self.answer(body))

    @property
    def in_waiting(self):
        return len(self._received)

    def read(self, size):
        data = bytes(self._received[:size])
        del self._received[:size]
        return data


@pytest.fixture
def line():
    return Model()


def link(line):
    return BridgeLink(line, byte_time=0, patience=0.001, attempts=4)


def commands(line):
    return [(body[0] - line.requests[0][0]) % 256 * 10 + body[1] for body in line.requests]


def test_a_session_begins_once_and_requests_are_numbered(line):
    bridge = link(line)
    for _ in range(300):
        assert bridge.request(Command.READ).payload == b""
    assert [body[1] for body in line.requests] == [Command.HELLO, *[Command.READ] * 300]
    assert all((after[0] - before[0]) % 256 == 1
               for before, after in itertools.pairwise(line.requests))
    assert bridge.repeats == 0


@pytest.mark.parametrize("noise", [
    [], [b"\0"], [encode(b"\1\2\3")[:-2] + b"\xc0"], [encode(b"\7\1")]],
    ids=["lost", "garbage", "damaged", "reported"])
def test_a_request_without_a_reply_is_sent_again_as_it_was(line, noise):
    bridge = link(line)
    bridge.request(Command.READ)
    line.answer = lambda body: noise if len(line.requests) < 5 else [line.execute(body)]
    bridge.request(Command.WRITE, b"123456")
    first, *others = line.requests[2:]
    assert others == [first] * 2
    assert bridge.repeats == 2


def test_noise_that_ends_many_frames_repeats_a_request_once(line):
    bridge = link(line)
    bridge.request(Command.READ)
    line.answer = lambda body: ([b"\0\xc0" * 9, encode(b"\7\1") * 9] if len(line.requests) < 4
                                else [line.execute(body)])
    bridge.request(Command.READ)
    assert bridge.repeats == 1


def test_replies_to_earlier_requests_are_ignored(line):
    bridge = link(line)
    bridge.request(Command.READ)
    old = line.execute(line.requests[-1])
    line.answer = lambda body: [old, old, line.execute(body)]
    assert bridge.request(Command.READ).sequence == line.requests[-1][0]
    assert bridge.repeats == 0


def test_a_dead_line_is_reported_after_the_attempts(line):
    line.answer = lambda body: []
    with pytest.raises(BusError, match="^Bridge must reply, but has not after 4 attempts of 0.001 "
                                       "s: check the port, the baud rate and the bitstream$"):
        link(line).request(Command.READ)
    assert len(line.requests) == 4


def test_a_line_that_is_unplugged_is_reported(line, monkeypatch):
    bridge = link(line)
    bridge.request(Command.READ)
    monkeypatch.setattr(line, "read", lambda size: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(BusError, match="^Line must stay connected, but: gone$"):
        bridge.request(Command.READ)


def test_another_protocol_is_refused(line):
    line.answer = lambda body: [encode(bytes([body[0], 0]) + body[2:] + b"\x09\0\4")]
    with pytest.raises(BusError, match="^Bridge must use the protocol 010004, not 090004: use the "
                                       "software version of the hardware$"):
        link(line).request(Command.READ)


def test_a_reply_that_names_no_protocol_is_refused(line):
    line.answer = lambda body: [encode(bytes([body[0], 0x40]) + body[2:])]
    with pytest.raises(BusError, match="^Bridge must use the protocol 010004, not none: "):
        link(line).request(Command.READ)


@pytest.mark.parametrize("in_session", [False, True])
def test_a_line_that_returns_requests_is_reported_at_once(line, in_session):
    bridge = link(line)
    if in_session:
        bridge.request(Command.READ)
    line.answer = lambda body: [encode(body)]
    with pytest.raises(BusError, match="^Line must lead to a bridge, but returns the request "
                                       "itself: TX and RX are joined; connect each to the other of "
                                       "the machine$"):
        bridge.request(Command.WRITE, b"123456")
    assert bridge.repeats == 0


def test_a_damaged_read_whose_report_has_its_own_bytes_is_sent_again(line):
    bridge = link(line)
    bridge.request(Command.READ)
    line.answer = lambda body: [encode(bytes([body[0], Status.BAD_FRAME]))
                                if len(line.requests) < 4 else line.execute(body)]
    assert bridge.request(Command.READ).status == Status.OK
    assert line.requests[2] == bytes([line.requests[2][0], Status.BAD_FRAME])
    assert bridge.repeats == 1


def test_a_status_that_is_not_known_is_refused(line):
    bridge = link(line)
    bridge.request(Command.READ)
    line.answer = lambda body: [encode(bytes([body[0], 5]))]
    with pytest.raises(BusError, match="^Bridge must execute READ, but answers with status 5: use "
                                       "the software version of the hardware$"):
        bridge.request(Command.READ)


def test_after_an_interruption_a_new_session_begins(line, monkeypatch):
    bridge = link(line)
    bridge.request(Command.READ)

    def interrupted(data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(line, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bridge.request(Command.WRITE, b"123456")
    bridge.request(Command.READ)
    assert [body[1] for body in line.requests] == [Command.HELLO, Command.READ] * 2


def test_a_new_session_takes_no_reply_to_another(line, monkeypatch):
    """Even if the sequence number is the same by chance."""
    nonces = iter([b"\5abc", b"\5def"])
    monkeypatch.setattr(bridge_link.os, "urandom", lambda size: next(nonces))
    link(line).request(Command.READ)
    old = line.execute(line.requests[0])
    line.answer = lambda body: [old, line.execute(body)]
    link(line).request(Command.READ)
    assert [body[1] for body in line.requests] == [Command.HELLO, Command.READ] * 2
