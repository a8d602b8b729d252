import math
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from controller.forecast.arrivals import foresee, watch
from controller.forecast.demand import FLOOR_RPS, DemandState, estimate, update
from controller.forecast.policy import DemandForecast, ForecastPolicy
from controller.model.fleet import RequestClass
from controller.model.observation import ClassDemand, RouterObservation
from controller.model.plan import Horizon
from router.contract import ClassId

STANDARD = RequestClass(ClassId("standard"), expected_input_tokens=1000.0, expected_output_tokens=200.0)
BEST = ForecastPolicy()
STEP_S, STEPS = 900.0, 8
MIDNIGHT_S = 1_700_006_400.0


class Watched:
    """Counters of one class as they are read, and what is foreseen of them."""

    def __init__(self, start_s=MIDNIGHT_S, policy=BEST):
        self.now_s, self.policy = start_s, policy
        self.total, self.rejected, self.counted, self.state = 0.0, 0.0, DemandState(), None

    def read(self, elapsed_s, arrived, queued=0, rejected=0.0):
        self.now_s += elapsed_s
        self.total = max(0.0, self.total + arrived + rejected)
        self.rejected += rejected
        seen = ClassDemand(STANDARD.class_id, self.total, 0.0, 0.0, 0.0, queued=queued, rejected=self.rejected)
        after = update(self.counted, RouterObservation(self.now_s, 1, (seen,)), 15.0, 90.0)
        self.state = watch(self.state, (self.counted, after), self.horizon(), self.policy)
        self.counted = after
        return self

    def read_all(self, rates_rps, elapsed_s=STEP_S):
        for rate in rates_rps:
            self.read(elapsed_s, rate * elapsed_s)
        return self

    def horizon(self):
        return Horizon(self.now_s, STEP_S, STEPS)

    @property
    def present(self):
        return estimate(self.counted, STANDARD, STEP_S)

    def foreseen(self):
        seen = self.counted.of(STANDARD.class_id)
        return foresee(self.state, self.present, seen, self.horizon(), self.policy)

    @property
    def rates_rps(self):
        """Planned rates."""
        return [tokens / self.present.output_tokens for tokens in self.foreseen().planned(STEPS)]


def shape(time_s, zone="UTC"):
    """A day with its peak at 15 h of the zone's clock."""
    local = datetime.fromtimestamp(time_s, ZoneInfo(zone))
    return 2.0 + 1.5 * math.cos(2 * math.pi * (local.hour + local.minute / 60 - 15) / 24)


def days(count, start_s=MIDNIGHT_S, zone="UTC"):
    return [shape(start_s + k * STEP_S, zone) for k in range(int(count * 86_400 / STEP_S))]


def test_at_the_start_the_present_demand_lasts():
    fresh = Watched()
    assert foresee(None, fresh.present, None, fresh.horizon(), BEST) == fresh.present
    seen = fresh.read_all([2.0] * 5)
    assert seen.foreseen() == seen.present
    assert seen.rates_rps == pytest.approx([seen.counted.of(STANDARD.class_id).rps] * STEPS)


def test_one_report_is_no_rate():
    assert Watched().read(0.0, 500.0).rates_rps == pytest.approx([FLOOR_RPS] * STEPS)


def test_a_morning_is_foreseen_from_the_days_before():
    seen = Watched().read_all(days(4.25))  # 06:00, the trough is over
    planned = seen.rates_rps
    assert planned[-1] > planned[0] > 0.5
    expected = [shape(seen.now_s + k * STEP_S) for k in range(STEPS)]
    assert planned[1:] == pytest.approx(expected[1:], rel=0.25)
    assert seen.foreseen().forecaster != "persistence"


def test_requests_that_engines_find_fault_with_are_foreseen_no_more_than_they_count_now():
    plain, faulty = Watched(), Watched()
    for rate in days(4.25):
        plain.read(STEP_S, rate * STEP_S)
        faulty.read(STEP_S, rate * STEP_S, rejected=50.0 * STEP_S)
    assert faulty.rates_rps == pytest.approx(plain.rates_rps)


def test_the_first_interval_is_never_planned_below_the_present():
    seen = Watched().read_all(days(4.75)).read(STEP_S, 8.0 * STEP_S)
    assert seen.rates_rps[0] >= seen.counted.of(STANDARD.class_id).rps > 7.0


def test_the_queue_counts_in_the_first_interval_alone():
    seen = Watched().read_all([2.0] * 40).read(STEP_S, 2.0 * STEP_S, queued=1800)
    assert seen.rates_rps[0] == pytest.approx(4.0, rel=0.05)
    assert seen.rates_rps[1] == pytest.approx(2.0, rel=0.2)


def test_a_quantile_is_planned_not_the_mean():
    rng = np.random.default_rng(4)
    noisy = list(rng.poisson(30, 200) / STEP_S)
    low = Watched(policy=ForecastPolicy(demand_quantile=0.5)).read_all(noisy).rates_rps
    high = Watched(policy=ForecastPolicy(demand_quantile=0.9)).read_all(noisy).rates_rps
    assert high[1] * STEP_S > low[1] * STEP_S + 3.0
    assert low[1] * STEP_S == pytest.approx(30, abs=8)


def test_the_operator_may_keep_to_the_present():
    seen = Watched(policy=ForecastPolicy(demand=DemandForecast.PRESENT)).read_all(days(4.25))
    assert seen.foreseen() == seen.present


def test_silent_routers_leave_what_was_learnt():
    seen = Watched().read_all(days(4.25))
    before = seen.rates_rps
    seen.state = watch(seen.state, (seen.counted, seen.counted), seen.horizon(), BEST)
    assert seen.rates_rps == before


def test_a_night_without_reports_is_missing_and_not_zero():
    seen = Watched().read_all(days(4))
    seen.read(8 * 3600.0, 0.0)  # back at 08:00; the counter stood still, or restarted
    seen.read_all(days(0.25, start_s=seen.now_s))
    expected = [shape(seen.now_s + k * STEP_S) for k in range(STEPS)]
    assert seen.rates_rps[1:] == pytest.approx(expected[1:], rel=0.3)


def test_a_restarted_router_gives_no_negative_arrivals():
    seen = Watched().read_all([2.0] * 30)
    seen.read(STEP_S, -seen.total).read_all([2.0] * 3)
    assert min(seen.rates_rps) == pytest.approx(2.0, rel=0.1)


def test_zeros_keep_the_floor():
    assert Watched().read_all([0.0] * 300).rates_rps == pytest.approx([FLOOR_RPS] * STEPS)


@pytest.mark.parametrize("change", ["2026-03-29", "2026-10-25"])
def test_days_stay_days_when_clocks_change(change):
    zone = "Europe/Berlin"
    noon_s = datetime.fromisoformat(change).replace(hour=12, tzinfo=ZoneInfo(zone)).timestamp()
    start_s = noon_s - 6 * 86_400
    series = days(6, start_s, zone)
    local = Watched(start_s, ForecastPolicy(timezone=zone)).read_all(series)
    expected = [shape(noon_s + k * STEP_S, zone) for k in range(1, STEPS)]
    assert local.rates_rps[1:] == pytest.approx(expected, rel=0.2)


def test_another_step_is_learnt_anew():
    seen = Watched().read_all(days(2))
    shorter = Horizon(seen.now_s, 300.0, STEPS)
    assert watch(seen.state, (seen.counted, seen.counted), shorter, BEST).classes == ()


def test_a_class_that_one_report_leaves_out_is_not_forgotten():
    seen = Watched().read_all(days(2))
    empty = DemandState(seen.now_s + 5.0, ())
    kept = watch(seen.state, (seen.counted, empty), seen.horizon(), BEST)
    assert kept.of(STANDARD.class_id) == seen.state.of(STANDARD.class_id)
