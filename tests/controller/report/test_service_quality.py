from controller.evidence.read import Kept
from controller.report.service_quality import phases
from tests.fakes.played_event import LENGTH_S, START_S, flowing, played


def test_what_requests_got_is_told_by_phase_and_class(tmp_path):
    ticks = flowing(played(tmp_path), "evening", Kept)
    before, during, after = phases(ticks, START_S, START_S + LENGTH_S)
    assert (before.name, before.decisions, during.decisions) == ("before", 12, 120)
    (premium,) = during.classes
    assert (premium.requests, premium.refused) == (10.0 * 119, 59.0)
    assert premium.quality_burnt_frac == 0.131
    assert during.latency_s["ttft_p99_s"] == (0.5, 0.5)
    assert during.latency_s["ttft_p50_s"] is None
    assert after.from_s == START_S + LENGTH_S


def test_without_decisions_nothing_is_claimed():
    assert phases((), START_S, START_S + 1) == ()
