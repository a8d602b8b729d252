from dataclasses import replace

import pytest

from controller.energy.pool_fit import PoolFit
from controller.energy.refit import learn
from controller.energy.refit_drift import MISFIT, alarms, figures, told
from controller.energy.refit_interval import Doing, Interval
from controller.energy.refit_prior import prior_of
from controller.simulation.profiles import load_profile

CURVES = load_profile("llama-3.1-8b/bf16/1xh100")
PRIOR = prior_of(CURVES)


def asleep(power_w):
    return Interval(Doing.SLEEPING, 5.0, 5.0 * power_w, 0.01)


def after(fit, power_w, times=40):
    for _ in range(times):
        fit = learn(fit, PRIOR, (asleep(power_w),), 5.0)
        fit = replace(fit, raised=alarms(fit, figures(fit, PRIOR)))
    return fit


def test_what_agrees_raises_nothing():
    fit = after(PoolFit.begin(PRIOR), 1.05 * CURVES.sleeping_w)
    assert fit.raised == ()


def test_what_is_surely_elsewhere_is_told_with_its_pool_its_figure_and_the_remedy():
    fit = after(PoolFit.begin(PRIOR), 1.5 * CURVES.sleeping_w)
    assert fit.raised == ("sleeping_w",)
    text = told("fast", "sleeping_w", fit, figures(fit, PRIOR))
    assert text == (
        "pool fast: sleeping_w is 145 W, +50% from its curves (96); profile the pool again and set "
        "plan.pools.fast.curves"
    )


def test_a_handful_of_readings_says_nothing_yet():
    assert after(PoolFit.begin(PRIOR), 1.5 * CURVES.sleeping_w, times=5).raised == ()


def test_an_alarm_falls_later_than_it_rises():
    fit = after(PoolFit.begin(PRIOR), 1.2 * CURVES.sleeping_w)
    assert fit.raised == ("sleeping_w",)
    still = after(fit, 1.085 * CURVES.sleeping_w, times=400)
    assert still.raised == ("sleeping_w",)
    fallen = after(still, 1.02 * CURVES.sleeping_w, times=400)
    assert fallen.raised == ()
    assert after(fallen, 1.085 * CURVES.sleeping_w, times=400).raised == ()


def test_figures_under_load_are_told_once_there_was_load():
    fit = PoolFit.begin(PRIOR)
    assert [one.name for one in figures(fit, PRIOR)] == ["idle_w", "sleeping_w"]
    busy = Interval(Doing.SERVING, 5.0, 5.0 * 600.0, 0.01, 20_000.0, 0.0, 500.0, (40, 40))
    fit = learn(fit, PRIOR, (busy,), 5.0)
    assert [one.name for one in figures(fit, PRIOR)] == ["loaded_w", "idle_w", "sleeping_w", "engine_time"]


@pytest.mark.parametrize(("bias", "before", "raised"), [(0.06, (), True), (0.04, (), False), (0.04, (MISFIT,), True)])
def test_predictions_that_go_on_missing_are_told_too(bias, before, raised):
    fit = PoolFit.begin(PRIOR)
    fit = replace(fit, power=replace(fit.power, seen=50), bias_frac=bias, raised=before)
    assert (MISFIT in alarms(fit, ())) is raised
    if raised:
        text = told("fast", MISFIT, fit, ())
        assert f"its power is +{bias:.0%} from what its curves can follow" in text


def loaded(computed_frac):
    """An engine as the curves say, whose cache holds the rest of its prompts."""
    decoded, prompts, steps = 5_000.0, 40_000.0, 125.0
    computed = computed_frac * prompts
    busy_s = CURVES.step_base_s * steps + CURVES.step_per_seq_s * decoded + CURVES.prefill_s_per_token * computed
    energy_j = CURVES.p0_w * busy_s + CURVES.decode_j_per_token * decoded + CURVES.prefill_j_per_token * computed
    cached = prompts - computed
    return Interval(Doing.SERVING, busy_s, energy_j, 0.01, decoded, computed, steps, (40, 40), cached)


@pytest.mark.parametrize("computed_frac", [1.0, 0.1])
def test_a_cache_that_finds_much_is_no_drift(computed_frac):
    fit = PoolFit.begin(PRIOR)
    for _ in range(60):
        fit = learn(fit, PRIOR, (loaded(computed_frac),), 5.0)
    assert alarms(fit, figures(fit, PRIOR)) == ()
    if computed_frac < 1.0:
        one = loaded(computed_frac)
        blind = replace(one, prefill_tokens=one.prefill_tokens + one.cached_tokens, cached_tokens=None)
        fit = PoolFit.begin(PRIOR)
        for _ in range(60):
            fit = learn(fit, PRIOR, (blind,), 5.0)
        assert "engine_time" in alarms(fit, figures(fit, PRIOR))
