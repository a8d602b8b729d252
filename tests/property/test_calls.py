"""Laws of the book of calls: what a stranger sends can lower the limit within bounds, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import CallRefused
from controller.grid.site_limit import site_limit
from controller.model.call import Asked, Call, CallInterval, Commitment
from controller.model.grid import FOREVER_S, limit_at
from controller.model.programme import Programme
from controller.signals.calls import CallBook
from controller.signals.collect import Collector, Sources
from controller.signals.feeds import ConstantFeed
from controller.signals.power.ladder import LadderRules
from controller.signals.power.reader import PowerSources
from controller.signals.present import Present
from controller.signals.references import References
from tests.fakes.controller_parts import NOW_S, ListRecorder, instance, observation, site
from tests.fakes.fixed_source import Fixed

TERMS = {
    "dr": Programme(
        "dr",
        least_w=1000.0,
        most_w=1e6,
        changes_per_min=10_000,
        default_limit_w=5000.0,
        levels=((1, Commitment(Asked.BELOW_BASELINE_FRAC, 0.1)), (2, Commitment(Asked.AT_MOST_W, 8000.0))),
    )
}
TIMES_S = range(0, 3600, 60)

commitments = st.one_of(
    st.floats(1000.0, 30_000.0).map(lambda w: Commitment(Asked.AT_MOST_W, w)),
    st.floats(0.0, 30_000.0).map(lambda w: Commitment(Asked.BELOW_BASELINE_W, w)),
    st.floats(0.0, 1.0).map(lambda share: Commitment(Asked.BELOW_BASELINE_FRAC, share)),
    st.floats(0.0, 30_000.0).map(lambda w: Commitment(Asked.BELOW_PRESENT_W, w)),
    st.integers(0, 3).map(lambda level: Commitment(Asked.LEVEL, level)),
    st.just(Commitment(Asked.NOTHING)),
)


@st.composite
def some_calls(draw, names="abcdef", least=0):
    made = []
    for name in draw(st.lists(st.sampled_from(names), unique=True, min_size=least)):
        at_s, intervals = NOW_S + draw(st.integers(-600, 1200)), []
        for _ in range(draw(st.integers(1, 3))):
            end_s = at_s + draw(st.integers(601, 1200))
            intervals.append(CallInterval(at_s, end_s, draw(commitments)))
            at_s = end_s + draw(st.sampled_from([0, 60]))
        made.append(Call(name, draw(st.sampled_from(["x", "y"])), "dr", NOW_S, NOW_S, tuple(intervals)))
    return made


def book_of(calls=()):
    references = References()
    references.take(NOW_S - 1, 20_000.0)
    book = CallBook(ListRecorder(), TERMS, references, draws=random.Random(1))
    for call in calls:
        book.submit(call, NOW_S)
    return book


def limits(book):
    course = site_limit(book.current(NOW_S), None, NOW_S, NOW_S + 7200)
    return [course.at(NOW_S + t).limit_w for t in TIMES_S]


def lowered(before, after):
    return all(old is None or (new is not None and new <= old) for old, new in zip(before, after, strict=True))


@given(some_calls(), some_calls("uvw", least=1))
def test_one_more_call_never_raises_the_limit(calls, more):
    assert lowered(limits(book_of(calls)), limits(book_of(calls + more)))


@given(some_calls(least=2), st.data())
def test_opting_out_of_one_never_touches_another(calls, data):
    book = book_of(calls)
    out = data.draw(st.sampled_from(calls))
    before = {(e.source, e.event_id): e for e in book.current(NOW_S)}
    book.opt_out(out.source, out.call_id, "a test", NOW_S)
    mine = {key for key in before if key[1].split("#")[0] == f"{out.source}/{out.call_id}"}
    assert {(e.source, e.event_id): e for e in book.current(NOW_S)} == {
        key: event for key, event in before.items() if key not in mine
    }
    book.opt_in(out.source, out.call_id, NOW_S)
    assert {(e.source, e.event_id): e for e in book.current(NOW_S)} == before


@given(some_calls(least=1), st.data(), st.floats(1000.0, 30_000.0))
def test_following_one_in_part_raises_its_own_limits_to_the_floor_and_no_other(calls, data, floor_w):
    book = book_of(calls)
    part = data.draw(st.sampled_from(calls))
    before = {(e.source, e.event_id): e for e in book.current(NOW_S)}
    book.follow_in_part(part.source, part.call_id, floor_w, "a test", NOW_S)
    own = {key for key in before if key[1].split("#")[0] == f"{part.source}/{part.call_id}"}
    after = {(e.source, e.event_id): e for e in book.current(NOW_S)}
    assert set(after) == set(before)
    for key, event in after.items():
        old = before[key]
        assert event.limit_w == (max(old.limit_w, floor_w) if key in own else old.limit_w)
        assert event.due_w == old.limit_w, "what is owed stays"
    book.opt_in(part.source, part.call_id, NOW_S)
    assert {(e.source, e.event_id): e for e in book.current(NOW_S)} == before


@given(st.permutations([("a", n) for n in range(4)] * 2 + [("b", n) for n in range(4)]), st.sets(st.integers(0, 3)))
def test_in_whatever_order_messages_come_the_newest_of_each_call_holds(messages, cancelling):
    """Replayed, reordered, and mixed with cancellations: those of version n are in `cancelling`."""
    book = book_of()
    for name, version in messages:
        modified_s = NOW_S + version
        if name == "a" and version in cancelling:
            book.cancel("x", name, NOW_S + 10, modified_s=modified_s)
            continue
        asked = CallInterval(NOW_S, NOW_S + 3600, Commitment(Asked.AT_MOST_W, 2000.0 + version))
        with contextlib.suppress(CallRefused):
            book.submit(Call(name, "x", "dr", NOW_S, modified_s, (asked,)), NOW_S + 10)
    held = {event.event_id: event.limit_w for event in book.current(NOW_S + 10)}
    assert held == {"x/b": 2003.0} | ({} if 3 in cancelling else {"x/a": 2003.0})


numbers = st.floats() | st.sampled_from([0.0, -1.0, 1e300])
near_s = st.sampled_from([NOW_S, NOW_S - 700, NOW_S + 60, NOW_S + 1e5, FOREVER_S]) | numbers
names = st.sampled_from(["", "line\nbreak"]) | st.text(max_size=200)
RIGHT = {
    "call_id": "c", "source": "x", "programme": "dr", "modified_s": NOW_S, "start_s": NOW_S, "end_s": NOW_S + 600,
    "value": 5000.0, "ramp_s": None, "randomize_s": 0.0,
}  # fmt: skip
wrong = st.fixed_dictionaries(
    {},
    optional={
        "call_id": names, "source": names, "programme": st.just("typo"), "modified_s": near_s, "start_s": near_s,
        "end_s": near_s, "value": st.sampled_from([0.0, 999.0, 1e6, 1e7]) | numbers, "ramp_s": numbers,
        "randomize_s": numbers,
    },
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(wrong, max_size=10))
def test_whatever_is_sent_is_followed_within_bounds_or_refused(changes):
    book = book_of()
    for n, change in enumerate(changes):
        told = {**RIGHT, "call_id": f"c{n}", **change}
        start_s, end_s, value = (told.pop(key) for key in ("start_s", "end_s", "value"))
        with contextlib.suppress(ValueError, CallRefused):
            asked = CallInterval(start_s, end_s, Commitment(Asked.AT_MOST_W, value))
            book.submit(Call(received_s=NOW_S, intervals=(asked,), **told), NOW_S)
    for event in book.current(NOW_S):
        assert TERMS["dr"].least_w <= event.limit_w <= TERMS["dr"].most_w
        assert 0.0 <= event.ramp_s <= 86_400.0
        assert math.isfinite(event.start_s)
        assert event.start_s < event.end_s <= FOREVER_S


@settings(max_examples=25)
@given(some_calls(least=1), st.floats(-1e4, 1e5), st.floats(0.0, 2000.0))
def test_no_price_relaxes_a_limit(calls, price, carbon):
    """What the planner is told of limits is the same at every price: it goes by `limit_at` of these events."""

    def told(price_usd_per_mwh, carbon_kg_per_mwh):
        sources = Sources(
            power=PowerSources((), rules=LadderRules(stale_s=10.0)),
            engines=Fixed((instance("bf16-0"),)),
            routers=Fixed(observation().router),
            price_usd_per_mwh=ConstantFeed(price_usd_per_mwh, "usd_per_mwh"),
            carbon_kg_per_mwh=ConstantFeed(carbon_kg_per_mwh, "kg_per_mwh"),
            calls=book_of(calls),
        )
        seen = asyncio.run(Collector(Present(site()), sources).read(NOW_S))
        return [limit_at(seen.events, 25_000.0, NOW_S + t) for t in TIMES_S]

    assert told(price, carbon) == told(0.0, 0.0)


@given(some_calls(), st.integers(0, 3600))
def test_silence_of_a_source_never_raises_a_limit(calls, silent_s):
    calls = [dataclasses.replace(call, source="x") for call in calls]
    heard, silent = book_of(calls), book_of(calls)
    for book in (heard, silent):
        book.watch("x", ("dr",), NOW_S)
        book.current(NOW_S)
    heard.heard("x", NOW_S + silent_s)
    at_s = NOW_S + silent_s
    courses = [site_limit(book.current(at_s), None, at_s, at_s + 7200) for book in (heard, silent)]
    old, new = ([course.at(at_s + t).limit_w for t in TIMES_S] for course in courses)
    assert lowered(old, new)
