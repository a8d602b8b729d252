from dataclasses import replace

import pytest

from controller.forecast.demand import Demand
from controller.lifecycle.memory import Intent, Phase
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.problem import Inputs, build
from controller.lifecycle.ramps import Ramps
from controller.lifecycle.table import body, issue, with_event
from controller.lifecycle.views import look
from controller.model.grid import GridEvent
from controller.model.observation import InstanceState
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.workload import Lengths, slo_batch
from controller.settlement.quality_budget import QualityBurn
from router.contract import EventState, decode, encode
from tests.fakes.fake_fleet import BF16, FakeFleet, site

PLANNER = CvxpyPlanner(lambda: 0.0)
POLICY = TickPolicy(issuer="a", table_ttl_s=30.0, steps=2)
LENGTHS = (Lengths(1155.0, 211.0),) * 3
NOW_S = 1000.0


def content(tokens_per_s=1000.0, states=None, intents=(), limit_w=None, lengths=LENGTHS, first_tokens_per_s=None):
    fleet = FakeFleet(site(), {})
    for engine in fleet.engines:
        engine.state = (states or {}).get(engine.instance_id, InstanceState.SERVING)
    views = look(fleet.site, intents, fleet.observe(), stale_s=15.0, retry_s=30.0)
    data = build(
        fleet.site,
        POLICY,
        Inputs(
            now_s=NOW_S,
            views=views,
            demand=tuple(
                Demand(
                    tokens_per_s if r or first_tokens_per_s is None else first_tokens_per_s,
                    each.input_tokens,
                    each.output_tokens,
                )
                for r, each in enumerate(lengths)
            ),
            burns=tuple(QualityBurn.empty(cls.class_id, 86_400.0) for cls in fleet.site.classes),
            events=() if limit_w is None else (GridEvent("e", limit_w, 0.0, 1e6, 0.0),),
            price_usd_per_mwh=(50.0,) * 2,
            carbon_kg_per_mwh=(400.0,) * 2,
            bias_w=0.0,
            margin_frac=0.0,
            retry_s=30.0,
            ramps=Ramps(),
        ),
    )
    serving = tuple(sum(view.serves and view.pool_index == k for view in views) for k in range(3))
    return body(fleet.site, data, PLANNER.dispatch(data, serving), views, lengths)


def weights(made, class_id):
    entry = next(entry for entry in made.weights if entry.class_id == class_id)
    return {pool.pool_id: pool.weight for pool in entry.pools}


def asleep(pool, count):
    return {f"{pool}-{n}": InstanceState.SLEEPING for n in range(count)}


def table(made, last=None, now_s=NOW_S, sequence=7):
    return issue(made, last, POLICY, sequence=sequence, now_s=now_s)


def test_weights_are_shares_of_the_dispatched_tokens():
    for class_id in ("premium", "standard", "flex"):
        assert sum(weights(content(), class_id).values()) == pytest.approx(1.0, abs=1e-3)


def test_a_class_never_gets_weight_on_a_precision_it_may_not_use():
    assert "int4" not in weights(content(), "premium")
    only_int4 = {**asleep("bf16", 4), **asleep("fp8", 5)}
    assert set(weights(content(states=only_int4), "premium")) <= {"bf16", "fp8"}


def test_a_pool_without_serving_instances_gets_none_while_another_serves():
    assert "fp8" not in weights(content(states=asleep("fp8", 5)), "standard")


def test_every_class_has_somewhere_to_go_even_when_all_of_it_is_shed():
    shed = content(tokens_per_s=4000.0, states={**asleep("bf16", 4), **asleep("fp8", 4), **asleep("int4", 5)})
    assert all(entry.pools for entry in shed.weights)
    assert {entry.class_id for entry in shed.weights} == {"premium", "standard", "flex"}


def test_instances_that_are_not_to_serve_get_nothing_new():
    drain = (Intent("fp8-3", Phase.DRAIN, NOW_S - 5.0),)  # type: ignore[arg-type]
    made = content(states={**asleep("bf16", 1), "int4-0": InstanceState.OFF}, intents=drain)
    assert set(made.draining) == {"bf16-0", "fp8-3", "int4-0"}


def test_an_engine_that_does_not_answer_is_the_routers_to_judge():
    made = content(states={"fp8-3": InstanceState.UNREACHABLE})
    assert "fp8-3" not in made.draining


def test_caps_keep_the_latency_of_the_classes_served():
    made = content()
    caps = {cap.instance_id: cap.max_in_flight for cap in made.caps}
    assert len(caps) == 14
    assert caps["bf16-0"] == int(slo_batch(BF16, site().classes[0], LENGTHS[0]))


def test_a_limit_that_sheds_lowers_the_caps():
    shed_by_limit = content(tokens_per_s=4000.0, limit_w=32_500.0)
    free = {cap.instance_id: cap.max_in_flight for cap in content(tokens_per_s=4000.0).caps}
    low = {cap.instance_id: cap.max_in_flight for cap in shed_by_limit.caps}
    assert sum(low.values()) < sum(free.values())
    assert min(low.values()) >= 1


def test_where_instances_alone_exceed_a_limit_one_of_each_pool_takes_what_trickles_through():
    made = content(limit_w=5_000.0)
    counts = {pool.pool_id: len(pool.instances) for pool in site().pools}
    assert len(made.draining) == sum(counts.values()) - len(counts)
    caps = {cap.instance_id: cap.max_in_flight for cap in made.caps}
    assert [caps[f"{name}-0"] for name in counts] == list(counts.values())
    assert not {f"{name}-0" for name in counts} & set(made.draining)
    assert content(tokens_per_s=4000.0, limit_w=32_500.0).draining == ()


def test_the_event_in_force_is_told_before_the_next_one():
    made = content()
    active, pending = GridEvent("now", 9000.0, 900.0, 1100.0, 0.0), GridEvent("next", 5000.0, 1050.0, 2000.0, 0.0)
    told = with_event(made, (pending, active), NOW_S).event
    assert (told.event_id, told.state, told.ends_at_s) == ("now", EventState.ACTIVE, 1100.0)
    assert with_event(made, (pending,), NOW_S).event.state is EventState.PENDING
    assert with_event(made, (replace(active, end_s=950.0),), NOW_S).event is None


def test_a_table_is_valid_for_its_time_and_readable():
    made = table(content())
    assert (made.sequence, made.expires_at_s - made.issued_at_s) == (8, 30.0)
    assert decode(encode(made)) == made


def test_an_unchanged_table_stays_until_half_of_its_time():
    first = table(content())
    assert table(content(), first, NOW_S + 14.0, 8) is first
    renewed = table(content(), first, NOW_S + 15.0, 8)
    assert (renewed.sequence, renewed.expires_at_s) == (9, NOW_S + 45.0)


def test_a_change_is_issued_at_once():
    first = table(content())
    assert table(content(states=asleep("bf16", 1)), first, NOW_S + 2.0, 8).sequence == 9


def test_small_changes_of_weights_move_no_sessions():
    first = table(content(1000.0))
    assert table(content(1000.5), first, NOW_S + 2.0, 8) is first


def test_a_few_long_prompts_do_not_take_the_batch_from_all():
    """The batch's steps take what the mix of prompts takes, not what the longest of them alone would."""
    others = {**asleep("fp8", 6), **asleep("int4", 6)}
    even = {cap.instance_id: cap.max_in_flight for cap in content(states=others).caps}
    one_long = (Lengths(20_000.0, 30.0), *LENGTHS[1:])
    made = content(states=others, lengths=one_long, first_tokens_per_s=10.0)
    mixed = {cap.instance_id: cap.max_in_flight for cap in made.caps}
    alone = int(slo_batch(BF16, site().classes[0], one_long[0]))
    assert alone < 0.5 * even["bf16-0"]
    assert mixed["bf16-0"] > 0.7 * even["bf16-0"]


def test_under_a_limit_a_class_that_is_held_wakes_no_idle_pool():
    free = content(0.0, first_tokens_per_s=500.0)
    held = content(0.0, first_tokens_per_s=500.0, limit_w=60_000.0)
    first, *others = site().classes
    for cls in others:
        assert set(weights(held, cls.class_id)) < set(weights(held, first.class_id))
        assert len(weights(free, cls.class_id)) == 3


def test_under_a_limit_caps_leave_no_more_room_than_it_does():
    fleet = FakeFleet(site(), {})
    free = {cap.instance_id: cap.max_in_flight for cap in content().caps}
    drawn_w = 1.2 * sum(pool.curves.p0_w * len(pool.instances) for pool in fleet.site.pools)
    caps = {cap.instance_id: cap.max_in_flight for cap in content(limit_w=1.04 * drawn_w).caps}
    assert any(caps[name] < free[name] for name in free)
    assert all(caps[name] <= free[name] for name in free)
    assert {cap.instance_id: cap.max_in_flight for cap in content(limit_w=1e6).caps} == free
