from dataclasses import replace

import pytest

from controller.forecast.demand import PATIENCE_S
from controller.lifecycle.knowledge import account, find_out
from controller.lifecycle.limits import Followed
from controller.lifecycle.memory import Intent, Memory, Phase
from controller.lifecycle.policy import TickPolicy
from controller.model.fleet import resting_awake
from controller.model.grid import GridEvent
from controller.model.mode import Mode
from controller.model.observation import Missing, PowerLadder, Quality, Reading, Rung
from tests.fakes.fake_fleet import BF16, FakeFleet, site
from tests.fakes.pool_modes import with_modes

ACT = TickPolicy(mode=Mode.ACT)


def fleet(seconds=10.0):
    made = FakeFleet(site(), {"premium": 2.0, "standard": 5.0, "flex": 1.0})
    made.advance(seconds)
    return made


def known(observation, policy=ACT, memory=None):
    return find_out(site(), policy, memory or Memory.initial(site(), 0.0), observation)


def test_a_wider_margin_is_kept_while_power_is_only_modelled():
    running = fleet()
    running.events = (GridEvent("e", 20_000.0, 0.0, 1e6, 0.0),)
    seen = known(running.observe())
    running.meter_works = False
    blind = known(running.observe())
    assert seen.data.sites[0].limit_w[0] == pytest.approx(20_000.0 * (1 - ACT.margin_frac))
    assert blind.data.sites[0].limit_w[0] == pytest.approx(20_000.0 * (1 - ACT.blind_margin_frac))
    assert blind.measured.value_w is None


def test_demand_lasts_while_the_routers_are_silent():
    running = fleet()
    first = known(running.observe())
    running.advance(2.0)
    second = known(running.observe(), memory=replace(Memory.initial(site(), 0.0), demand=first.demand_state))
    running.router_works = False
    memory = replace(Memory.initial(site(), 0.0), demand=second.demand_state)
    silent = known(running.observe(), memory=memory)
    assert [d.output_tokens_per_s for d in silent.demand] == [d.output_tokens_per_s for d in second.demand]
    assert silent.holding == "the routers do not report"


def test_instances_are_planned_for_a_quantile_and_the_dispatch_for_now():
    running, memory = fleet(0.0), Memory.initial(site(), 0.0)
    for _ in range(40):
        running.advance(60.0)
        told = known(running.observe(), memory=memory)
        memory = replace(memory, demand=told.demand_state, forecasts=told.forecasts)
    present = told.demand[1].output_tokens_per_s
    planned = told.data.classes[1].demand_tokens_per_s
    assert planned == told.demand[1].ahead_tokens_per_s
    assert planned[0] >= present
    assert told.present.classes[1].demand_tokens_per_s[0] == present
    assert told.present.classes[1].demand_tokens_per_s[1:] == planned[1:]


def test_at_the_start_the_present_demand_is_planned_throughout():
    told = known(fleet().observe())
    for cls, demand in zip(told.data.classes, told.demand, strict=True):
        assert cls.demand_tokens_per_s == (demand.output_tokens_per_s,) * ACT.steps


def test_what_waits_is_dispatched_before_it_is_refused_and_planned_over_the_interval():
    observation = fleet().observe()
    waits = tuple(replace(seen, queued=300) for seen in observation.router.demand)
    observation = replace(observation, router=replace(observation.router, demand=waits))
    told = known(observation, replace(ACT, step_s=300.0))
    planned = told.data.classes[1].demand_tokens_per_s[0]
    dispatched = told.present.classes[1].demand_tokens_per_s[0]
    of_request = told.demand[1].output_tokens
    assert dispatched - planned == pytest.approx(300 * of_request / PATIENCE_S - 300 * of_request / 300.0)


def test_only_acting_remembers_wishes():
    running = fleet()
    drain = (Intent(running.engines[0].instance_id, Phase.DRAIN, 0.0, 1),)
    memory = replace(Memory.initial(site(), 0.0), intents=drain)
    assert known(running.observe(), memory=memory).views[0].intent.phase is Phase.DRAIN
    assert known(running.observe(), TickPolicy(), memory).views[0].intent.phase is Phase.SERVE


def test_measured_power_goes_into_the_history_and_a_missing_one_does_not():
    running = fleet()
    memory = account(site(), ACT, Memory.initial(site(), 0.0), running.observe())
    assert memory.history.samples == ((running.now_s, running.power_w),)
    blind = replace(running.observe(), site_power=Missing("meter", "unplugged", 0.0))
    assert account(site(), ACT, Memory.initial(site(), 0.0), blind).history.samples == ()


def test_a_baseline_does_not_hold_the_events_own_power():
    running = fleet()
    memory = Memory.initial(site(), 0.0)
    for _ in range(5):
        running.advance(10.0)
        memory = account(site(), ACT, memory, running.observe())
    before = sum(watts for _, watts in memory.history.samples) / 5
    running.events = (GridEvent("e", 9000.0, running.now_s + 5.0, 1e6, 0.0),)
    running.advance(10.0)
    running.meter_gain = 0.1
    assert dict(account(site(), ACT, memory, running.observe()).baselines_w)["e"] == pytest.approx(before)


def test_quality_is_burnt_from_the_second_report_on():
    running = fleet()
    memory = account(site(), ACT, Memory.initial(site(), 0.0), running.observe())
    running.advance(10.0)
    assert account(site(), ACT, memory, running.observe()).burns[1].tokens > 0


@pytest.mark.parametrize(
    ("rung", "quality", "margin_frac"),
    [
        (Rung.METER, Quality.DIRECT, ACT.margin_frac),
        (Rung.NVML, Quality.ESTIMATED, ACT.nvml_margin_frac),
        (Rung.DCGM, Quality.ESTIMATED, ACT.dcgm_margin_frac),
        (Rung.MODEL, Quality.ESTIMATED, ACT.blind_margin_frac),
        (Rung.DCGM, Quality.EMULATED, ACT.margin_frac),
        (Rung.MODEL, Quality.EMULATED, ACT.blind_margin_frac),
    ],
)
def test_the_margin_follows_the_rung_and_the_emulated_are_exact(rung, quality, margin_frac):
    running = fleet()
    running.events = (GridEvent("e", 20_000.0, 0.0, 1e6, 0.0),)
    observed = running.observe()
    power = replace(observed.site_power, quality=quality)
    told = known(replace(observed, site_power=power, power_ladder=PowerLadder(rung, Rung.METER, "a test")))
    assert told.margin_frac == margin_frac
    assert told.data.sites[0].limit_w[0] == pytest.approx(20_000.0 * (1 - margin_frac))
    assert told.measured.rung is rung
    assert told.measured.fallback == (None if rung is Rung.METER else (rung.value, "a test"))


def test_the_margin_follows_the_error_of_the_meter_in_force():
    running = fleet()
    running.events = (GridEvent("e", 20_000.0, 0.0, 1e6, 0.0),)
    told = known(replace(running.observe(), power_ladder=PowerLadder(Rung.METER, Rung.METER, error_frac=0.06)))
    assert told.margin_frac == 0.06
    assert told.data.sites[0].limit_w[0] == pytest.approx(20_000.0 * 0.94)


def test_what_may_be_drawn_again_after_an_event_is_by_the_same_margin():
    running = fleet()
    event = GridEvent("e", 50_000.0, 0.0, running.now_s - 1.0, 0.0, restore_w_per_s=1.0)
    before = replace(Memory.initial(site(), 0.0), followed=Followed(active=(event,)))
    observed = replace(running.observe(), power_ladder=PowerLadder(Rung.METER, Rung.METER, error_frac=0.06))
    (back,) = account(site(), ACT, before, observed).followed.returns
    assert back.from_w == pytest.approx(observed.site_power.value_w / 0.94)


def hardly_working(**changes):
    """What is known of a site whose first instance worked for a tenth of the last two seconds."""
    at = FakeFleet(site(), {}).observe()
    before = known(at)
    later_s = at.now_s + 2.0
    seen = [replace(each, observed_at_s=later_s) for each in at.instances]
    seen[0] = replace(seen[0], generation_tokens=0.2 / (BF16.step_base_s + BF16.step_per_seq_s))
    memory = replace(Memory.initial(site(), at.now_s), tokens=before.tokens)
    return known(replace(at, now_s=later_s, instances=tuple(seen), **changes), memory=memory)


def test_an_instance_that_hardly_worked_breaks_no_limit_and_is_not_corrected_for():
    unplugged = Missing("meter", "unplugged", 0.0)
    alone = hardly_working(site_power=unplugged)
    assert alone.charged_w - alone.modelled_w == pytest.approx(0.9 * 1.1 * (BF16.p0_w - BF16.idle_w))
    between_w = 0.5 * (alone.charged_w + alone.modelled_w)
    event = GridEvent("e", between_w, 900.0, 2000.0, 900.0)
    assert not hardly_working(site_power=unplugged, events=(event,)).over_limit
    assert hardly_working(site_power=unplugged, events=(replace(event, limit_w=0.9 * alone.modelled_w),)).over_limit
    metered = hardly_working(site_power=Reading(between_w, None, alone.now_s, "meter", Quality.DIRECT))
    assert metered.data.sites[0].bias_w == 0.0


def test_what_is_meant_for_instances_of_a_pool_that_is_held_is_what_they_do():
    running, held = fleet(), with_modes(site(), bf16=Mode.OBSERVE)
    meant = tuple(Intent(engine.instance_id, Phase.DRAIN, 0.0) for engine in running.engines)
    views = find_out(held, ACT, replace(Memory.initial(held, 0.0), intents=meant), running.observe()).views
    assert {view.intent.phase for view in views if view.pool.is_held} == {Phase.SERVE}
    assert {view.intent.phase for view in views if not view.pool.is_held} == {Phase.DRAIN}


def test_nobody_rests_awake_in_a_pool_that_is_held():
    running, whole = fleet(0.0), site()
    awake = replace(whole, pools=(resting_awake(whole.pools[0]), *whole.pools[1:]))
    resting = tuple(Intent(engine.instance_id, Phase.SLEEP, 0.0, commanded_s=0.0) for engine in running.engines[:4])

    def phases(of):
        memory = replace(Memory.initial(of, 0.0), intents=resting)
        return {view.intent.phase for view in find_out(of, ACT, memory, running.observe()).views if not view.pool_index}

    assert phases(awake) == {Phase.SLEEP}
    assert phases(with_modes(awake, bf16=Mode.OBSERVE)) == {Phase.SERVE}
