"""Targets are held against the right figures, and what was not measured is not met."""

from __future__ import annotations

import pytest

from tests.bench.results import Results, Spread
from tests.bench.targets import OURS, OURS_2X4, TARGETS, Target, evaluate


def verdict_on(results: Results, target: Target) -> tuple[Spread | None, bool | None]:
    (verdict,) = evaluate(results, (target,))
    return verdict.spread, verdict.met


def test_nothing_measured_is_neither_met_nor_missed() -> None:
    assert {verdict.met for verdict in evaluate(Results())} == {None}


def test_a_plain_figure_is_held_by_its_median() -> None:
    results = Results()
    for value in (59.0, 90.0, 60.0):
        results.add(OURS, rss_mb=value)
    assert verdict_on(results, Target("", "rss_mb", 60.0, "MB")) == (Spread(60.0, 59.0, 90.0), True)
    assert verdict_on(results, Target("", "rss_mb", 59.9, "MB"))[1] is False


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that is twice as slow in one round slows both, which is no news of the ratio."""
    results = Results()
    for slow in (1.0, 2.0, 1.0):
        results.add(OURS, plain_cpu_us=30.0 * slow)
        results.add("nginx", plain_cpu_us=20.0 * slow)
    target = Target("", "plain_cpu_us", 1.5, "x", against="nginx")
    assert verdict_on(results, target) == (Spread(1.5, 1.5, 1.5), True)


def test_a_sweep_is_held_to_its_own_beginning() -> None:
    results = Results()
    results.add(OURS, flat_one_cpu_us=40.0, flat_pools_8_cpu_us=50.0)
    assert verdict_on(results, Target("", "flat_pools_8_cpu_us", 1.1, "x", base="flat_one_cpu_us")) == (
        Spread(1.25, 1.25, 1.25),
        False,
    )


def test_a_ratio_to_what_was_not_measured_is_no_ratio() -> None:
    results = Results()
    results.add(OURS, plain_cpu_us=30.0)
    assert verdict_on(results, Target("", "plain_cpu_us", 2.5, "x", against="nginx")) == (None, None)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.title)
def test_each_target_can_be_met_and_missed(target: Target) -> None:
    for factor, met in ((0.9, True), (1.1, False)):
        results = Results()
        results.add(OURS, **{target.metric: 1.0})
        base = (target.against or target.subject, target.base or target.metric)
        if base != (target.subject, target.metric):
            results.add(base[0], **{base[1]: 1.0})
        results.values.setdefault(target.subject, {})[target.metric] = [target.limit * factor + (factor - 1.0) * 1e-3]
        assert verdict_on(results, target)[1] is met


def test_titles_differ() -> None:
    assert len({target.title for target in TARGETS}) == len(TARGETS)
    assert {target.subject for target in TARGETS} == {OURS, OURS_2X4}
