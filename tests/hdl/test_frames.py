"""Frames of the serial bridge, with eie_hdl.frames."""

import random
import re
import zlib
from pathlib import Path

import pytest

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


def test_a_frame_is_as_documented():
    body = bytes([7, Command.READ, END, ESCAPE])
    crc = zlib.crc32(body).to_bytes(4, "little")
    assert not {END, ESCAPE} & {*crc}
    assert encode(body) == bytes([END, 7, 1, ESCAPE, 0xDC, ESCAPE, 0xDD]) + crc + bytes([END])


@pytest.mark.parametrize("kind", [Command, Status])
def test_the_page_has_every_number(kind):
    page = (Path(__file__).parents[2] / "docs" / "board.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) `(\w+)` \|", page, flags=re.MULTILINE)
    assert {(int(number), name) for number, name in rows} >= {
        (member.value, member.name) for member in kind}
    assert len(rows) == len(Command) + len(Status)


def test_every_command_fits_into_a_frame():
    assert 6 + 4 * MAX_READS <= FRAME_BYTES < 6 + 4 * (MAX_READS + 1)
    assert 6 + 2 + 8 * MAX_BEATS <= FRAME_BYTES < 6 + 2 + 8 * (MAX_BEATS + 1)


def test_frames_are_decoded_in_any_pieces():
    rng = random.Random(3)
    bodies = [bytes(rng.choices([0, END, ESCAPE, 0xDC, 0xDD, 255], k=rng.randint(2, 60)))
              for _ in range(100)]
    line = b"".join(map(encode, bodies))
    decoder, found = Decoder(), []
    while line:
        size = rng.randint(1, 100)
        found += decoder.feed(line[:size])
        line = line[size:]
    assert found == bodies


@pytest.mark.parametrize("seed", range(3))
def test_damage_loses_frames_and_never_makes_one(seed):
    rng = random.Random(seed)
    bodies = [rng.randbytes(rng.randint(2, 40)) for _ in range(100)]
    line = bytearray(b"".join(map(encode, bodies)))
    for _ in range(40):
        place = rng.randrange(len(line))
        line[place:place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    found = [body for body in Decoder().feed(bytes(line)) if body is not None]
    assert 50 < len(found) < 100
    remaining = iter(bodies)
    assert all(body in remaining for body in found)    # in order


@pytest.mark.parametrize("noise", [
    b"\0", bytes([ESCAPE]), bytes([ESCAPE, 1]) + bytes(9), bytes(5), bytes(3 * FRAME_BYTES)],
    ids=range(5))
def test_noise_ends_with_the_next_delimiter(noise):
    assert Decoder().feed(noise + encode(b"ab")) == [None, b"ab"]


def test_a_frame_of_the_greatest_length_is_taken_and_a_longer_one_is_not():
    longest = bytes([END]) * (FRAME_BYTES - 4)    # stuffed to twice its length
    assert Decoder().feed(encode(longest) + encode(longest + b"\0")) == [longest, None]


def test_a_reply_carries_status_and_signals():
    assert Reply.of(b"\x05\x84xyz") == Reply(5, Status.REFUSED, False, True, b"xyz")
    assert Reply.of(b"\x05\x40") == Reply(5, Status.OK, True, False, b"")
