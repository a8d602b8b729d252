import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import SignalError
from controller.signals.sntp_message import SIZE, question, read_answer

COOKIE = 0x1234567890ABCDEF
TO_1900_S = 2_208_988_800


def stamp(unix_s):
    whole = int(unix_s // 1)
    return ((whole + TO_1900_S) % 2**32) << 32 | int((unix_s - whole) * 2**32)


def answer(heard_s, told_s, *, first=0x24, stratum=2, cookie=COOKIE, delay=0, dispersion=0, what=b"GPS\0"):
    told = 0 if told_s is None else stamp(told_s)
    return struct.pack(
        "!BBbbII4sQQQQ", first, stratum, 6, -20, delay, dispersion, what, 0, cookie, stamp(heard_s), told
    )


def test_a_question_is_of_version_four_and_tells_nothing_of_this_clock():
    assert len(question(COOKIE)) == SIZE
    assert question(COOKIE)[0] == 0x23
    assert question(COOKIE)[1:40] == bytes(39)
    assert question(COOKIE)[40:] == COOKIE.to_bytes(8, "big")


def test_an_offset_is_of_the_middle_of_the_way_with_half_of_the_way_as_its_bound():
    now_s = 1_700_000_000.0
    body = answer(now_s + 10.05, now_s + 10.06, delay=6554, dispersion=655)  # 0.1 s and 0.01 s
    told = read_answer(body, "s", COOKIE, now_s, now_s + 0.11)
    assert told.offset_s == pytest.approx(-10.0, abs=1e-6)
    assert told.bound_s == pytest.approx(0.05 + 0.05 + 0.01, abs=1e-4)
    assert told.stratum == 2


def test_the_second_era_of_the_protocol_is_read_by_the_clock_that_is_near():
    now_s = 2_200_000_000.0  # 2039
    assert read_answer(answer(now_s, now_s), "s", COOKIE, now_s, now_s).offset_s == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"short", "fewer than 48"),
        (answer(0.0, 0.0, cookie=COOKIE + 1), "another question"),
        (answer(0.0, 0.0, first=0x23), "another question"),
        (answer(0.0, 0.0, stratum=0, what=b"RATE"), "RATE"),
        (answer(0.0, 0.0, first=0xE4), "not synchronised"),
        (answer(0.0, 0.0, stratum=16), "not synchronised"),
        (answer(0.0, None), "not synchronised"),
        (answer(0.0, 0.0, dispersion=40 << 16), "off by up to 40 s"),
    ],
)
def test_what_is_no_answer_is_refused(body, reason):
    with pytest.raises(SignalError, match=reason):
        read_answer(body, "s", COOKIE, 0.0, 0.0)


@given(st.binary(max_size=100), st.integers(0, 2**64 - 1))
def test_any_bytes_are_an_answer_or_refused(body, cookie):
    try:
        told = read_answer(body, "s", cookie, 1.7e9, 1.7e9 + 0.1)
    except SignalError:
        return
    assert told.bound_s >= 0
