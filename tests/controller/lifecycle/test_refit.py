from dataclasses import replace

import pytest

from controller.energy.pool_fit import PoolFit
from controller.energy.refit_filter import Belief
from controller.energy.refit_prior import prior_of
from controller.lifecycle.memory import Memory
from controller.lifecycle.modelled_power import charged_at_meter_w, count_tokens
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.refit import SURE_SD, Learnt, doubt_w, handed_over, relearn, widened_frac
from controller.lifecycle.refit_state import RefitState
from controller.lifecycle.views import look
from controller.model.fleet import resting_awake
from controller.model.observation import InstanceState, Quality, Reading
from controller.settlement.baseline import PowerHistory
from tests.fakes.controller_parts import NOW_S, instance, observation, reading, site

SITE = site(pue=1.2)
ON, OFF = TickPolicy(refit=True), TickPolicy()
BF16 = SITE.pools[0].curves
TICK_S = 5.0


def seen(n, factor=1.0, tokens_per_s=1000.0):
    """The n-th tick of a site whose two BF16 instances draw `factor` times what their curves say."""
    now_s = NOW_S + n * TICK_S
    batch = tokens_per_s * BF16.step_base_s / (1.0 - tokens_per_s * BF16.step_per_seq_s)
    power_w = factor * (BF16.p0_w + BF16.decode_j_per_token * tokens_per_s)
    asleep_w = SITE.pools[1].curves.sleeping_w
    gpus = [(f"GPU-bf16-{i}-{g}", power_w / 2) for i in range(2) for g in range(2)]
    gpus += [(f"GPU-int4-0-{g}", asleep_w / 2) for g in range(2)]
    engine = {
        "since_s": NOW_S - 600.0,
        "running": round(batch),
        "generation_tokens": tokens_per_s * TICK_S * n,
        "steps": tokens_per_s / batch * TICK_S * n,
    }
    return observation(
        now_s,
        instances=(
            instance("bf16-0", now_s=now_s, **engine),
            instance("bf16-1", now_s=now_s, **engine),
            instance("int4-0", InstanceState.SLEEPING, now_s, since_s=NOW_S - 600.0),
        ),
        site_power=reading(1.2 * (2 * power_w + asleep_w), now_s),
        gpu_power=tuple(
            (uuid, Reading(watts, watts * n * TICK_S, now_s, "a test", Quality.DIRECT)) for uuid, watts in gpus
        ),
    )


def learnt_over(ticks, factor, policy=ON, memory=None):
    """The memory and what was learnt last, after some ticks."""
    memory, last = memory or Memory.initial(SITE, NOW_S), None
    for n in range(ticks):
        last = relearn(SITE, policy, memory, seen(n, factor))
        memory = handed_over(last, policy, memory, seen(n, factor))
        memory = replace(memory, tokens=count_tokens(views_of(seen(n, factor)), memory.tokens))
    return memory, last


def views_of(at):
    return look(SITE, (), at, stale_s=15.0, retry_s=30.0)


def test_a_site_that_draws_more_is_modelled_so():
    _, last = learnt_over(20, 1.4)
    found = last.site.pools[0].curves
    full = found.p0_w + found.decode_j_per_token * 1000.0
    assert full == pytest.approx(1.4 * (BF16.p0_w + BF16.decode_j_per_token * 1000.0), rel=0.03)
    assert SITE.pools[0].curves is BF16


def test_what_rests_awake_is_planned_to_draw_what_is_learnt_of_idling():
    site = replace(SITE, pools=tuple(resting_awake(pool) for pool in SITE.pools))
    memory, last = Memory.initial(site, NOW_S), None
    for n in range(40):
        at = seen(n)
        powers = [1.5 * BF16.idle_w / 2] * 4 + [SITE.pools[1].curves.idle_w / 2] * 2
        gpus = tuple(
            (uuid, replace(reading, value_w=watts, energy_j=watts * n * TICK_S))
            for (uuid, reading), watts in zip(at.gpu_power, powers, strict=True)
        )
        idle = {"state": InstanceState.SERVING, "running": 0, "generation_tokens": 0.0, "steps": 0.0}
        at = replace(at, gpu_power=gpus, instances=tuple(replace(one, **idle) for one in at.instances))
        last = relearn(site, ON, memory, at)
        memory = handed_over(last, ON, memory, at)
    found = last.site.pools[0].curves
    assert found.idle_w == pytest.approx(1.5 * BF16.idle_w, rel=0.05)
    assert found.sleeping_w == found.idle_w


def test_where_it_is_off_the_curves_are_taken_at_their_word():
    memory, last = learnt_over(5, 1.4, policy=OFF)
    assert last == Learnt(SITE, RefitState())
    assert last.doubts_w == (0.0, 0.0)
    assert last.fallbacks == ()
    assert memory.refit == RefitState()


def test_a_site_that_is_as_its_curves_say_is_the_very_same():
    _, last = learnt_over(20, 1.0)
    assert last.site is SITE
    assert last.before is None
    assert last.fallbacks == ()


def test_drift_stands_on_the_ladder_by_pool_and_figure():
    _, last = learnt_over(20, 1.4)
    (fallback,) = last.fallbacks
    assert (fallback.ladder, fallback.step, fallback.subject) == ("curves", "drift", "bf16 loaded_w")
    assert "+40% from its curves" in fallback.reason
    assert "set plan.pools.bf16.curves" in fallback.reason
    report = last.reports[0]
    assert [figure.name for figure in report.figures][:1] == ["loaded_w"]
    assert report.observations > 20


def test_a_new_profile_begins_anew_and_an_old_one_goes_on():
    memory, last = learnt_over(20, 1.4)
    again = relearn(SITE, ON, memory, seen(20, 1.4))
    assert again.reports[0].observations > last.reports[0].observations
    other = replace(
        SITE, pools=(replace(SITE.pools[0], curves=replace(BF16, step_base_j=1.4 * BF16.step_base_j)), SITE.pools[1])
    )
    anew = relearn(other, ON, memory, seen(20, 1.4))
    assert anew.reports[0].observations < 10


def test_what_the_estimate_takes_over_leaves_the_correction():
    """The correction had learnt 500 W that the curves did not know of; then the curves know."""
    memory, _ = learnt_over(1, 1.4)
    memory = replace(memory, bias_w=500.0, predicted=PowerHistory(((NOW_S - 60.0, 3000.0),)))
    before_w = charged_at_meter_w(SITE, views_of(seen(4)), memory.tokens)
    for n in range(1, 5):
        last = relearn(SITE, ON, memory, seen(n, 1.4))
        memory = handed_over(last, ON, memory, seen(n, 1.4))
        memory = replace(memory, tokens=count_tokens(views_of(seen(n, 1.4)), memory.tokens))
    views = look(last.site, (), seen(4, 1.4), stale_s=15.0, retry_s=30.0)
    risen_w = charged_at_meter_w(last.site, views, memory.tokens) - before_w
    assert risen_w > 500.0
    assert memory.bias_w == 0.0
    assert memory.predicted.samples[0][1] > 3000.0


def test_a_model_that_falls_takes_nothing_from_the_correction():
    memory, _ = learnt_over(1, 1 / 1.4)
    memory = replace(memory, bias_w=500.0)
    for n in range(1, 5):
        last = relearn(SITE, ON, memory, seen(n, 1 / 1.4))
        memory = handed_over(last, ON, memory, seen(n, 1 / 1.4))
    assert last.site is not SITE
    assert memory.bias_w == 500.0


def test_doubt_of_what_is_drawn_falls_as_it_is_seen():
    memory, first = learnt_over(1, 1.0)
    views = views_of(seen(1))
    counts = count_tokens(views, memory.tokens)
    at_first = doubt_w(first, views, counts)
    memory, last = learnt_over(20, 1.0)
    counts = count_tokens(views_of(seen(20)), memory.tokens)
    drawn_w = charged_at_meter_w(SITE, views_of(seen(20)), counts)
    assert at_first > 0.05 * drawn_w
    assert doubt_w(last, views_of(seen(20)), counts) < 0.02 * drawn_w


def test_errors_of_a_pools_instances_add_up():
    prior = prior_of(BF16)
    sure = Belief(prior.power.mean, ((100.0, 0, 0, 0), *((0.0,) * 4,) * 3))
    fit = replace(PoolFit.begin(prior), power=replace(PoolFit.begin(prior).power, belief=sure))
    quiet = replace(fit, power=replace(fit.power, belief=Belief(sure.mean, ((0.0,) * 4,) * 4)))
    learnt = Learnt(SITE, RefitState(), (fit, quiet))
    assert doubt_w(learnt, views_of(seen(1)), ()) == pytest.approx(1.2 * SURE_SD * 2 * 10.0)
    assert learnt.doubts_w == pytest.approx((SURE_SD * 10.0, 0.0))


def test_the_upper_end_of_p0_is_told_for_what_is_switched_on_between_ticks():
    _, last = learnt_over(20, 1.4)
    for pool, upper, doubt_w_ in zip(last.site.pools, last.upper.pools, last.doubts_w, strict=True):
        assert doubt_w_ > 0.0
        assert upper.curves.p0_w == pytest.approx(pool.curves.p0_w + doubt_w_)
        assert upper.curves.sleeping_w == pool.curves.sleeping_w
    assert Learnt(SITE, RefitState()).upper is SITE


@pytest.mark.parametrize(
    ("usual", "doubt", "reference_w", "kept"),
    [
        (0.03, 0.0, 5000.0, 0.03),
        (0.03, 100.0, 5000.0, 0.03),  # doubt of 2 % is within the usual margin
        (0.03, 250.0, 5000.0, 0.05),
        (0.03, 4000.0, 5000.0, 0.10),  # never more than without a meter
        (0.10, 250.0, 5000.0, 0.10),
        (0.03, 250.0, None, 0.03),
        (0.03, 250.0, 0.0, 0.03),
    ],
)
def test_the_margin_is_the_larger_of_policy_and_doubt_up_to_that_without_a_meter(usual, doubt, reference_w, kept):
    assert widened_frac(TickPolicy(), usual, doubt, reference_w) == pytest.approx(kept)


def with_prompts(at, n, computed_frac):
    """The same site with 20,000 prompt tokens/s an instance, whose cache has held the rest of them since tick 0.

    Args:
        computed_frac: (n,) of each tick so far.
    """
    per_tick = 20_000.0 * TICK_S
    computed = [per_tick * frac for frac in computed_frac[: n + 1]]
    cached = per_tick * (n + 1) - sum(computed)
    spent_j = BF16.prefill_j_per_token * sum(computed)
    prompts_s = BF16.prefill_s_per_token * sum(computed)

    def prompted(one):
        steps = one.steps - prompts_s / BF16.step_base_s
        return replace(one, prompt_tokens=per_tick * (n + 1), cached_tokens=cached, steps=steps)

    instances = tuple(prompted(one) if one.instance_id.startswith("bf16") else one for one in at.instances)
    gpus = tuple(
        (uuid, replace(gpu, energy_j=gpu.energy_j + spent_j / 2) if uuid.startswith("GPU-bf16") else gpu)
        for uuid, gpu in at.gpu_power
    )
    return replace(at, instances=instances, gpu_power=gpus)


def test_a_cache_that_suddenly_finds_nothing_does_not_surprise_what_was_learnt():
    """As after a restart of the engine, or with another kind of prompts: power is another, its cause is known."""
    shares = [0.1] * 60 + [1.0] * 12
    memory, rejected = Memory.initial(SITE, NOW_S), []
    for n in range(len(shares)):
        last = relearn(SITE, ON, memory, with_prompts(seen(n), n, shares))
        memory = replace(memory, refit=last.state)
        rejected.append(last.reports[0].rejected)
    report = last.reports[0]
    assert (rejected[59], rejected[-1], report.changes, report.alarms) == (0, 0, 0, ())
    assert abs(report.bias_frac) < 0.01
    assert report.computed_frac > 0.1
