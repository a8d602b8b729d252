"""W3C Trace Context: what is taken from a caller, and what engines are told."""

from __future__ import annotations

import random

import pytest

from router.observe.trace_context import TraceContext, child_of, field_lines, read

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


def test_a_caller_is_understood() -> None:
    context = read(GOOD, b"vendor=1,other=2")
    assert context == TraceContext(TRACE, SPAN, 1, b"vendor=1,other=2")
    assert context.is_sampled
    unsampled = read(GOOD[:-1] + b"2", None)
    assert unsampled is not None
    assert not unsampled.is_sampled


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"garbage",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + b"-more",
        b"ff" + GOOD[2:],
        b"00-" + b"0" * 32 + b"-" + SPAN.encode() + b"-01",
        b"00-" + TRACE.encode() + b"-" + b"0" * 16 + b"-01",
        GOOD.replace(b"-", b"_"),
    ],
)
def test_what_is_not_valid_begins_no_trace(header: bytes | None) -> None:
    assert read(header, b"vendor=1") is None


def test_a_later_version_may_say_more() -> None:
    context = read(b"cc" + GOOD[2:] + b"-more-to-come", None)
    assert context is not None
    assert context.trace_id == TRACE


def test_a_tracestate_too_long_to_pass_on_is_left_out() -> None:
    context = read(GOOD, b"v=" + b"x" * 600)
    assert context is not None
    assert context.state == b""


@pytest.mark.parametrize("flags", [0, 1])
def test_the_router_joins_the_callers_trace_and_follows_its_decision(flags: int) -> None:
    caller = TraceContext(TRACE, SPAN, flags, b"vendor=1")
    child = child_of(caller, sample_frac=1.0 - flags, rng=random.Random(1))
    assert (child.trace_id, child.flags, child.state) == (TRACE, flags, b"vendor=1")
    assert child.span_id != SPAN


def test_a_new_trace_is_recorded_by_lot() -> None:
    rng = random.Random(7)
    drawn = [child_of(None, sample_frac=0.25, rng=rng) for _ in range(2000)]
    assert 400 < sum(context.is_sampled for context in drawn) < 600
    assert len({context.trace_id for context in drawn}) == 2000
    assert all(read(field_lines(context)[13:-2], None) == context for context in drawn)


def test_engines_are_told_in_field_lines() -> None:
    assert field_lines(TraceContext(TRACE, SPAN, 1)) == b"traceparent: " + GOOD + b"\r\n"
    told = field_lines(TraceContext(TRACE, SPAN, 1, b"vendor=1"))
    assert told == b"traceparent: " + GOOD + b"\r\ntracestate: vendor=1\r\n"
