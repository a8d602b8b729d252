from dataclasses import replace

import pytest

from controller.forecast.demand import Demand
from controller.lifecycle.memory import Intent, Phase, Raised
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.problem import Inputs, allowed_pools, build, planned_limits_w, remaining_s
from controller.lifecycle.ramps import Ramps
from controller.lifecycle.views import look
from controller.model.grid import GridEvent, Precedence
from controller.model.mode import Mode
from controller.model.observation import InstanceState
from controller.model.plan import Horizon
from controller.settlement.quality_budget import QualityBurn
from router.contract import InstanceId
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.pool_modes import with_modes

POLICY = TickPolicy(steps=4)
NOW_S = 1000.0


def inputs(fleet=None, intents=(), **changes):
    fleet = fleet or FakeFleet(site(), {})
    views = look(fleet.site, intents, fleet.observe(), stale_s=15.0, retry_s=30.0)
    whole = Inputs(
        now_s=NOW_S,
        views=views,
        demand=(Demand(1000.0, 1155.0, 211.0),) * 3,
        burns=tuple(QualityBurn.empty(cls.class_id, 86_400.0) for cls in fleet.site.classes),
        events=(),
        price_usd_per_mwh=(50.0,) * 4,
        carbon_kg_per_mwh=(400.0,) * 4,
        bias_w=0.0,
        margin_frac=0.03,
        retry_s=30.0,
        ramps=Ramps(),
    )
    return replace(whole, **changes)


def event(start_s, end_s, limit_w=9000.0):
    return GridEvent("e", limit_w, start_s, end_s, 0.0)


def test_an_event_is_planned_for_from_its_first_interval_but_never_early():
    limits = planned_limits_w(None, (event(1030.0, 1130.0),), Horizon(NOW_S, 60.0, 4))
    assert limits == (None, 9000.0, 9000.0, None)
    coming = planned_limits_w(None, (event(1090.0, 1150.0),), Horizon(NOW_S, 60.0, 4))
    assert coming == (None, 9000.0, 9000.0, None)


def test_the_standing_limit_holds_always_and_the_lower_one_wins():
    limits = planned_limits_w(8000.0, (event(1060.0, 1120.0, 9000.0),), Horizon(NOW_S, 60.0, 2))
    assert limits == (8000.0, 8000.0)


def test_the_margin_is_kept_free():
    data = build(site(), POLICY, inputs(events=(event(900.0, 5000.0),)))
    assert data.sites[0].limit_w[0] == pytest.approx(9000.0 * 0.97)


def test_instances_are_counted_by_what_they_are():
    fleet = FakeFleet(site(), {})
    for engine, state in zip(
        fleet.engines, (InstanceState.SERVING, InstanceState.SLEEPING, InstanceState.OFF), strict=False
    ):
        engine.state = state
    fleet.engines[3].state = InstanceState.UNREACHABLE
    pool = build(fleet.site, POLICY, inputs(fleet)).pools[0]
    assert (pool.instances, pool.on_now, pool.sleeping_now, pool.max_on) == (3, 1, 1, 3)


def test_what_cannot_be_reached_is_taken_to_draw_its_idle_power():
    fleet = FakeFleet(site(), {})
    fleet.engines[0].state = InstanceState.UNREACHABLE
    assert build(fleet.site, POLICY, inputs(fleet)).sites[0].spare_w == pytest.approx(site().pools[0].curves.idle_w)


@pytest.mark.parametrize("may_stop", [True, False])
def test_a_sleeper_that_is_let_go_draws_on_where_the_plan_counts_it_as_off(may_stop):
    fleet = FakeFleet(site(), {})
    fleet.engines[0].state = InstanceState.SLEEPING
    views = inputs(fleet).views
    gone = replace(views[0], pool=replace(views[0].pool, may_stop=may_stop))
    curves = gone.pool.curves
    for is_let_go in (True, False):
        seen = replace(gone, seen=replace(gone.seen, is_let_go=is_let_go))
        data = build(fleet.site, POLICY, inputs(fleet, views=(seen, *views[1:])))
        drawn_w = curves.sleeping_w - curves.off_w if may_stop and is_let_go else 0.0
        assert data.sites[0].spare_w == pytest.approx(drawn_w)
        assert data.pools[0].sleeping_now == 1


def test_a_draining_instance_is_still_on():
    fleet = FakeFleet(site(), {})
    drain = (Intent(fleet.engines[0].instance_id, Phase.DRAIN, 990.0, 3),)
    assert build(fleet.site, POLICY, inputs(fleet, drain)).pools[0].on_now == 4


def test_on_a_full_site_what_drains_counts_as_gone_so_that_to_take_it_back_is_a_move():
    fleet = FakeFleet(site(), {})
    fleet.engines[1].state = InstanceState.SLEEPING
    drain = (Intent(fleet.engines[0].instance_id, Phase.DRAIN, 990.0, 3),)
    within, full = (build(fleet.site, POLICY, inputs(fleet, drain, is_full=each)).pools[0] for each in (False, True))
    assert (within.on_now, within.sleeping_now, within.max_on) == (3, 1, 4)
    assert (full.on_now, full.sleeping_now, full.max_on) == (2, 2, 4)
    pools = (replace(fleet.site.pools[0], can_sleep=False, may_stop=True), *fleet.site.pools[1:])
    stopped = build(replace(fleet.site, pools=pools), POLICY, inputs(fleet, drain, is_full=True)).pools[0]
    assert (stopped.on_now, stopped.sleeping_now) == (2, 1), "one that cannot sleep is off once it has drained"


def test_an_instance_that_is_starting_is_late_and_cannot_be_put_to_sleep():
    fleet = FakeFleet(site(), {})
    fleet.engines[0].state = InstanceState.STARTING
    starting = (Intent(fleet.engines[0].instance_id, Phase.WAKE, 970.0, commanded_s=970.0),)
    pool = build(fleet.site, POLICY, inputs(fleet, starting)).pools[0]
    assert pool.late == pytest.approx((1.0, 10 / 60, 0.0, 0.0))  # 70 of 100 s are left
    assert pool.locked[:2] == (1, 1)


def test_one_that_does_not_come_is_given_up():
    fleet = FakeFleet(site(), {})
    fleet.engines[0].state = InstanceState.SLEEPING
    waking = Intent(fleet.engines[0].instance_id, Phase.WAKE, 900.0)
    view = look(fleet.site, (waking,), fleet.observe(), stale_s=15.0, retry_s=30.0)[0]
    assert remaining_s(view, 903.0, 30.0) == pytest.approx(2.0)
    assert remaining_s(view, NOW_S, 30.0) == float("inf")
    assert build(fleet.site, POLICY, inputs(fleet, (waking,))).pools[0].late == (1.0,) * 4


@pytest.mark.parametrize(
    ("changes", "locked"),
    [
        ({}, (1, 0, 0, 0)),
        ({"events": (event(996.0, 1100.0),)}, (0, 0, 0, 0)),
        ({"events": (event(1200.0, 1300.0),)}, (0, 0, 0, 0)),
        ({"events": (event(900.0, 1100.0),)}, (1, 0, 0, 0)),
        ({"events": (event(9000.0, 9900.0),)}, (1, 0, 0, 0)),
        ({"over_limit": True}, (0, 0, 0, 0)),
    ],
    ids=[
        "calm",
        "called since",
        "called soon",
        "brought up for the event",
        "called beyond the horizon",
        "over the limit",
    ],
)
def test_an_event_releases_the_instances_brought_up_before_it_began(changes, locked):
    fleet = FakeFleet(site(), {})
    young = (Intent(fleet.engines[0].instance_id, Phase.SERVE, 995.0),)
    assert build(fleet.site, POLICY, inputs(fleet, young, **changes)).pools[0].locked == locked


def test_a_limit_that_always_holds_is_no_event():
    """Nor does it let the classes spend what they saved for one."""
    fleet = FakeFleet(site(import_limit_w=20_000.0), {"standard": 100.0})
    young = (Intent(fleet.engines[0].instance_id, Phase.SERVE, 995.0),)
    saved = tuple(
        QualityBurn.empty(cls.class_id, cls.quality_window_s).with_tokens(NOW_S - 100.0, 1e9, 0.0)
        for cls in fleet.site.classes
    )
    standing = build(fleet.site, POLICY, inputs(fleet, young, burns=saved))
    called = build(fleet.site, POLICY, inputs(fleet, young, burns=saved, events=(event(990.0, 1100.0),)))
    assert standing.pools[0].locked == (1, 0, 0, 0)
    assert standing.classes[1].quality_budget_frac[0] < called.classes[1].quality_budget_frac[0]


def test_a_class_gets_only_precisions_it_allows_and_that_keep_its_latency():
    premium = site().classes[0]
    kept = (0.8, 0.8, 0.8)
    assert allowed_pools(site(), premium, (90.0, 90.0, 90.0), kept) == (True, True, False)
    assert allowed_pools(site(), premium, (90.0, 0.5, 90.0), kept) == (True, False, False)
    assert allowed_pools(site(), premium, (0.0, 0.0, 90.0), kept) == (True, True, False)


def test_a_pool_that_cannot_keep_the_time_to_first_token_is_left_out_unless_none_can():
    premium = site().classes[0]
    batches = (90.0, 90.0, 90.0)
    assert allowed_pools(site(), premium, batches, (0.8, 0.0, 0.8)) == (True, False, False)
    assert allowed_pools(site(), premium, batches, (0.0, 0.0, 0.8)) == (True, True, False)
    assert allowed_pools(site(), premium, (90.0, 0.5, 90.0), (0.0, 0.0, 0.8)) == (True, False, False)


def hurried(ttft_slo_s, r=0):
    whole = site()
    classes = tuple(replace(cls, ttft_slo_s=ttft_slo_s if i == r else 60.0) for i, cls in enumerate(whole.classes))
    return replace(whole, classes=classes)


def test_a_tight_time_to_first_token_leaves_room_on_the_pools_the_class_may_use():
    calm, tight = (build(hurried(slo_s), POLICY, inputs()) for slo_s in (60.0, 0.09))
    assert calm.allowed == tight.allowed == build(site(), POLICY, inputs()).allowed
    for r in range(3):
        dearer = [b / a for a, b in zip(calm.busy_s_per_token[r], tight.busy_s_per_token[r], strict=True)]
        assert dearer[0] > 1.01  # premium may use it, and every class there waits in the same engines
        assert dearer[2] == 1.0  # premium may not


def test_a_class_without_demand_takes_no_room_for_its_time_to_first_token():
    idle = (Demand(0.0, 1155.0, 211.0), *(Demand(1000.0, 1155.0, 211.0),) * 2)
    calm, tight = (build(hurried(slo_s), POLICY, inputs(demand=idle)) for slo_s in (60.0, 0.09))
    assert calm.busy_s_per_token == tight.busy_s_per_token


def test_a_time_to_first_token_below_prefill_and_step_leaves_the_faster_pool_alone():
    alone_s = [p.curves.step_base_s + p.curves.prefill_s_per_token * 1155.0 for p in site().pools]
    data = build(hurried(sum(alone_s[:2]) / 2 + 0.002), POLICY, inputs())
    assert alone_s[0] < alone_s[1]
    assert data.allowed[0] == (True, False, False)


def test_a_time_to_first_token_that_no_pool_keeps_is_served_as_without_it():
    calm, hopeless = (build(hurried(slo_s), POLICY, inputs()) for slo_s in (60.0, 0.01))
    assert hopeless.allowed == calm.allowed
    assert hopeless.busy_s_per_token == calm.busy_s_per_token


def test_savings_of_quality_are_spent_only_under_a_limit():
    saved = tuple(QualityBurn.empty(cls.class_id, 86_400.0).with_tokens(0.0, 1e8, 0.0) for cls in site().classes)
    data = build(site(), POLICY, inputs(burns=saved, events=(event(1060.0, 1120.0),)))
    budget = data.classes[1].quality_budget_frac
    assert budget[0] == pytest.approx(0.006)
    assert budget[1] > 0.1


@pytest.mark.parametrize("price", [0.0, 50.0, 5000.0, -50.0])
@pytest.mark.parametrize("precedence", list(Precedence))
def test_prices_of_promises_stand_in_the_declared_order(price, precedence):
    policy = replace(POLICY, precedence=precedence)
    data = build(site(), policy, inputs(price_usd_per_mwh=(price,) * 4))
    serve = min(cls.serve_usd_per_token for cls in data.classes)
    worst_loss = max(pool.quality_loss_frac for pool in data.pools)
    dearest_j = max(abs(usd) for usd in data.energy_usd_per_w[0]) / data.horizon.dt_s
    assert data.quality_usd_per_token * worst_loss < serve
    hungriest_j = data.sites[0].pue * max(pool.p0_w for pool in data.pools)
    assert serve > dearest_j * hungriest_j
    if precedence is Precedence.CONTRACT:
        least_j = data.sites[0].pue * min(min(row) for row in data.j_per_token)
        assert data.limit_usd_per_j * least_j > max(cls.serve_usd_per_token for cls in data.classes)
    else:
        assert dearest_j < data.limit_usd_per_j < serve / hungriest_j


RAMPED = Ramps(up_w=3000.0, down_w=4000.0, before_w=9000.0, margin_w=100.0)


def test_ramps_are_planned_from_what_was_drawn_before_with_the_correction_of_now():
    calm = build(site(), POLICY, inputs())
    meter = calm.sites[0]
    assert (meter.ramp_w, meter.ramp_down_w, meter.drawn_before_w) == (None, None, None)
    assert not calm.moves_anywhen
    ramped = build(site(), POLICY, inputs(ramps=RAMPED, bias_w=70.0))
    meter = ramped.sites[0]
    assert (meter.ramp_w, meter.ramp_down_w, meter.drawn_before_w) == (3000.0, 4000.0, 9170.0)
    assert ramped.moves_anywhen
    unknown = build(site(), POLICY, inputs(ramps=replace(RAMPED, before_w=None)))
    assert unknown.sites[0].drawn_before_w is None


def test_only_classes_that_ask_for_it_survive_a_loss_or_overdraw_their_quality():
    whole = site()
    first = replace(whole.classes[0], survives_loss=True, quality_may_overdraw=True)
    guarded = replace(whole, classes=(first, *whole.classes[1:]))
    calm, called = (build(guarded, POLICY, inputs(events=events)) for events in ((), (event(NOW_S, 1120.0),)))
    assert [cls.survives_loss for cls in calm.classes] == [True, False, False]
    assert [cls.quality_window for cls in calm.classes] == [False] * 3
    assert [cls.quality_window for cls in called.classes] == [True, False, False]


def test_nothing_is_saved_for_an_event_before_it_begins():
    whole = site()
    first = replace(whole.classes[0], quality_may_overdraw=True)
    coming = build(replace(whole, classes=(first, *whole.classes[1:])), POLICY, inputs(events=(event(1060.0, 1120.0),)))
    assert any(limit is not None for limit in coming.sites[0].limit_w)
    assert not any(cls.quality_window for cls in coming.classes)


def test_of_overlapping_events_the_most_restrictive_wins_in_each_interval():
    events = (event(900.0, 1200.0, 9000.0), event(1055.0, 1115.0, 7000.0), event(1055.0, 1300.0, 12_000.0))
    assert planned_limits_w(None, events, Horizon(NOW_S, 60.0, 4)) == (9000.0, 7000.0, 9000.0, 9000.0)
    twice = (*events, *events)
    assert planned_limits_w(None, twice, Horizon(NOW_S, 60.0, 4)) == (9000.0, 7000.0, 9000.0, 9000.0)


@pytest.mark.parametrize(
    ("changes", "locked"),
    [
        ({}, (4, 4, 0, 0)),
        ({"over_limit": True}, (0, 0, 0, 0)),
        ({"events": (event(990.0, 1100.0),)}, (0, 0, 0, 0)),
        ({"events": (event(800.0, 1100.0),)}, (4, 4, 0, 0)),
        ({"raised": ()}, (0, 0, 0, 0)),
    ],
)
def test_a_pool_that_was_raised_keeps_its_instances_for_a_while_unless_a_limit_calls(changes, locked):
    """It was raised half a minute ago; all four serve for long."""
    settled = replace(site(), pools=tuple(replace(pool, lower_after_s=120.0) for pool in site().pools))
    raised = (Raised(settled.pools[0].pool_id, NOW_S - 30.0),)
    data = build(settled, POLICY, inputs(FakeFleet(settled, {}), **{"raised": raised, **changes}))
    assert data.pools[0].locked == locked
    assert data.pools[1].locked == (0, 0, 0, 0)


def posed(of, intents=(), states=None, **changes):
    fleet = FakeFleet(of, {})
    for engine in fleet.engines:
        engine.state = (states or {}).get(engine.instance_id, InstanceState.SERVING)
    return build(of, POLICY, inputs(fleet, intents, **changes)).pools[0]


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_a_pool_that_is_held_is_planned_as_it_is_found(mode):
    whole = site()
    bound = replace(whole, pools=(replace(whole.pools[0], min_on=4, max_on=1), *whole.pools[1:]))
    states = {"bf16-0": InstanceState.SLEEPING, "bf16-1": InstanceState.OFF}
    told = posed(with_modes(bound, bf16=mode), states=states)
    assert (told.is_held, told.on_now, told.sleeping_now, told.instances) == (True, 2, 1, 4)
    assert told.min_on == told.max_on == 2
    assert not posed(site()).is_held


def test_what_others_wake_of_it_is_on_and_late():
    waking = (Intent(InstanceId("bf16-0"), Phase.WAKE, NOW_S),)
    told = posed(with_modes(site(), bf16=Mode.OBSERVE), waking, {"bf16-0": InstanceState.WAKING})
    assert told.on_now == told.min_on == told.max_on == 4
    assert 0.0 < told.late[0] < 1.0
