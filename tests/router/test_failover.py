"""Which failures are tried elsewhere, and how many at most."""

from __future__ import annotations

import pytest

from router.exchange import Outcome
from router.failover import UNREACHED, WINDOW_S, RetryBudget
from router.settings import RetrySettings

NOW_S = 1_800_000_000.0


def budget(**settings: float) -> RetryBudget:
    return RetryBudget(RetrySettings.model_validate(settings))


def spend(retries: RetryBudget, now_s: float = NOW_S, tries: int = 10_000) -> int:
    return sum(tried_again(retries, Outcome.ENGINE_BUSY, now_s) for _ in range(tries))


def tried_again(retries: RetryBudget, outcome: Outcome, now_s: float = NOW_S) -> bool:
    allowed = retries.may_retry(outcome, 1, now_s)
    if allowed:
        retries.spend(outcome)
    return allowed


@pytest.mark.parametrize(
    "outcome", [Outcome.ENGINE_BUSY, Outcome.ENGINE_ERROR, Outcome.CONNECT_FAILED, Outcome.RESET, Outcome.TIMED_OUT]
)
def test_failures_of_an_engine_are_tried_elsewhere(outcome: Outcome) -> None:
    assert budget().may_retry(outcome, 1, NOW_S)


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.CLIENT_ERROR, Outcome.CLIENT_GONE])
def test_a_clients_own_error_is_never_tried_again(outcome: Outcome) -> None:
    assert not budget().may_retry(outcome, 1, NOW_S)


def test_instances_without_a_connection_do_not_count_as_attempts_and_are_bounded() -> None:
    retries = budget(max_attempts=1)
    assert retries.may_retry(Outcome.CONNECT_FAILED, 0, NOW_S, unreached=UNREACHED - 1)
    assert not retries.may_retry(Outcome.CONNECT_FAILED, 0, NOW_S, unreached=UNREACHED)
    assert not retries.may_retry(Outcome.CONNECT_FAILED, 1, NOW_S, unreached=1), "it was sent once before"


def test_attempts_are_bounded() -> None:
    retries = budget(max_attempts=3)
    assert [retries.may_retry(Outcome.RESET, attempts, NOW_S) for attempts in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]


def test_retries_follow_the_recent_requests() -> None:
    retries = budget(budget_frac=0.2, budget_min_per_s=0)
    retries.new_requests += 1000
    assert spend(retries) == 200


def test_a_quiet_router_can_still_fail_over() -> None:
    assert spend(budget(budget_frac=0.2, budget_min_per_s=5)) == 5 * WINDOW_S


def test_no_budget_means_no_retries_of_overload() -> None:
    assert spend(budget(budget_frac=0, budget_min_per_s=0)) == 0


def test_spent_budget_returns_with_time_and_old_requests_give_none() -> None:
    retries = budget(budget_frac=0.2, budget_min_per_s=1)
    assert spend(retries) == 10
    assert spend(retries) == 0
    assert 8 <= spend(retries, NOW_S + 3 * WINDOW_S) <= 10
    retries.new_requests += 1000
    retries.fold(NOW_S + 4 * WINDOW_S)
    assert spend(retries, NOW_S + 20 * WINDOW_S) <= 10


def test_a_steady_stream_of_failures_is_retried_at_the_configured_share() -> None:
    retries = budget(budget_frac=0.2, budget_min_per_s=0)
    granted = 0
    for number in range(20_000):  # 100 requests a second, every one of them fails once
        now_s = NOW_S + number / 100
        retries.new_requests += 1
        granted += tried_again(retries, Outcome.ENGINE_BUSY, now_s)
    assert granted / 20_000 == pytest.approx(0.2, abs=0.02)


def test_the_death_of_an_instance_loses_none_of_its_requests() -> None:
    retries = budget(budget_frac=0, budget_min_per_s=0)
    assert all(tried_again(retries, Outcome.RESET) for _ in range(500))
    assert all(tried_again(retries, Outcome.CONNECT_FAILED) for _ in range(500))
    assert not retries.may_retry(Outcome.ENGINE_BUSY, 1, NOW_S)
    retries = budget(budget_frac=0, budget_min_per_s=0.1)
    assert all(tried_again(retries, Outcome.RESET) for _ in range(500))
    assert retries.may_retry(Outcome.ENGINE_BUSY, 1, NOW_S), "they cost no budget"


def test_being_asked_costs_nothing() -> None:
    retries = budget(budget_frac=0, budget_min_per_s=0.1)
    assert all(retries.may_retry(Outcome.ENGINE_BUSY, 1, NOW_S) for _ in range(100))


def test_a_clock_set_back_does_no_harm() -> None:
    retries = budget(budget_frac=0.2, budget_min_per_s=1)
    spend(retries)
    assert spend(retries, NOW_S - 3600) <= 10
