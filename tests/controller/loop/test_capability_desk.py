import dataclasses
import math

import pytest
from prometheus_client import CollectorRegistry

from controller.clock import VirtualClock
from controller.lifecycle.capability import Facts
from controller.loop import capability_desk
from controller.loop.capability_desk import LEAST_GAP_S, STALE_S, CapabilityDesk, CapabilityMetrics, opened_capability
from controller.loop.status import Status
from controller.model.capability import Capability, QosCost
from controller.model.derate import Derate
from tests.fakes.capabilities import told
from tests.fakes.controller_parts import NOW_S, decision, observation, pool, site

PREFIX = "wattroute_controller_capability_"


class Bench:
    def __init__(self, monkeypatch, planner="planner"):
        self.clock = VirtualClock(NOW_S)
        self.registry = CollectorRegistry()
        self.asked = []
        self.error = None
        self.unknown = None
        self.derates = ()
        monkeypatch.setattr(capability_desk, "capability", self.capability)
        self.desk = CapabilityDesk(planner, self.clock, CapabilityMetrics(self.registry), lambda now_s: self.derates)
        self.serving = (1,)

    def capability(self, planner, facts, *, time_limit_s):
        self.asked.append((planner, facts, time_limit_s))
        if self.error is not None:
            raise self.error
        return told(facts.now_s) if self.unknown is None else Capability(facts.now_s, None, unknown=self.unknown)

    async def look(self):
        now_s = self.clock.wall_s()
        fields = {field.name: None for field in dataclasses.fields(Facts)}
        facts = Facts(**{**fields, "now_s": now_s, "serving": self.serving})
        made = decision(site(pool("bf16", ("http://e:1",))), now_s, facts=facts)
        self.desk.take(Status(observation(now_s), made, (), 0.0))
        await self.desk.close()

    def lead_s(self, horizon):
        return self.registry.get_sample_value(PREFIX + "lead_seconds", {"horizon": horizon})

    def value(self, name, horizon="10min", cost="none"):
        return self.registry.get_sample_value(PREFIX + name, {"horizon": horizon, "cost": cost})


@pytest.fixture
def bench(monkeypatch):
    return Bench(monkeypatch)


async def test_nothing_is_known_before_the_first_computation(bench):
    assert (bench.desk.current(), bench.desk.sheds(NOW_S)) == (None, ())
    assert math.isnan(bench.value("shed_watts"))
    assert math.isnan(bench.lead_s("now"))


async def test_what_is_told_is_shown_with_its_units(bench):
    await bench.look()
    assert bench.desk.current() == told(NOW_S)
    assert [bench.value(name) for name in ("shed_watts", "limit_watts", "duration_seconds", "events_per_day")] == [
        4000.0,
        8000.0,
        math.inf,
        math.inf,
    ]
    assert bench.value("duration_seconds", "1h", "quality") == 3600.0
    assert bench.value("limit_watts", "1h", "waiting") == 5000.0
    assert [bench.lead_s(horizon) for horizon in ("now", "10min", "1h")] == [30.0, 600.0, 3600.0]
    assert math.isnan(bench.value("recovery_seconds", "1h", "held"))
    samples = [sample for family in bench.registry.collect() for sample in family.samples if sample.labels]
    assert len(samples) == 6 * 12 + 3, "horizons and costs are all the labels there are"


async def test_it_is_computed_once_a_minute_and_soon_after_the_fleet_changes(bench):
    for after_s, serving, computed in (
        (0, (1,), 1),
        (30, (1,), 1),
        (5, (2,), 2),
        (5, (3,), 2),
        (6, (3,), 3),
        (61, (3,), 4),
    ):
        bench.clock.advance(after_s)
        bench.serving = serving
        await bench.look()
        assert len(bench.asked) == computed, (after_s, serving)


async def test_what_is_not_known_yet_is_looked_at_again_within_seconds(bench):
    bench.unknown = "the demand has not been observed yet"
    await bench.look()
    bench.unknown = None
    bench.clock.advance(LEAST_GAP_S + 1)
    await bench.look()
    assert bench.desk.current() == told(bench.clock.wall_s())


async def test_a_failure_is_counted_and_what_was_told_grows_too_old(bench):
    await bench.look()
    bench.error = ValueError("no such pool")
    bench.clock.advance(61)
    await bench.look()
    assert bench.registry.get_sample_value(PREFIX + "failures_total") == 1.0
    assert bench.desk.current() is not None
    bench.clock.advance(STALE_S)
    await bench.look()
    assert (bench.desk.current(), bench.desk.sheds(0.0)) == (None, ())
    assert math.isnan(bench.value("shed_watts"))


async def test_reports_are_given_every_lead_at_every_cost(bench):
    await bench.look()
    found = {(shed.horizon_s, shed.cost.value): (shed.shed_w, shed.duration_s) for shed in bench.desk.sheds(NOW_S)}
    assert len(found) == 12
    assert found[30.0, "none"] == (1000.0, None)
    assert found[600.0, "quality"] == (4500.0, 3600.0)
    assert found[3600.0, "held"] == (7500.0, 3600.0)


async def test_without_a_planner_nothing_is_told(monkeypatch):
    bench = Bench(monkeypatch, planner=None)
    await bench.look()
    assert (bench.asked, bench.desk.current()) == ([], None)


async def test_the_desk_ends_with_what_it_computes(bench):
    async with opened_capability(None, bench.clock, CollectorRegistry()) as desk:
        assert desk.current() is None


async def test_what_is_told_is_what_derates_leave_of_it_at_the_time(bench):
    await bench.look()
    assert math.isnan(bench.registry.get_sample_value(PREFIX + "derate_watts"))
    bench.derates = (Derate("fans", 500.0, NOW_S, NOW_S + 700.0, "a fan is out", NOW_S),)
    await bench.look()
    assert [bench.value(name) for name in ("shed_watts", "limit_watts")] == [500.0, 11_500.0]
    assert bench.value("shed_watts", "1h") == 6000.0
    assert bench.registry.get_sample_value(PREFIX + "derate_watts") == 500.0
    assert bench.desk.current().at(600.0, QosCost.NONE).derate.derate_id == "fans"
    assert [shed.shed_w for shed in bench.desk.sheds(NOW_S)] == [each.shed_w for each in told(NOW_S).offers]
    bench.derates = ()
    await bench.look()
    assert bench.value("shed_watts") == 4000.0
