from __future__ import annotations

from collections import Counter

import pytest

from controller.model.fleet import Instance, Pool, RequestClass, Site
from controller.model.grid import Series
from controller.model.observation import Observation
from controller.model.perf import Evidence, PoolCurves, Provenance
from controller.model.plan import Commands
from controller.simulation.replay import Outcome, Timing, assign_classes, replay
from controller.simulation.site import Signals, SimulatedSite
from controller.simulation.site_router import Request
from controller.simulation.trace import Arrival
from router.contract import AllocationTable, ClassId, ClassWeights, InstanceId, PoolId, PoolWeight, Precision

CURVES = PoolCurves(
    0.02, 0.0002, 50.0, 0.6, 1e-5, 0.03, 100_000, 64, 900.0, 700.0, 500.0, 3.0, 2.0, 60.0,
    Provenance(Evidence.ESTIMATED, "test"),
)  # fmt: skip
POOL = PoolId("a")
CLASS = ClassId("any")
SITE = Site(
    name="s",
    gpus=2,
    pools=(Pool(POOL, Precision.BF16, "H100", 2, (Instance(InstanceId("a-0"), "http://x:1", ("u", "v")),), CURVES),),
    classes=(RequestClass(CLASS),),
)
SIGNALS = Signals(
    Series((0.0,), (100.0,), 1e6, "usd_per_mwh", "test"), Series((0.0,), (400.0,), 1e6, "kg_per_mwh", "test")
)


class Steady:
    """Sends everything to the only pool, and keeps when it was asked."""

    def __init__(self, *, drains: bool = False) -> None:
        self.asked_s: list[float] = []
        self._draining = (InstanceId("a-0"),) if drains else ()

    def decide(self, observation: Observation) -> Commands:
        self.asked_s.append(observation.now_s)
        weights = (ClassWeights(CLASS, (PoolWeight(POOL, 1.0),)),)
        return Commands(
            AllocationTable(len(self.asked_s), observation.now_s, 1e9, "test", weights, draining=self._draining)
        )


def requests(count: int, every_s: float = 0.5, output_tokens: int = 20) -> tuple[Request, ...]:
    return tuple(Request(n, n * every_s, CLASS, 100, output_tokens) for n in range(count))


def play(decider: Steady, timing: Timing, asked: tuple[Request, ...]) -> Outcome:
    return replay(SimulatedSite(SITE, timing.start_s), asked, SIGNALS, decider, timing)


def test_everything_is_served_and_the_energy_is_that_of_the_power() -> None:
    outcome = play(Steady(), Timing(start_s=1000.0, duration_s=10.0, tick_s=2.0), requests(20))
    assert (outcome.requests, outcome.requests_finished) == (20, 20)
    assert (outcome.tokens_served, outcome.tokens_lost) == (400, 0)
    assert outcome.tokens_by_pool == {POOL: 400.0}
    assert sum(outcome.power_w) * outcome.interval_s == pytest.approx(outcome.energy_j)
    assert all(900.0 <= power_w <= 3500.0 for power_w in outcome.power_w)


def test_the_controller_is_asked_every_tick() -> None:
    decider = Steady()
    play(decider, Timing(start_s=1000.0, duration_s=10.0, tick_s=2.0), requests(10))
    assert decider.asked_s[:5] == [1000.0, 1002.0, 1004.0, 1006.0, 1008.0]


def test_the_replay_goes_on_until_the_last_answer() -> None:
    outcome = play(Steady(), Timing(0.0, duration_s=2.0, tick_s=1.0), requests(1, output_tokens=400))
    assert outcome.requests_finished == 1
    assert outcome.duration_s > 8.0


def test_what_is_not_answered_when_the_drain_ends_is_lost() -> None:
    outcome = play(Steady(drains=True), Timing(0.0, 2.0, 1.0, drain_s=3.0), requests(4))
    assert (outcome.requests_finished, outcome.tokens_served, outcome.tokens_lost) == (0, 0, 80)
    assert outcome.duration_s == 5.0


def test_two_replays_are_equal() -> None:
    timing = Timing(0.0, 20.0, 2.0)
    one, other = (play(Steady(), timing, requests(40, every_s=0.3)) for _ in range(2))
    assert (one.energy_j, one.power_w, one.ttft.quantile_s(0.99)) == (
        other.energy_j,
        other.power_w,
        other.ttft.quantile_s(0.99),
    )


ARRIVALS = tuple(Arrival(n * 0.1, 50, 10) for n in range(4000))
SHARES = {ClassId("x"): 0.2, ClassId("y"): 0.5, ClassId("z"): 0.3}


def test_classes_come_in_their_shares() -> None:
    counted = Counter(request.class_id for request in assign_classes(ARRIVALS, SHARES, seed=1))
    assert {name: count / 4000 for name, count in counted.items()} == {
        name: pytest.approx(share, abs=0.03) for name, share in SHARES.items()
    }


def test_the_seed_decides_the_classes() -> None:
    def classes(seed: int) -> list[ClassId]:
        return [request.class_id for request in assign_classes(ARRIVALS[:200], SHARES, seed)]

    assert classes(1) == classes(1)
    assert classes(1) != classes(2)


def test_shares_need_not_sum_to_one_but_one_must_be_positive() -> None:
    counted = Counter(r.class_id for r in assign_classes(ARRIVALS, {ClassId("x"): 3.0, ClassId("y"): 1.0}, 0))
    assert counted[ClassId("x")] / 4000 == pytest.approx(0.75, abs=0.03)
    with pytest.raises(ValueError, match="no class has a positive share"):
        assign_classes(ARRIVALS, {ClassId("x"): 0.0}, 0)


def test_short_prompts_are_lengthened_to_what_a_chat_takes() -> None:
    asked = assign_classes((Arrival(0.0, 2, 5), Arrival(0.1, 900, 5)), SHARES, 0, min_input_tokens=8)
    assert [request.input_tokens for request in asked] == [8, 900]
