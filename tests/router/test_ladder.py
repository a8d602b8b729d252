"""Fresh table, last good table, static weights: and back again."""

from __future__ import annotations

import pytest

from router.contract import EventNotice, EventState
from router.ladder import MAX_RETRY_AFTER_S, Ladder, TableState
from router.settings import TableSettings
from tests.fakes.routing import NOW_S, table

WEIGHTS = {"standard": {"bf16": 1.0}}


def ladder(**settings: float) -> Ladder:
    return Ladder(TableSettings.model_validate({"poll_interval_s": 1.0, **settings}))


def test_without_a_table_the_static_weights_hold() -> None:
    some = ladder()
    assert some.state(NOW_S) is TableState.STATIC
    assert not some.drop_expired(NOW_S + 1e9)


def test_the_rungs_in_order() -> None:
    some = ladder()
    assert some.offer(table(WEIGHTS, ttl_s=30), NOW_S)
    assert some.state(NOW_S + 3) is TableState.FRESH
    assert some.state(NOW_S + 3.1) is TableState.LAST_GOOD
    assert some.state(NOW_S + 29.9) is TableState.LAST_GOOD
    assert some.state(NOW_S + 30) is TableState.STATIC
    assert not some.drop_expired(NOW_S + 29.9)
    assert some.drop_expired(NOW_S + 30)
    assert some.table is None
    assert not some.drop_expired(NOW_S + 31)


def test_a_confirmed_table_stays_fresh_but_lives_no_longer() -> None:
    some = ladder()
    same = table(WEIGHTS, ttl_s=30)
    some.offer(same, NOW_S)
    assert not some.offer(same, NOW_S + 20)
    assert not some.offer(table(WEIGHTS, ttl_s=30), NOW_S + 20)
    assert some.state(NOW_S + 22) is TableState.FRESH
    assert some.state(NOW_S + 30) is TableState.STATIC
    assert not some.refused


@pytest.mark.parametrize("ahead_s", [7200.0, -7200.0])
def test_a_table_of_another_clock_lives_as_long_as_its_issuer_says(ahead_s: float) -> None:
    some = ladder()
    event = EventNotice("evening", EventState.ACTIVE, NOW_S - ahead_s + 120)
    told = table(WEIGHTS, ttl_s=30, issued_at_s=NOW_S - ahead_s, event=event)
    assert some.offer(told, NOW_S, ahead_s)
    assert some.limit_left_s(NOW_S) == pytest.approx(120)
    assert not some.offer(told, NOW_S + 10, ahead_s)
    assert some.state(NOW_S + 29.9) is not TableState.STATIC
    assert some.drop_expired(NOW_S + 30.1)
    assert not some.offer(told, NOW_S + 31, ahead_s)
    assert some.refused == {"expired": 1}


def test_a_table_goes_on_where_one_of_the_two_clocks_is_set() -> None:
    some = ladder()
    told = table(WEIGHTS, ttl_s=30)
    some.offer(told, NOW_S)
    assert not some.offer(told, NOW_S + 1, ahead_s=5.0)
    assert some.expires_at_s == NOW_S + 35
    assert not some.refused


def test_a_newer_table_takes_over() -> None:
    some = ladder()
    some.offer(table(WEIGHTS, sequence=1), NOW_S)
    newer = table(WEIGHTS, sequence=5)
    assert some.offer(newer, NOW_S + 1)
    assert some.table is newer


def test_an_older_table_of_the_same_issuer_is_refused_and_counted() -> None:
    some = ladder()
    current = table(WEIGHTS, sequence=5)
    some.offer(current, NOW_S)
    assert not some.offer(table(WEIGHTS, sequence=4, ttl_s=300), NOW_S + 1)
    assert some.table is current
    assert some.refused == {"older": 1}


def test_an_older_table_does_not_count_as_a_sign_of_life() -> None:
    some = ladder()
    some.offer(table(WEIGHTS, sequence=5), NOW_S)
    some.offer(table(WEIGHTS, sequence=4), NOW_S + 10)
    assert some.state(NOW_S + 10) is TableState.LAST_GOOD


def test_another_issuer_starts_its_own_count() -> None:
    some = ladder()
    some.offer(table(WEIGHTS, sequence=500, issuer="a"), NOW_S)
    assert some.offer(table(WEIGHTS, sequence=1, issuer="b"), NOW_S + 1)


def test_an_issuer_that_lost_its_count_is_heard_again_once_its_table_has_expired() -> None:
    some = ladder()
    some.offer(table(WEIGHTS, sequence=500, ttl_s=30), NOW_S)
    late = table(WEIGHTS, sequence=1, issued_at_s=NOW_S + 31)
    assert some.offer(late, NOW_S + 31)
    assert some.table is late


def test_a_table_altered_under_the_same_sequence_is_refused() -> None:
    some = ladder()
    some.offer(table(WEIGHTS, sequence=5), NOW_S)
    assert not some.offer(table({"standard": {"fp8": 1.0}}, sequence=5), NOW_S + 1)
    assert some.refused == {"altered": 1}


def test_an_expired_table_is_refused() -> None:
    some = ladder()
    assert not some.offer(table(WEIGHTS, ttl_s=30), NOW_S + 30)
    assert some.state(NOW_S + 30) is TableState.STATIC
    assert some.refused == {"expired": 1}


def test_an_expired_table_does_not_end_a_valid_one() -> None:
    some = ladder()
    good = table(WEIGHTS, sequence=1, ttl_s=30)
    some.offer(good, NOW_S)
    some.offer(table(WEIGHTS, sequence=2, issued_at_s=NOW_S - 60, ttl_s=30), NOW_S)
    assert some.table is good


def test_a_table_that_claims_to_live_long_is_cut() -> None:
    some = ladder(max_ttl_s=60)
    some.offer(table(WEIGHTS, ttl_s=1e6), NOW_S)
    assert some.expires_at_s == NOW_S + 60
    assert some.drop_expired(NOW_S + 60)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (None, 5.0),
        (EventNotice("e", EventState.ACTIVE, NOW_S + 90), 90.0),
        (EventNotice("e", EventState.ACTIVE, NOW_S + 1), 5.0),
        (EventNotice("e", EventState.ACTIVE, NOW_S - 1), 5.0),
        (EventNotice("e", EventState.ACTIVE, NOW_S + 1e6), MAX_RETRY_AFTER_S),
        (EventNotice("e", EventState.PENDING, NOW_S + 90), 5.0),
    ],
)
def test_refused_clients_are_told_the_events_end(event: EventNotice | None, expected: float) -> None:
    some = ladder()
    some.offer(table(WEIGHTS, event=event), NOW_S)
    assert some.retry_after_s(NOW_S, 5.0) == expected
    left_s = some.limit_left_s(NOW_S)
    assert (left_s is None) is (event is None or event.state is EventState.PENDING or event.ends_at_s < NOW_S)
    assert left_s is None or left_s == min(event.ends_at_s - NOW_S, MAX_RETRY_AFTER_S)  # type: ignore[union-attr]


def test_without_a_table_the_default_is_told() -> None:
    assert ladder().retry_after_s(NOW_S, 5.0) == 5.0
