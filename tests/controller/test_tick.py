"""Whole ticks against a fleet that obeys, under a virtual clock."""

import itertools
from dataclasses import replace

import pytest

from controller.errors import SolverError
from controller.lifecycle.knowledge import find_out
from controller.model.grid import GridEvent, Precedence
from controller.model.observation import InstanceState
from controller.model.plan import PlanOrigin, Verb
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.settlement.delivered import settle
from controller.tick import Memory, Mode, TickPolicy, decide
from router.contract import EventState, decode, encode
from tests.fakes.called_fleet import drawn
from tests.fakes.fake_fleet import FakeFleet, site

ACT = TickPolicy(mode=Mode.ACT)
PLANNER = CvxpyPlanner(lambda: 0.0)
BUSY = {"premium": 4.0, "standard": 14.0, "flex": 8.0}


class Loop:
    """A controller and its fleet, two seconds a tick."""

    def __init__(self, policy=ACT, of=None, rps=None, planner=PLANNER):
        self.fleet = FakeFleet(of or site(), dict(rps or BUSY))
        self.policy = policy
        self.planner = planner
        self.memory = Memory.initial(self.fleet.site, self.fleet.now_s)
        self.decisions = []

    def run(self, seconds):
        for _ in range(round(seconds / 2)):
            self.fleet.advance(2.0)
            decision = decide(self.fleet.site, self.policy, self.planner, self.memory, self.fleet.observe())
            self.memory = decision.memory
            self.fleet.obey(decision)
            self.decisions.append(decision)
        return self

    def curtail(self, limit_w, *, start_in_s=0.0, lasts_s=120.0):
        start_s = self.fleet.now_s + start_in_s
        event = GridEvent("e", limit_w, start_s, start_s + lasts_s, self.fleet.now_s, ramp_s=30.0)
        self.fleet.events = (*self.fleet.events, event)
        return event

    @property
    def last(self):
        return self.decisions[-1]

    @property
    def lost(self):
        return sum(engine.lost for engine in self.fleet.engines) + self.fleet.unrouted + self.fleet.misrouted

    def count(self, state):
        return sum(engine.state is state for engine in self.fleet.engines)


@pytest.fixture(scope="module")
def settled():
    """A minute and a half into acting: the needless instances sleep."""
    return Loop().run(90)


def test_needless_instances_are_put_to_sleep_and_no_request_is_lost(settled):
    assert settled.count(InstanceState.SLEEPING) >= 8
    assert settled.lost == 0
    power = [watts for _, watts in settled.fleet.watts]
    assert power[-1] < 0.6 * power[20]


def test_prediction_and_measurement_agree_once_settled(settled):
    told = settled.last.diagnostics
    assert told.planned_w == pytest.approx(told.measured_w, rel=0.03)
    assert told.slack == ()


def test_a_shorter_time_to_first_token_keeps_faster_and_emptier_instances_on(settled):
    whole = site()
    hurried = replace(whole, classes=tuple(replace(cls, ttft_slo_s=0.08) for cls in whole.classes))
    tight = Loop(of=hurried).run(90)
    on, on_before = ({pool.pool_id: pool.on[0] for pool in run.last.plan.pools} for run in (tight, settled))
    assert on["bf16"] > on_before["bf16"]
    assert (on["int4"], tight.lost, tight.last.diagnostics.slack) == (0, 0, ())


def test_every_table_can_be_read_and_sequences_only_grow(settled):
    tables = [decision.commands.table for decision in settled.decisions]
    assert all(decode(encode(table)) == table for table in tables)
    assert all(b.sequence >= a.sequence for a, b in itertools.pairwise(tables))
    assert all(
        table.expires_at_s > decision.diagnostics.now_s
        for table, decision in zip(tables, settled.decisions, strict=True)
    )


def test_every_plan_in_force_is_sound(settled):
    assert {decision.plan.origin for decision in settled.decisions} == {PlanOrigin.MILP}
    assert all(not decision.diagnostics.fallbacks for decision in settled.decisions)


def test_nothing_is_drained_before_the_demand_is_known():
    early = Loop().run(28)
    assert all(decision.commands.table.draining == () for decision in early.decisions)
    assert early.last.diagnostics.holding is not None


def test_equal_arguments_give_equal_decisions(settled):
    observation = settled.fleet.observe()
    first = decide(settled.fleet.site, ACT, PLANNER, settled.memory, observation)
    decide(settled.fleet.site, ACT, PLANNER, Memory.initial(site(), 0.0), observation)
    again = decide(settled.fleet.site, ACT, CvxpyPlanner(lambda: 0.0), settled.memory, observation)
    assert again == first


@pytest.fixture(scope="module")
def curtailed():
    loop = Loop().run(120)
    event = loop.curtail(13_000.0)
    loop.run(180)
    return loop, event


def test_a_curtailment_brings_the_measured_power_under_its_limit_in_time(curtailed):
    loop, event = curtailed
    baseline_w = max(d.diagnostics.event.baseline_w or 0.0 for d in loop.decisions if d.diagnostics.event)
    before_w = next(w for t, w in reversed(loop.fleet.watts) if t <= event.start_s)
    assert before_w > event.limit_w
    account = settle(loop.fleet.watts, event, baseline_w=before_w, interval_s=5.0)
    assert account.time_to_90pct_s <= 30.0
    assert account.intervals_over_limit == 0
    assert account.delivered_w > 0
    assert baseline_w > event.limit_w


def test_no_request_is_lost_by_it(curtailed):
    assert curtailed[0].lost == 0


def test_no_action_raises_the_power_while_it_is_over_the_limit(curtailed):
    loop, event = curtailed
    for decision in loop.decisions:
        told = decision.diagnostics
        if told.event is not None and told.event.state is EventState.ACTIVE and told.modelled_w > event.limit_w:
            assert all(command.verb is Verb.SLEEP for command in decision.commands.instances)


def test_at_the_notice_nobody_who_may_not_wait_is_held_until_the_instances_are_planned(settled):
    *firm, flex = settled.fleet.site.classes
    of, seen = replace(settled.fleet.site, classes=(*firm, replace(flex, priority=-1))), settled.fleet.observe()
    limit_w = 0.96 * settled.last.dispatch.import_w[0]
    called = replace(seen, events=(GridEvent("e", limit_w, seen.now_s, seen.now_s + 120.0, seen.now_s, ramp_s=30.0),))
    told = decide(of, ACT, PLANNER, settled.memory, called, plans=False)
    assert {slack.subject for slack in told.dispatch.slack if slack.promise == "serve"} == {"flex"}
    assert told.plan == settled.memory.plan, "the instances are planned at the next tick"


class Unsolved:
    """A planner whose search finds nothing."""

    def plan(self, data, *, time_limit_s):
        raise SolverError("nothing found")

    def dispatch(self, data, on):
        return PLANNER.dispatch(data, on)


@pytest.mark.parametrize(("planner", "plans"), [(PLANNER, False), (Unsolved(), True)])
def test_instances_that_the_plan_in_force_knew_nothing_of_are_left_as_they_are(planner, plans):
    loop = Loop()
    for _ in range(20):
        loop.fleet.advance(2.0)
        unseen = replace(loop.fleet.observe(), instances=())
        loop.memory = decide(loop.fleet.site, ACT, PLANNER, loop.memory, unseen).memory
    assert all(set(pool.on) == {0} for pool in loop.memory.plan.pools)
    seen = loop.fleet.observe()
    called = replace(seen, events=(GridEvent("e", 40_000.0, seen.now_s, seen.now_s + 120.0, seen.now_s),))
    told = decide(loop.fleet.site, ACT, planner, loop.memory, called, plans=plans)
    assert told.commands.table.draining == ()
    assert not told.commands.instances
    assert sum(rate for pool in told.dispatch.pools for _, (rate,) in pool.output_tokens_per_s) > 0.0


def test_nobody_who_may_not_wait_is_held_in_a_ramp_for_what_drains_already():
    called = drawn(5).run(90.0)
    now_s, drawn_w = called.fleet.now_s, called.last.dispatch.import_w[0]
    called.fleet.events = (GridEvent("e", 0.6 * drawn_w, now_s, now_s + 600.0, now_s, ramp_s=120.0),)
    told = called.run(2.0).last
    assert told.diagnostics.draining
    assert "standard" not in {slack.subject for slack in told.dispatch.slack if slack.promise == "serve"}


def test_the_routers_are_told_of_the_event(curtailed):
    loop, event = curtailed
    told = [d.commands.table.event for d in loop.decisions if d.commands.table.event is not None]
    assert {(notice.event_id, notice.state, notice.ends_at_s) for notice in told} == {
        ("e", EventState.ACTIVE, event.end_s)
    }


def test_after_it_the_fleet_comes_back(curtailed):
    loop, _ = curtailed
    assert loop.last.diagnostics.event is None
    assert loop.last.diagnostics.slack == ()


def test_a_known_event_is_prepared_for_but_not_obeyed_early():
    loop = Loop().run(100)
    event = loop.curtail(13_000.0, start_in_s=90.0)
    loop.run(80)
    assert all(not d.diagnostics.slack for d in loop.decisions[-38:])
    assert loop.last.diagnostics.limit_w is None
    assert loop.last.commands.table.event.state is EventState.PENDING
    loop.run(60)
    account = settle(loop.fleet.watts, event, baseline_w=14_500.0, interval_s=5.0, until_s=loop.fleet.now_s)
    assert account.intervals_over_limit == 0
    assert loop.lost == 0


def test_a_meter_above_the_model_tightens_what_is_planned():
    loop = Loop().run(100)
    loop.curtail(14_600.0, lasts_s=600.0)
    loop.fleet.meter_gain = 1.06
    loop.run(100)
    told = loop.last.diagnostics
    assert told.bias_w > 300.0
    assert told.measured_w <= 14_600.0
    assert loop.lost == 0


def test_a_rise_of_demand_wakes_sleepers_and_serves_it():
    loop = Loop(rps={"premium": 2.0, "standard": 5.0, "flex": 3.0}).run(100)
    asleep = loop.count(InstanceState.SLEEPING)
    loop.fleet.rps = {"premium": 8.0, "standard": 25.0, "flex": 10.0}
    loop.run(60)
    assert loop.count(InstanceState.SLEEPING) < asleep
    assert loop.last.diagnostics.slack == ()
    assert loop.lost == 0


def test_an_engine_that_dies_is_replaced():
    loop = Loop().run(100)
    victim = next(engine for engine in loop.fleet.engines if engine.state is InstanceState.SERVING)
    victim.state = InstanceState.OFF
    loop.fleet.misrouted = 0
    loop.run(30)
    assert loop.last.diagnostics.slack == ()
    assert victim.instance_id in loop.last.commands.table.draining or victim.state is InstanceState.SERVING


def test_observing_publishes_nothing_and_touches_nothing():
    loop = Loop(replace(ACT, mode=Mode.OBSERVE)).run(80)
    assert not any(decision.publish for decision in loop.decisions)
    assert not any(decision.commands.instances or decision.recommended for decision in loop.decisions)
    assert loop.count(InstanceState.SERVING) == 14
    assert loop.last.plan is not None


def test_recommending_says_what_it_would_do():
    loop = Loop(replace(ACT, mode=Mode.RECOMMEND)).run(80)
    assert not any(decision.publish for decision in loop.decisions)
    assert loop.count(InstanceState.SERVING) == 14
    assert {command.verb for command in loop.last.recommended} == {Verb.SLEEP}
    assert len(loop.last.recommended) >= 8


def test_silent_routers_stop_all_draining_but_not_the_tables():
    loop = Loop().run(34)
    loop.fleet.router_works = False
    before = [(e.instance_id, e.state) for e in loop.fleet.engines]
    loop.run(40)
    assert [(e.instance_id, e.state) for e in loop.fleet.engines] == before
    assert loop.last.commands.table.expires_at_s > loop.fleet.now_s
    assert any(f.ladder == "demand" for f in loop.last.diagnostics.fallbacks)


def obeying(highest, observation):
    return replace(
        observation, router=replace(observation.router, acknowledged_sequence=highest, highest=("r", highest))
    )


@pytest.mark.parametrize("policy", [ACT, replace(ACT, mode=Mode.OBSERVE), replace(ACT, mode=Mode.RECOMMEND)])
def test_routers_that_obey_another_controller_acknowledge_nothing_and_it_is_told(policy):
    loop = Loop(policy)
    others = loop.memory.sequence + 10**6
    for _ in range(60):
        loop.fleet.advance(2.0)
        seen = obeying(others, loop.fleet.observe())
        decision = decide(loop.fleet.site, policy, PLANNER, loop.memory, seen)
        loop.memory = decision.memory
        loop.fleet.obey(decision)
        loop.decisions.append(decision)
    told = [step.reason for step in loop.last.diagnostics.steps_down if step.ladder == "table"]
    if policy.mode is not Mode.ACT:  # it tells routers nothing: they are to obey another
        assert told == []
        return
    assert f"router r obeys table {others}, and the last one issued here" in told[0]
    assert loop.last.diagnostics.draining
    assert loop.count(InstanceState.SLEEPING) == 0
    loop.run(policy.table_ttl_s + 20)
    assert [step for step in loop.last.diagnostics.steps_down if step.ladder == "table"] == []
    assert loop.count(InstanceState.SLEEPING) > 0


def test_a_number_of_a_former_life_is_no_fault_where_the_new_one_goes_on_above_it():
    loop = Loop()
    first = Memory.initial(loop.fleet.site, loop.fleet.now_s - 3600.0).sequence + 1800
    decision = decide(loop.fleet.site, ACT, PLANNER, loop.memory, obeying(first, loop.fleet.observe()))
    assert decision.memory.astray is None


def test_with_the_classes_before_the_contract_the_limit_yields_and_says_so():
    loop = Loop(replace(ACT, precedence=Precedence.QOS)).run(100)
    loop.curtail(9_000.0)
    loop.run(60)
    promises = {slack.promise for slack in loop.last.diagnostics.slack}
    assert "limit" in promises
    assert "serve" not in promises
    assert loop.last.diagnostics.event.over_limit


@pytest.mark.parametrize("precedence", list(Precedence))
def test_what_yields_to_a_rise_of_demand_under_a_limit_is_what_was_declared(precedence):
    loop = Loop(replace(ACT, precedence=precedence), rps={"premium": 2.0, "standard": 5.0, "flex": 3.0}).run(100)
    limit_w = loop.curtail(6_500.0, lasts_s=300.0).limit_w
    loop.run(40)
    loop.fleet.rps = {"premium": 6.0, "standard": 18.0, "flex": 9.0}
    loop.run(120)
    promises = {slack.promise for slack in loop.last.diagnostics.slack}
    if precedence is Precedence.CONTRACT:
        assert loop.last.diagnostics.measured_w <= limit_w
        assert "serve" in promises
        assert "limit" not in promises
    else:
        assert promises == {"limit"}
        assert loop.last.diagnostics.event.over_limit
        assert loop.lost == 0


class DeadSolver:
    """A planner whose solver is gone."""

    def plan(self, data, *, time_limit_s):
        raise SolverError("HiGHS is gone")

    def dispatch(self, data, on):
        raise SolverError("HiGHS is gone")


def test_without_a_solver_the_fleet_is_still_steered_and_nothing_lost():
    loop = Loop(planner=DeadSolver()).run(150)
    event = loop.curtail(13_000.0)
    loop.run(100)
    assert loop.last.plan.origin in (PlanOrigin.GREEDY, PlanOrigin.LAST_PLAN)
    assert any(f.ladder == "plan" for d in loop.decisions for f in d.diagnostics.fallbacks)
    assert loop.fleet.watts[-1][1] <= event.limit_w
    assert loop.lost == 0


def test_a_plan_is_checked_without_a_solver_whoever_made_it(settled):
    known = find_out(settled.fleet.site, ACT, settled.memory, settled.fleet.observe())
    assert violations(PLANNER.plan(known.data, time_limit_s=5.0), known.data) == ()


def without(observation, instance_id):
    """What is seen once an instance has failed."""
    instances = tuple(
        replace(each, state=InstanceState.UNREACHABLE) if each.instance_id == instance_id else each
        for each in observation.instances
    )
    return replace(observation, instances=instances)


def broken_by_one_loss(loop):
    """Promises that the loss of any one serving instance breaks at once."""
    seen, broken = loop.fleet.observe(), set()
    for engine in loop.fleet.engines:
        if engine.state is InstanceState.SERVING:
            after = decide(loop.fleet.site, loop.policy, PLANNER, loop.memory, without(seen, engine.instance_id))
            broken |= {slack.promise for slack in after.diagnostics.slack}
    return broken


def surviving(of):
    return replace(of, classes=tuple(replace(cls, survives_loss=True) for cls in of.classes))


@pytest.mark.parametrize("rps", [BUSY, {"premium": 2.0, "standard": 5.0, "flex": 3.0}])
def test_a_fleet_that_survives_a_loss_serves_all_after_any_instance_failed(rps):
    guarded = Loop(of=surviving(site()), rps=rps).run(120)
    assert guarded.count(InstanceState.SLEEPING) > 0
    assert guarded.last.diagnostics.slack == ()
    broken = broken_by_one_loss(guarded)
    assert "serve" not in broken
    assert "redundancy" in broken


def test_one_that_need_not_survive_it_has_no_room_for_that(settled):
    assert "serve" in broken_by_one_loss(settled)


def test_what_lacks_for_a_loss_is_told(settled):
    after = decide(
        surviving(site()), ACT, PLANNER, settled.memory, without(settled.fleet.observe(), "bf16-0")
    ).diagnostics
    assert "redundancy" in {slack.promise for slack in after.slack}


def lossy_site(**promise):
    """One class, a lossless pool and one that loses 0.012 a token and draws far less."""
    whole = site()
    standard = replace(whole.classes[1], quality_budget_frac=0.004, quality_window_s=1200.0, **promise)
    return replace(whole, pools=(whole.pools[0], whole.pools[2]), classes=(standard,))


def mean_loss(loop, from_s, to_s):
    """Mean quality loss of what one class was served within a time."""

    def served(until_s):
        last = max((d for d in loop.decisions if d.diagnostics.now_s <= until_s), key=lambda d: d.diagnostics.now_s)
        return {pool_id: tokens for cls in last.memory.served for pool_id, tokens in cls.output_tokens_by_pool}

    losses = {pool.pool_id: pool.quality_loss_frac for pool in loop.fleet.site.pools}
    before, after = served(from_s), served(to_s)
    tokens = {pool_id: after[pool_id] - before.get(pool_id, 0.0) for pool_id in after}
    return sum(losses[pool_id] * count for pool_id, count in tokens.items()) / sum(tokens.values())


def test_an_event_may_overdraw_the_budget_of_quality_which_is_paid_back_within_the_window():
    loop = Loop(of=lossy_site(quality_may_overdraw=True), rps={"standard": 18.0}).run(100)
    event = loop.curtail(9_500.0, lasts_s=120.0)
    loop.run(120)
    assert all(slack.promise == "headroom" for d in loop.decisions[-40:-2] for slack in d.diagnostics.slack)
    assert mean_loss(loop, event.start_s + 30.0, event.end_s) > 2 * 0.004
    drawn = loop.last.diagnostics.classes[0]
    assert drawn.quality_left_frac < 0
    loop.run(900)
    assert mean_loss(loop, event.end_s + 60.0, loop.fleet.now_s) < 0.004
    assert mean_loss(loop, event.start_s, loop.fleet.now_s) <= 0.004
    assert loop.last.diagnostics.classes[0].quality_left_frac >= 0
    assert loop.lost == 0


def test_without_that_only_what_was_saved_is_spent():
    loop = Loop(of=lossy_site(), rps={"standard": 16.0}).run(100)
    event = loop.curtail(10_500.0, lasts_s=120.0)
    loop.run(120)
    assert all(slack.promise == "headroom" for d in loop.decisions[-40:-2] for slack in d.diagnostics.slack)
    assert mean_loss(loop, event.start_s + 60.0, event.end_s) > 0.004
    assert loop.last.diagnostics.classes[0].quality_left_frac >= 0


QUICK_STEPS = replace(ACT, step_s=20.0, slow_interval_s=20.0)
RAMPED = replace(QUICK_STEPS, ramp_up_w_per_s=150.0)  # 3,000 W an interval, more than the 2,861 W of any instance


def restored(policy):
    """A curtailment to half of what was drawn, and almost three minutes after it."""
    loop = Loop(policy).run(120)
    event = loop.curtail(7_000.0, lasts_s=100.0)
    loop.run(260)
    return loop, event


def rises_w(loop, from_s, window_s):
    """By how much the meter's reading rose over each window that ends after a time."""
    watts = dict(loop.fleet.watts)
    return [
        now - watts[at_s - window_s] for at_s, now in loop.fleet.watts if at_s > from_s and at_s - window_s in watts
    ]


def decided_w(loop):
    """Power of what each tick decided, by the plan's model."""
    return {d.diagnostics.now_s: d.memory.predicted.samples[-1][1] for d in loop.decisions}


@pytest.fixture(scope="module")
def after_event():
    return restored(RAMPED)


def test_an_events_end_is_followed_by_steps_of_the_ramp_from_the_first_interval_on(after_event):
    loop, event = after_event
    decided = decided_w(loop)
    steps_w = [now - decided[at_s - 20.0] for at_s, now in decided.items() if at_s >= event.end_s]
    assert max(steps_w) <= 3_000.0 + 1.0
    assert decided[event.end_s] <= decided[event.end_s - 2.0] + 3_000.0 + 1.0
    restored_at_s = min(at_s for at_s, now in decided.items() if at_s > event.end_s and now > 13_500.0)
    assert 40.0 <= restored_at_s - event.end_s <= 80.0
    assert loop.last.diagnostics.slack == ()


def test_the_meter_sees_no_rebound_peak(after_event):
    loop, event = after_event
    free, free_event = restored(QUICK_STEPS)
    # A drain takes longer than a wake: the meter sees for some seconds both what comes and what goes.
    assert max(rises_w(loop, event.end_s, 20.0)) < 0.5 * max(rises_w(free, free_event.end_s, 20.0))
    peak_w, free_peak_w = (max(w for t, w in run.fleet.watts if t > event.end_s) for run in (loop, free))
    before_w = next(w for t, w in reversed(loop.fleet.watts) if t <= event.start_s)
    assert free_peak_w - before_w > 2.0 * (peak_w - before_w)


def test_a_ramp_does_not_call_for_plan_after_plan(after_event):
    loop, event = after_event
    plans = [d for d in loop.decisions if d.diagnostics.slow_reasons and d.diagnostics.now_s > event.end_s]
    assert len(plans) <= 160 / RAMPED.slow_interval_s + 4


def test_the_classes_wait_for_the_ramp_where_the_contract_comes_first(after_event):
    loop, event = after_event
    told = {slack.promise for d in loop.decisions for slack in d.diagnostics.slack if d.diagnostics.now_s > event.end_s}
    assert "serve" in told
    assert "ramp" not in told


def test_they_do_not_where_they_come_first_and_the_ramp_tells():
    loop = Loop(replace(RAMPED, precedence=Precedence.QOS), rps={"premium": 2.0, "standard": 5.0, "flex": 3.0}).run(120)
    loop.fleet.rps = {"premium": 8.0, "standard": 25.0, "flex": 10.0}
    surged_s = loop.fleet.now_s
    loop.run(60)
    decided = decided_w(loop)
    assert max(now - decided[at_s - 20.0] for at_s, now in decided.items() if at_s > surged_s) > 3_000.0
    assert loop.last.diagnostics.slack == ()
    assert loop.lost == 0


def test_what_was_drawn_before_is_not_known_at_the_start_nor_after_a_pause_and_that_is_told():
    loop = Loop(RAMPED).run(40)

    def unbound(decision):
        return [f.step for f in decision.diagnostics.fallbacks if f.ladder == "ramp"] == ["first interval unbound"]

    assert [unbound(decision) for decision in loop.decisions] == [True] * 10 + [False] * 10
    loop.fleet.advance(40.0)
    loop.run(2)
    assert unbound(loop.last)


def test_a_missing_meter_leaves_the_ramp_bound_by_what_was_decided():
    loop = Loop(RAMPED).run(40)
    loop.fleet.meter_works = False
    loop.run(30)
    assert {f.ladder for f in loop.last.diagnostics.fallbacks} == {"power"}
    known = find_out(loop.fleet.site, RAMPED, loop.memory, loop.fleet.observe())
    assert known.data.sites[0].drawn_before_w is not None


def test_a_limit_outranks_a_gentle_fall_and_is_not_obeyed_before_it_begins():
    gentle = replace(QUICK_STEPS, ramp_down_w_per_s=145.0)
    loop = Loop(gentle).run(200)
    event = loop.curtail(9_000.0, start_in_s=50.0)
    loop.run(50)
    assert all(not d.diagnostics.slack for d in loop.decisions[-25:-1])
    loop.run(60)
    assert loop.fleet.watts[-1][1] <= event.limit_w
    assert "ramp" not in {slack.promise for d in loop.decisions[-30:] for slack in d.diagnostics.slack}
    assert "limit" not in {slack.promise for slack in loop.last.diagnostics.slack}
