import pytest

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod, Rates
from controller.settlement.account import account
from controller.settlement.baseline_profile import Baseline, BaselineInterval
from controller.settlement.delivered import Terms

EVENT = GridEvent("e", 600.0, 0.0, 3600.0, 0.0, ramp_s=60.0)
RULE = BaselineMethod.TEN_OF_TEN
BASELINE = Baseline(RULE, RULE, "", (BaselineInterval(0.0, 3600.0, 1000.0),), 1000.0, Quality.DIRECT)


def seconds(until_s):
    def power_w(t):
        return 1000.0 if t < 30 else 500.0 if t < 3600 else 1100.0

    return [Mean(float(t), t + 1.0, power_w(t), Quality.DIRECT, 1.0) for t in range(until_s)]


def test_an_event_is_accounted_for_from_the_same_measurements():
    got = account(EVENT, seconds(7200), BASELINE, Terms(900.0, rates=Rates(100.0, 1150.0)), 7200.0)
    assert got.settlement.delivered_w == pytest.approx(500.0)
    assert got.performance.factor == pytest.approx(1.25)
    assert got.response.time_to_90pct_s == 34.0, "the first mean of 5 s that lies so low ends then"
    assert got.response.rebound_w == pytest.approx(100.0)
    assert got.performance.revenue_usd == pytest.approx(400e-6 * 3540 / 3600 * 100)


def test_what_has_passed_of_an_event_can_be_accounted_for():
    got = account(EVENT, seconds(1000), BASELINE, Terms(900.0), 1000.0)
    assert [interval.end_s for interval in got.settlement.intervals] == [960.0, 1000.0]
    assert got.response.rebound_peak_w is None
