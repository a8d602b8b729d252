"""Power by the model, beside what an emulated engine draws: its physics alone, no GPU."""

from dataclasses import replace
from random import Random

import pytest

from controller.lifecycle.memory import Intent, Phase, TokenCount
from controller.lifecycle.modelled_power import (
    charged_at_meter_w,
    charged_power_w,
    count_tokens,
    draining_power_w,
    instance_power_w,
    modelled_power_w,
)
from controller.lifecycle.views import look
from controller.model.observation import InstanceState
from tests.fakes.engine_windows import Driven
from tests.fakes.fake_fleet import BF16, FakeFleet, site

NOW_S = 1000.0
TICK_S = 5.0


def observed(**changes):
    return replace(FakeFleet(site(), {}).observe(), **changes)


def views_of(observation, intents=()):
    return look(site(), intents, observation, stale_s=15.0, retry_s=30.0)


def test_token_rates_come_from_counters_and_survive_a_restart():
    first = observed()
    seen = first.instances[0]
    counts = count_tokens(views_of(first), ())
    later = replace(
        first,
        now_s=NOW_S + 2,
        instances=(replace(seen, observed_at_s=NOW_S + 2, generation_tokens=500.0, prompt_tokens=2000.0),),
    )
    rated = count_tokens(views_of(later), counts)
    assert (rated[0].generation_per_s, rated[0].prompt_per_s) == (250.0, 1000.0)
    assert count_tokens(views_of(later), rated) == rated
    reset = replace(later, now_s=NOW_S + 4, instances=(replace(seen, observed_at_s=NOW_S + 4, generation_tokens=10.0),))
    assert count_tokens(views_of(reset), rated)[0].generation_per_s == 0.0


@pytest.mark.parametrize(
    ("state", "running", "power_w"),
    [
        (InstanceState.SERVING, 0, BF16.idle_w),
        (InstanceState.SERVING, 5, BF16.p0_w),
        (InstanceState.SLEEPING, 0, BF16.sleeping_w),
        (InstanceState.OFF, 0, BF16.off_w),
        (InstanceState.WAKING, 0, BF16.idle_w),
    ],
)
def test_an_instance_draws_by_its_state(state, running, power_w):
    seen = observed()
    first = replace(seen.instances[0], state=state, running=running)
    view = views_of(replace(seen, instances=(first, *seen.instances[1:])))[0]
    assert instance_power_w(view, None) == pytest.approx(power_w)


def test_an_engine_that_counts_as_asleep_though_it_is_awake_draws_what_an_idle_one_does():
    seen = observed()
    first = replace(seen.instances[0], state=InstanceState.SLEEPING, is_unproven=True)
    view = views_of(replace(seen, instances=(first, *seen.instances[1:])))[0]
    assert instance_power_w(view, None) == charged_power_w(view, None) == pytest.approx(BF16.idle_w)


def test_tokens_add_to_it():
    seen = observed()
    view = views_of(replace(seen, instances=(replace(seen.instances[0], running=5),)))[0]
    count = TokenCount(view.instance.instance_id, NOW_S, 0.0, 0.0, 1000.0, 5000.0, running=(5, 5))
    expected = BF16.p0_w + BF16.decode_j_per_token * 1000.0 + BF16.prefill_j_per_token * 5000.0
    assert instance_power_w(view, count) == pytest.approx(expected)
    idle_rest = sum(p.curves.idle_w * len(p.instances) for p in site().pools) - BF16.idle_w
    modelled = modelled_power_w(site(), (view, *views_of(seen)[1:]), (count,))
    assert modelled == pytest.approx(1.1 * (expected + idle_rest) + 500.0)


@pytest.mark.parametrize(
    ("running", "per_s", "goes_w"),
    [(0, 0.0, BF16.idle_w), (5, 1000.0, BF16.p0_w), (5, None, BF16.p0_w)],
    ids=["empty", "busy: tokens go elsewhere", "not counted yet"],
)
def test_draining_instances_will_leave_what_they_draw_but_for_their_tokens(running, per_s, goes_w):
    seen = observed()
    first = replace(seen.instances[0], running=running)
    views = views_of(
        replace(seen, instances=(first, *seen.instances[1:])), (Intent(first.instance_id, Phase.DRAIN, NOW_S),)
    )
    counts = (
        ()
        if per_s is None
        else (TokenCount(first.instance_id, NOW_S, 0.0, 0.0, per_s, 0.0, running=(running, running)),)
    )
    assert draining_power_w(site(), views, counts) == pytest.approx(1.1 * (goes_w - BF16.sleeping_w))


def test_of_a_draining_instance_that_is_almost_empty_goes_its_share_of_p0():
    """One step a second: far from continuous occupancy."""
    seen = observed()
    first = replace(seen.instances[0], running=0)
    views = views_of(
        replace(seen, instances=(first, *seen.instances[1:])), (Intent(first.instance_id, Phase.DRAIN, NOW_S),)
    )
    count = TokenCount(first.instance_id, NOW_S, 0.0, 0.0, 1.0, 0.0, steps_per_s=1.0, running=(0, 1))
    goes_w = draining_power_w(site(), views, (count,)) / 1.1 + BF16.sleeping_w
    assert BF16.idle_w < goes_w < BF16.idle_w + 0.1 * (BF16.p0_w - BF16.idle_w)


class Followed:
    """One instance of the site, driven by the emulated engine and counted every tick."""

    def __init__(self, *, counts_steps=True, true=BF16):
        self.driven = Driven(true)
        self.counts_steps = counts_steps
        self.counts = ()
        self.view = None
        self.tick()

    def tick(self):
        """Look at the counters; what the engine drew since the look before, W."""
        window, engine = self.driven.window(), self.driven.engine
        seen = observed()
        first = replace(
            seen.instances[0],
            observed_at_s=NOW_S + self.driven.now_s,
            running=engine.running,
            prompt_tokens=float(engine.prompt_tokens),
            generation_tokens=float(engine.generation_tokens),
            steps=float(engine.steps) if self.counts_steps else None,
        )
        self.view = views_of(replace(seen, instances=(first, *seen.instances[1:])))[0]
        self.counts = count_tokens((self.view,), self.counts)
        return window.energy_j / window.wall_s if window.wall_s else 0.0

    def modelled_w(self, rule=instance_power_w):
        return rule(self.view, self.counts[0])


def followed_at_random(per_s, ticks, **how):
    """(drawn, modelled, charged) in each tick of an instance whose requests come at random."""
    one, rng = Followed(**how), Random(4)
    next_s, out = rng.expovariate(per_s), []
    for n in range(1, ticks + 1):
        while next_s < n * TICK_S:
            one.driven.advance(next_s)
            one.driven.submit(rng.randint(1, 600), rng.randint(2, 300))
            next_s += rng.expovariate(per_s)
        one.driven.advance(n * TICK_S)
        out.append((one.tick(), one.modelled_w(), one.modelled_w(charged_power_w)))
    return out


@pytest.mark.parametrize("per_s", [0.03, 0.2, 0.6])
def test_an_instance_that_works_now_and_then_is_modelled_as_it_draws(per_s):
    ticks = followed_at_random(per_s, 200)
    assert max(abs(modelled - drawn) for drawn, modelled, _ in ticks) < 0.02 * BF16.p0_w
    drawn_w = sum(drawn for drawn, *_ in ticks)
    assert sum(charged for *_, charged in ticks) > 1.05 * drawn_w


@pytest.mark.parametrize("per_s", [0.03, 0.2, 0.6])
def test_without_a_count_of_steps_the_model_lies_between_what_is_drawn_and_the_plans_rule(per_s):
    ticks = followed_at_random(per_s, 200, counts_steps=False)
    assert all(modelled > 0.99 * drawn for drawn, modelled, _ in ticks)
    assert all(modelled <= charged for _, modelled, charged in ticks)
    drawn_w, modelled_w, charged_w = (sum(values) for values in zip(*ticks, strict=True))
    assert modelled_w - drawn_w < 0.7 * (charged_w - drawn_w)


def test_where_nothing_was_counted_before_an_instance_with_work_draws_all_the_time():
    seen = observed()
    view = views_of(replace(seen, instances=(replace(seen.instances[0], running=1), *seen.instances[1:])))[0]
    counts = count_tokens((view,), ())
    assert instance_power_w(view, counts[0]) == instance_power_w(view, None) == BF16.p0_w


def test_a_long_prompt_is_work_before_it_counts():
    one = Followed(true=replace(BF16, prefill_s_per_token=1e-3))
    one.driven.submit(7000, 100)
    for n in range(1, 4):
        one.driven.advance(0.5 + n * 2.0)
        drawn_w = one.tick()
    assert (one.driven.engine.running, one.driven.engine.generation_tokens) == (1, 0)
    assert one.modelled_w() == BF16.p0_w < drawn_w


def test_a_full_engine_draws_p0_throughout_even_if_its_steps_take_longer_than_the_curves_say():
    slow = replace(BF16, step_base_s=1.5 * BF16.step_base_s, step_base_j=1.5 * BF16.step_base_j)
    one = Followed(true=slow)
    for _ in range(16):
        one.driven.submit(100, 4000)
    for n in range(1, 4):
        one.driven.advance(n * TICK_S)
        drawn_w = one.tick()
    assert one.modelled_w() == one.modelled_w(charged_power_w) == pytest.approx(drawn_w, rel=0.02)


def test_the_plans_rule_counts_p0_for_an_instance_that_hardly_works():
    seen = observed()
    view = views_of(replace(seen, instances=(replace(seen.instances[0], running=1), *seen.instances[1:])))[0]
    count = TokenCount(view.instance.instance_id, NOW_S, 0.0, 0.0, 2.0, 0.0, 0.0, 2.0, (0, 1))
    views = (view, *views_of(seen)[1:])
    charged_w, modelled_w = charged_at_meter_w(site(), views, (count,)), modelled_power_w(site(), views, (count,))
    busy = 2.0 * (BF16.step_base_s + BF16.step_per_seq_s)
    assert charged_w - modelled_w == pytest.approx(1.1 * (1.0 - busy) * (BF16.p0_w - BF16.idle_w))
