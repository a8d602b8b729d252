"""What is barred gets no traffic and no part in the plan, and what becomes of classes that nothing else can serve."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.lifecycle.barring import left_out, named
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.observation import Barred, InstanceState
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.tick import Decision, Memory, decide
from router.contract import Precision
from tests.fakes.fake_fleet import FakeFleet, site

RPS = {"premium": 4.0, "standard": 14.0, "flex": 8.0}
PLANNER = CvxpyPlanner(lambda: 0.0)


def _bar(name: str, is_pool: bool = True) -> Barred:
    return Barred(name, is_pool, "canary", "0 of 19 agreed", 0.0)


class Loop:
    """Ticks of two seconds with bars that a test sets."""

    def __init__(self, policy: TickPolicy | None = None, only: Precision | None = None) -> None:
        whole = site()
        if only is not None:
            classes = tuple(replace(cls, precisions=(only,)) for cls in whole.classes)
            whole = replace(whole, classes=classes)
        self.fleet = FakeFleet(whole, dict(RPS))
        self.policy = policy or TickPolicy(mode=Mode.ACT)
        self.memory = Memory.initial(whole, self.fleet.now_s)
        self.barred: tuple[Barred, ...] = ()

    def run(self, seconds: int) -> Decision:
        for _ in range(seconds // 2):
            self.fleet.advance(2.0)
            seen = replace(self.fleet.observe(), barred=self.barred)
            decision = decide(self.fleet.site, self.policy, PLANNER, self.memory, seen)
            self.memory = decision.memory
            self.fleet.obey(decision)
        return decision


def _shares(decision: Decision) -> dict[str, float]:
    """Weight of each pool, the largest over the classes."""
    out: dict[str, float] = {}
    for entry in decision.commands.table.weights:
        for pool in entry.pools:
            out[pool.pool_id] = max(pool.weight, out.get(pool.pool_id, 0.0))
    return out


def test_a_barred_pool_has_no_weight_at_the_next_tick_and_its_work_goes_elsewhere() -> None:
    loop = Loop()
    before = _shares(loop.run(60))
    assert before["fp8"] > 0
    loop.barred = (_bar("fp8"),)
    after = loop.run(2)
    assert "fp8" not in _shares(after)
    assert {f"fp8-{n}" for n in range(5)} <= set(after.commands.table.draining)
    told = [(f.ladder, f.step, f.subject) for f in after.diagnostics.steps_down if f.ladder == "quality"]
    assert told == [("quality", "barred", "fp8")]
    served = sum(loop.fleet.by_pool[name, "fp8"] for name in RPS)
    settled = loop.run(60)
    assert sum(loop.fleet.by_pool[name, "fp8"] for name in RPS) == served
    assert all(slack.promise != "serve" for slack in settled.diagnostics.slack)
    assert not any(command.instance_id.startswith("fp8") for command in settled.commands.instances)


def test_it_serves_again_when_the_bar_is_lifted() -> None:
    loop = Loop()
    loop.run(30)
    loop.barred = (_bar("fp8"),)
    loop.run(10)
    loop.barred = ()
    decision = loop.run(60)
    assert _shares(decision)["fp8"] > 0
    assert not {name for name in decision.commands.table.draining if name.startswith("fp8")} or (
        loop.fleet.site.pools[1].max_instances > 1
    )


def test_a_single_instance_is_drained_and_its_pool_serves_on() -> None:
    loop = Loop()
    loop.run(60)
    serving = next(
        e.instance_id for e in loop.fleet.engines if e.state is InstanceState.SERVING and e.pool.pool_id == "fp8"
    )
    loop.barred = (_bar(serving, is_pool=False),)
    decision = loop.run(40)
    assert serving in decision.commands.table.draining
    assert _shares(decision)["fp8"] > 0


def test_a_class_that_only_barred_pools_could_serve_is_refused() -> None:
    loop = Loop(only=Precision.FP8)
    loop.run(30)
    loop.barred = (_bar("fp8"),)
    decision = loop.run(2)
    assert _shares(decision) == {}
    assert {f"fp8-{n}" for n in range(5)} <= set(decision.commands.table.draining)
    assert any(slack.promise == "serve" for slack in decision.diagnostics.slack)


def test_or_served_by_them_where_the_operator_will_have_it_so() -> None:
    loop = Loop(TickPolicy(mode=Mode.ACT, serves_barred=True), only=Precision.FP8)
    loop.run(30)
    loop.barred = (_bar("fp8"),)
    decision = loop.run(10)
    assert _shares(decision)["fp8"] > 0
    told = [f.step for f in decision.diagnostics.steps_down if f.ladder == "quality"]
    assert told == ["barred, but serves as nothing else can"]


@pytest.mark.parametrize(
    ("lost", "serves_barred", "expected"),
    [((), True, 5), ((), False, 5), (("bf16", "int4"), True, 0), (("bf16", "int4"), False, 5)],
)
def test_barred_pools_are_spared_only_when_all_else_is_lost(
    lost: tuple[str, ...], serves_barred: bool, expected: int
) -> None:
    fleet = FakeFleet(site(), dict(RPS))
    seen = replace(fleet.observe(), barred=(_bar("fp8"),))
    instances = tuple(replace(i, state=InstanceState.UNREACHABLE) if i.pool_id in lost else i for i in seen.instances)
    seen = replace(seen, instances=instances)
    assert len(left_out(fleet.site, seen, serves_barred=serves_barred)) == expected
    assert named(fleet.site, replace(seen, barred=(_bar("nobody"),))) == frozenset()
