"""The sequential test: its bound on false alarms, how fast it is, and the interval told."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.quality.answers import Comparison
from controller.quality.evidence import DAY_S, Rule, Tally, share, weighed

RULE = Rule()
SAME, OTHER = Comparison(True, None, None), Comparison(False, 3, 0.5)


@given(
    evidence=st.floats(0, 1e12),
    agreement=st.floats(0, 1),
    floor=st.floats(0.05, 0.99),
)
def test_a_sound_pool_gathers_at_most_one_a_canary_on_average(evidence: float, agreement: float, floor: float) -> None:
    sound = max(agreement, floor)
    up = weighed(evidence, RULE, agrees=False, floor_frac=floor)
    down = weighed(evidence, RULE, agrees=True, floor_frac=floor)
    assert sound * down + (1 - sound) * up <= (evidence + 1) * (1 + 1e-9)


def test_nonsense_is_found_within_twenty_canaries() -> None:
    assert RULE.canaries_to_alarm(1.0) <= 20


@pytest.mark.parametrize("agreement", [0.9, 0.8])
def test_simulated_sound_pools_keep_the_bound_at_an_alarm_a_million_times_likelier(agreement: float) -> None:
    # At 10^-6 a day nothing would ever be seen; the same law at one in ten over 2,000 canaries can be counted.
    canaries, runs, allowed = 2000, 300, 0.1
    alarm_at = canaries / allowed
    rng, alarms = Random(5), 0
    for _ in range(runs):
        evidence = 0.0
        for _ in range(canaries):
            evidence = weighed(evidence, RULE, agrees=rng.random() < agreement, floor_frac=RULE.least_agreement_frac)
            if evidence >= alarm_at:
                alarms += 1
                break
    assert alarms / runs <= allowed + 3 * math.sqrt(allowed * (1 - allowed) / runs)
    if agreement == 0.8:
        assert alarms > 0  # the bound is no empty one


def test_a_pool_at_ninety_per_cent_is_far_from_an_alarm_in_two_days() -> None:
    rng, worst, evidence = Random(1), 0.0, 0.0
    for _ in range(2 * int(DAY_S)):
        evidence = weighed(evidence, RULE, agrees=rng.random() < 0.9, floor_frac=RULE.least_agreement_frac)
        worst = max(worst, evidence)
    assert worst < RULE.alarm_at(1.0) / 1000


def test_the_alarm_moves_with_the_pace_and_the_bound() -> None:
    assert RULE.alarm_at(1.0) == pytest.approx(4 * DAY_S / 1e-6)
    assert Rule(false_alarms_per_day=1e-3).canaries_to_alarm(1.0) < RULE.canaries_to_alarm(1.0)


def test_the_interval_is_wilsons() -> None:
    # Brown, Cai and DasGupta 2001 and any table: 90 of 100 give 0.826..0.945.
    counted = share(90, 100)
    assert counted.frac == 0.9
    assert (counted.low_frac, counted.high_frac) == (pytest.approx(0.8256, abs=1e-4), pytest.approx(0.9448, abs=1e-4))
    assert share(0, 0) == share(0, 0).__class__(None, 0.0, 1.0, 0)
    assert share(20, 20).high_frac == pytest.approx(1.0)


def test_a_reference_that_differs_from_itself_lowers_what_is_asked_of_others() -> None:
    tally = Tally()
    assert tally.floor_frac(RULE) == pytest.approx(0.8)
    for n in range(400):
        tally.add(SAME if n % 10 else OTHER)
    assert tally.floor_frac(RULE) == pytest.approx(0.8 * (360 + 20) / 420)
    assert tally.mean_parted_at == 3
    assert tally.mean_logprob_gap == 0.5
