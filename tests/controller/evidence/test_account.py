import pytest

from controller.evidence.account import SettledFold, mean_of
from controller.evidence.read import read_event
from controller.evidence.series import Sample
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod
from controller.settlement.baseline_profile import Baseline, BaselineInterval
from tests.fakes.played_event import BASELINE_W, LENGTH_S, LIMIT_W, PROGRAMME, START_S, Player, event, flowing, played


def settled(events, samples, programme, baseline, now_s):
    fold = SettledFold(events, programme, baseline, now_s)
    for sample in samples:
        fold.take(sample)
    return fold.settled()


def account_of(path, now_s=START_S + 9000):
    evidence = read_event(path, "evening")
    return settled(evidence.events, flowing(path, "evening", Sample), evidence.programme, evidence.baseline, now_s)


def test_an_event_is_settled_by_its_own_terms(tmp_path):
    (part,) = account_of(played(tmp_path))
    settlement, response = part.account.settlement, part.account.response
    assert settlement.baseline_w == BASELINE_W
    assert [round(each.mean_w) for each in settlement.intervals][1:] == [3900] * (len(settlement.intervals) - 1)
    assert settlement.intervals_over_limit == 0
    assert settlement.intervals[3].delivered_w == pytest.approx(1100.0)
    assert settlement.intervals[3].quality is Quality.EMULATED
    assert part.account.performance.factor > 1.0
    assert part.account.performance.revenue_usd == pytest.approx(500.0 * 1e-3 * 570 / 3600, rel=0.01)
    assert response.time_to_100pct_s == 22.0
    assert response.rebound_w == pytest.approx(400.0)


def test_one_under_way_is_settled_as_far_as_it_has_gone(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 200, event())
    player.close()
    (part,) = account_of(player.path, START_S + 200)
    assert part.until_s == START_S + 200
    assert part.account.settlement.intervals[-1].end_s == START_S + 200


@pytest.mark.parametrize(
    ("changes", "now_s", "reason"),
    [
        ({}, START_S - 1, "it has not begun"),
        ({"baseline_w": None}, START_S + 600, "no baseline was known"),
    ],
)
def test_what_cannot_be_settled_says_why(changes, now_s, reason):
    samples = [Sample(START_S + n, LIMIT_W, "direct", None) for n in range(600)]
    (part,) = settled((event(**changes),), samples, PROGRAMME, None, now_s)
    assert part.account is None
    assert reason in part.reason


def test_one_that_was_never_measured_says_so():
    samples = [Sample(START_S + n, None, None, None) for n in range(600)]
    (part,) = settled((event(),), samples, PROGRAMME, None, START_S + LENGTH_S)
    assert (part.account, part.reason) == (None, "nothing was measured")


def test_a_sample_stands_for_five_seconds_at_most():
    first = mean_of(Sample(0.0, 1.0, "direct", None), 60.0)
    second = mean_of(Sample(60.0, 2.0, "direct", None), 61.0)
    gap = mean_of(Sample(61.0, None, None, None), None)
    assert (first.end_s, second.end_s, gap.mean_w, gap.covered_frac) == (5.0, 61.0, None, 0.0)


def test_intervals_that_follow_each_other_and_overlap_are_settled_each_by_itself():
    parts = [event(event_id=f"evening#{n}", start_s=START_S + 300 * n, end_s=START_S + 300 * n + 400) for n in range(3)]
    samples = [Sample(START_S + n, 3000.0 + n, "direct", None) for n in range(-10, 5000)]
    together = settled(parts, samples, PROGRAMME, None, START_S + 9000)
    apart = [settled((part,), samples, PROGRAMME, None, START_S + 9000)[0] for part in parts]
    assert list(together) == apart
    assert all(each.account is not None for each in apart)


def test_what_a_frozen_profile_does_not_know_is_missing_and_not_taken_from_elsewhere():
    """The third minute has no baseline: it is not settled by the value that the limit was counted from."""
    starts = [START_S + 60.0 * n for n in range(10)]
    values = [None if n == 2 else 5000.0 for n in range(10)]
    profile = tuple(BaselineInterval(s, s + 60.0, v) for s, v in zip(starts, values, strict=True))
    method = BaselineMethod.TEN_OF_TEN
    frozen = Baseline(method, method, "", profile, 5000.0, Quality.DIRECT)
    samples = [Sample(START_S + n, LIMIT_W, "direct", None) for n in range(600)]
    (part,) = settled((event(ramp_s=0.0, baseline_w=7777.0),), samples, PROGRAMME, frozen, START_S + 600)
    told = [each.delivered_w for each in part.account.settlement.intervals]
    assert (told[1], told[2], told[3]) == (1000.0, None, 1000.0)
    assert part.account.performance.missing == 1
    assert part.account.baseline is frozen


def test_a_frozen_profile_of_another_time_is_not_said_to_be_none():
    method = BaselineMethod.TEN_OF_TEN
    early = Baseline(method, method, "", (BaselineInterval(0.0, 60.0, 1.0),), 1.0, Quality.DIRECT)
    samples = [Sample(START_S + n, LIMIT_W, "direct", None) for n in range(600)]
    (part,) = settled((event(),), samples, PROGRAMME, early, START_S + 600)
    assert part.account.baseline.mean_w == BASELINE_W
    assert "the profile that was frozen tells nothing of it" in part.account.baseline.reason
