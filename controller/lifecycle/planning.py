"""The instances planned anew, and what the plan in force wants of them now; pure.

Where pools are in mode ``recommend``, a second plan in which they are free tells what would be done to them. It comes
after the plan that is acted upon and has what that one leaves of the time, so that it changes nothing of what is done
and no step takes longer than it may.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from controller.lifecycle.knowledge import Known
from controller.lifecycle.ladder import slow, step_of
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.precedence import Answer, Asked, answered
from controller.lifecycle.problem import build, build_firm
from controller.lifecycle.refit import Learnt
from controller.lifecycle.steering import Situation, steer
from controller.lifecycle.targets import Targets, as_found
from controller.lifecycle.triggers import is_near
from controller.lifecycle.views import serving_by_pool
from controller.model.fleet import Site, free_to_move
from controller.model.grid import Precedence
from controller.model.plan import InstanceCommand, Plan, PlanOrigin, PoolPlan
from controller.optimizer.data import ProblemData
from controller.optimizer.planner import Planner


@dataclass(frozen=True, slots=True)
class Planned:
    """What was planned.

    Attributes:
        answer: the plan to act upon.
        proposed: the plan in which pools in mode ``recommend`` are free; None where there is none, or no time was left.
    """

    answer: Answer
    proposed: Plan | None


@dataclass(frozen=True, slots=True)
class Task:
    """Instances that are to be planned.

    Attributes:
        last: the plan in force.
        proposed: the one in which pools in mode ``recommend`` were free.
        unforeseen: pools of whose instances these know nothing.
    """

    learnt: Learnt
    policy: TickPolicy
    known: Known
    last: Plan | None
    proposed: Plan | None
    unforeseen: Container[int] = ()

    def planned(self, planner: Planner) -> Planned:
        """The plan to act upon, and the one that tells what else would be done."""
        limit_s, known = self.policy.slow_time_limit_s, self.known
        answer = self._answer(planner, (known.data, known.firm), self.last, limit_s)
        made = answer.made.plan
        # A plan of a lower rung has left no time.
        left_s = limit_s - (made.solve_s or 0.0) if made.origin is PlanOrigin.MILP else 0.0
        if self.policy.mode is Mode.OBSERVE or left_s <= 0.0 or not _recommends(self.learnt.site):
            return Planned(answer, None)
        site, inputs = free_to_move(self.learnt.site), known.inputs
        posed = build(site, self.policy, inputs), build_firm(site, self.policy, inputs)
        return Planned(answer, self._answer(planner, posed, self.proposed or self.last, left_s).made.plan)

    def _answer(
        self, planner: Planner, posed: tuple[ProblemData, ProblemData | None], last: Plan | None, time_limit_s: float
    ) -> Answer:
        """The plan of a problem, which may have a second one under firm limits alone."""
        known, learnt = self.known, self.learnt
        return answered(
            Asked(posed[0], known.limits.order_at(known.now_s) is Precedence.CONTRACT),
            posed[1],
            lambda asked: slow(
                planner,
                asked.data,
                None if last is None else _with_what_is_there(last, asked.data, self.unforeseen),
                time_limit_s=time_limit_s,
                serving=serving_by_pool(known.views, len(learnt.site.pools)),
                limit_first=asked.limit_first,
                doubts_w=learnt.doubts_w,
                drawn_w=(known.measured.at_least(known.modelled_w),),
            ),
        )


def targets_of(
    site: Site, policy: TickPolicy, known: Known, plan: Plan | None, unforeseen: Container[int] = ()
) -> Targets:
    """What the plan wants now, within what can be reached; what an event needs is woken shortly before it.

    A plan that knows nothing of the demand yet moves nothing within an event: a controller that starts then leaves the
    instances as it finds them. So it does at any time with those of a pool that is held, or that was not foreseen: of
    which the plan knew none.
    """
    found = as_found(site, known.views)
    if plan is None or (known.is_called and known.demand_state.observed_s <= 0.0):
        return found
    step = step_of(plan, known.now_s)
    steps = (step, _prepared_step(plan, step)) if is_near(known.events, known.now_s, policy.prepare_s) else (step,)
    reach = [pool.instances for pool in known.data.pools]
    on = tuple(min(max(pool.on[t] for t in steps), most) for pool, most in zip(plan.pools, reach, strict=True))
    loaded = tuple(
        min(max(pool.on[t] + pool.sleeping[t] for t in steps), most)
        for pool, most in zip(plan.pools, reach, strict=True)
    )
    return Targets(on, loaded).but_left(site, found, unforeseen)


def recommended(
    site: Site,
    policy: TickPolicy,
    known: Known,
    proposed: Plan | None,
    situation: Situation,
    unforeseen: Container[int] = (),
) -> tuple[InstanceCommand, ...]:
    """What would be done in pools of mode ``recommend`` to reach the plan in which they are acted upon.

    All of it is told at once: what it would have to wait for, such as an instance that another pool wakes first, does
    not come while these pools are left as they are.
    """
    if proposed is None or policy.mode is Mode.OBSERVE:
        return ()
    freed = free_to_move(site)
    views = tuple(replace(view, pool=freed.pools[view.pool_index]) for view in known.views)
    unbound = replace(situation, break_first=True, called=True, headroom_w=None)
    steered = steer(views, targets_of(freed, policy, known, proposed, unforeseen), unbound)
    told = {view.instance.instance_id for view in known.views if view.pool.mode is Mode.RECOMMEND}
    return tuple(command for command in steered.wanted if command.instance_id in told)


def _with_what_is_there(plan: Plan, data: ProblemData, unforeseen: Container[int]) -> Plan:
    """The plan, with pools that it did not foresee as they are."""
    steps, left = plan.horizon.steps, {pool.pool_id: pool for k, pool in enumerate(data.pools) if k in unforeseen}

    def as_it_is(pool: PoolPlan) -> PoolPlan:
        now = left.get(pool.pool_id)
        return pool if now is None else replace(pool, on=(now.on_now,) * steps, sleeping=(now.sleeping_now,) * steps)

    return replace(plan, pools=tuple(map(as_it_is, plan.pools)))


def _recommends(site: Site) -> bool:
    return any(pool.mode is Mode.RECOMMEND for pool in site.pools)


def _prepared_step(plan: Plan, step: int) -> int:
    """The first interval from `step` on that is planned under a limit, `step` itself where none is."""
    return next((t for t in range(step, plan.horizon.steps) if plan.is_limited(t)), step)
