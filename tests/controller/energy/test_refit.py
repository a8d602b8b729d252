import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.energy.pool_fit import PoolFit, curves_of, predicted_w
from controller.energy.refit import CHANGE_STREAK, FORGET_TAU_S, learn
from controller.energy.refit_interval import Doing, Interval
from controller.energy.refit_prior import prior_of
from controller.simulation.profiles import load_profile
from controller.store.plain import from_plain, to_plain
from tests.fakes.refit_pool import TICK_S, Load, intervals, scaled_power, scaled_time

DENSE = load_profile("llama-3.1-8b/bf16/1xh100")
LARGE = load_profile("llama-3.1-70b/fp8/2xh100")
EXPERTS = load_profile("qwen3-235b-a22b/fp8/4xh100")


def requests_per_s(curves, share, output_tokens=150):
    """Requests that ask for a share of what an instance decodes at 60 ms."""
    rate = curves.decode_tokens_per_s_at(min(curves.max_num_seqs, curves.batch_at_itl(0.06, 700)))
    return share * rate / output_tokens


def load_of(curves, kind):
    shares = {
        "low": lambda _: 0.03,
        "high": lambda _: 0.6,
        "mixed": lambda t: 0.05 + 0.55 * (0.5 + 0.5 * math.sin(t / 120.0)),
    }
    return Load(lambda t: requests_per_s(curves, shares[kind](t)))


def played(configured, seen):
    """The fit after the intervals, and energy predicted before each over energy drawn, by minutes."""
    prior = prior_of(configured)
    fit, minutes, predicted_j, drawn_j = PoolFit.begin(prior), [], 0.0, 0.0
    for n, one in enumerate(seen):
        predicted_j += predicted_w(fit, one) * one.wall_s
        drawn_j += one.energy_j
        if n % 12 == 11:
            minutes.append(predicted_j / drawn_j)
            predicted_j = drawn_j = 0.0
        fit = learn(fit, prior, (one,), TICK_S)
    return fit, minutes


@pytest.mark.parametrize("kind", ["low", "high", "mixed"])
@pytest.mark.parametrize("factor", [1.4, 1 / 1.4])
@pytest.mark.parametrize(("true", "seed"), [(DENSE, 1), (EXPERTS, 2)])
def test_after_a_quarter_of_an_hour_power_is_known_within_five_percent(true, seed, factor, kind):
    """The curves are 40 % off in everything they say of power."""
    seen = intervals(lambda _: true, load_of(true, kind), seconds=900.0, seed=seed)
    _, minutes = played(scaled_power(true, factor), seen)
    assert abs(minutes[0] - 1.0) > 0.02  # it has been wrong
    assert minutes[-1] == pytest.approx(1.0, abs=0.05)
    assert minutes[-3:] == pytest.approx([1.0] * 3, abs=0.05)


@pytest.mark.parametrize(("seed", "factor"), [(11, 1.4), (12, 1 / 1.4), (13, 1.4), (14, 1 / 1.4)])
def test_chance_does_not_decide_it(seed, factor):
    seen = intervals(lambda _: EXPERTS, load_of(EXPERTS, "mixed"), seconds=900.0, seed=seed)
    _, minutes = played(scaled_power(EXPERTS, factor), seen)
    assert minutes[4:] == pytest.approx([1.0] * 11, abs=0.05)


@pytest.mark.parametrize("known", [LARGE, load_profile("qwen3-235b-a22b/int4/2xh100")])
def test_an_engine_whose_steps_seem_shorter_with_more_sequences_can_still_be_planned(known):
    """Batches that happen to meet with other work: what a sequence adds is believed to be little, and never nothing."""
    true = dataclasses.replace(known, step_per_seq_s=-0.004 * known.step_base_s)
    seen = intervals(lambda _: true, load_of(known, "mixed"), seconds=300.0, seed=5)
    fit, _ = played(known, seen)
    found = curves_of(fit, known)
    assert 0.0 < found.step_per_seq_s < known.step_per_seq_s
    assert found.batch_at_itl(0.06, 700) > 1.0


@pytest.mark.parametrize("factor", [1.4, 1 / 1.4])
def test_time_and_power_that_are_both_wrong_are_both_found(factor):
    configured = scaled_time(scaled_power(LARGE, factor), factor)
    seen = intervals(lambda _: LARGE, load_of(LARGE, "mixed"), seconds=900.0, seed=3)
    fit, minutes = played(configured, seen)
    found = curves_of(fit, configured)
    assert minutes[-1] == pytest.approx(1.0, abs=0.05)
    assert found.step_base_s == pytest.approx(LARGE.step_base_s, rel=0.05)
    assert found.step_per_seq_s == pytest.approx(LARGE.step_per_seq_s, rel=0.1)
    assert found.p0_w == pytest.approx(LARGE.p0_w, rel=0.05)
    assert found.decode_tokens_per_s_at(60.0) == pytest.approx(LARGE.decode_tokens_per_s_at(60.0), rel=0.05)


def test_an_engine_that_counts_no_steps_is_followed_too():
    configured = scaled_power(LARGE, 1 / 1.4)
    seen = intervals(lambda _: LARGE, load_of(LARGE, "high"), seconds=900.0, seed=4, counts_steps=False)
    _, minutes = played(configured, seen)
    assert minutes[-1] == pytest.approx(1.0, abs=0.05)


def test_an_upgraded_engine_is_learnt_anew():
    """Half-way the engine becomes faster and hungrier, as after an upgrade of vLLM."""
    after = scaled_time(scaled_power(DENSE, 1.5), 0.6)
    seen = intervals(lambda t: DENSE if t < 600.0 else after, load_of(DENSE, "mixed"), seconds=1500.0, seed=5)
    fit, minutes = played(DENSE, seen)
    assert fit.changes >= 1
    assert minutes[9] == pytest.approx(1.0, abs=0.05)
    assert minutes[10] < 0.97
    assert minutes[-1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("true", "kind"), [(DENSE, "mixed"), (DENSE, "low"), (EXPERTS, "high")])
def test_curves_that_are_right_stay_the_very_same(true, kind):
    fit, _ = played(true, intervals(lambda _: true, load_of(true, kind), seconds=300.0, seed=6))
    assert curves_of(fit, true) is true


def idle(power_w, seconds=5.0, doing=Doing.SERVING):
    return Interval(doing, seconds, power_w * seconds, 0.01)


def test_a_single_odd_reading_is_left_out():
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    for _ in range(30):
        fit = learn(fit, prior, (idle(120.0),), TICK_S)
    after = learn(fit, prior, (idle(700.0),), TICK_S)
    assert after.rejected == 1
    assert after.power.belief.mean[3] == pytest.approx(fit.power.belief.mean[3], rel=1e-3)
    settled = learn(after, prior, (idle(120.0),), TICK_S)
    assert settled.power.streak == 0


def test_one_odd_instance_does_not_change_its_pool():
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    for _ in range(40):
        fit = learn(fit, prior, (idle(120.0), idle(121.0), idle(700.0)), TICK_S)
    assert fit.changes == 0
    assert fit.power.belief.mean[3] == pytest.approx(120.5, rel=0.02)


def test_readings_that_stay_odd_are_the_new_truth():
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    for _ in range(30):
        fit = learn(fit, prior, (idle(120.0),), TICK_S)
    for _ in range(CHANGE_STREAK + 5):
        fit = learn(fit, prior, (idle(300.0),), TICK_S)
    assert fit.changes == 1
    assert curves_of(fit, DENSE).idle_w == pytest.approx(300.0, rel=0.05)


def test_instances_of_a_pool_count_as_one():
    prior = prior_of(DENSE)
    alone = learn(PoolFit.begin(prior), prior, (idle(150.0),), TICK_S)
    many = learn(PoolFit.begin(prior), prior, (idle(150.0),) * 50, TICK_S)
    h = (0.0, 0.0, 0.0, 1.0)
    assert many.power.belief.variance_at(h) == pytest.approx(alone.power.belief.variance_at(h), rel=0.02)


@pytest.mark.parametrize("doing", [Doing.SLEEPING, Doing.OFF])
def test_power_at_rest_is_learnt_as_it_is_seen(doing):
    prior = prior_of(EXPERTS)
    fit = PoolFit.begin(prior)
    for _ in range(10):
        fit = learn(fit, prior, (idle(300.0, doing=doing),), TICK_S)
    found = curves_of(fit, EXPERTS)
    rest_w = found.sleeping_w if doing is Doing.SLEEPING else found.off_w
    assert rest_w == pytest.approx(300.0, rel=0.03)
    assert found.idle_w == EXPERTS.idle_w


def test_without_readings_doubt_grows_back_to_the_beginning_and_no_further():
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    for _ in range(30):
        fit = learn(fit, prior, (idle(150.0),), TICK_S)
    h, sure = (0.0, 0.0, 0.0, 1.0), fit.power.belief.variance_at((0.0, 0.0, 0.0, 1.0))
    later = learn(fit, prior, (), FORGET_TAU_S)
    assert sure < 0.01 * prior.power.variance_at(h) < later.power.belief.variance_at(h)
    for _ in range(50):
        later = learn(later, prior, (), FORGET_TAU_S)
    assert later.power.belief.variance_at(h) == pytest.approx(prior.power.variance_at(h))
    assert later.power.belief.mean == fit.power.belief.mean


def test_no_figure_becomes_negative_whatever_is_read():
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    for n in range(60):
        power_w = 1.0 if n % 2 else 0.0
        one = Interval(Doing.SERVING, 5.0, 5.0 * power_w, 0.5, 20_000.0, 20_000.0 * (n % 3), 300.0, (60, 60))
        fit = learn(fit, prior, (one,), TICK_S)
    assert min(fit.in_force) >= 0.0
    found = curves_of(fit, DENSE)
    assert found.p0_w > 0.0
    assert found.step_base_s > 0.0
    assert found.decode_j_per_token >= -1e-12


ANY_INTERVAL = st.builds(
    Interval,
    doing=st.sampled_from(Doing),
    wall_s=st.floats(3.5, 120.0),
    energy_j=st.floats(0.0, 1e6),
    noise_frac=st.floats(0.01, 0.5),
    decode_tokens=st.floats(0.0, 1e6),
    prefill_tokens=st.floats(0.0, 1e6),
    steps=st.none() | st.floats(0.0, 1e5),
    running=st.tuples(st.integers(0, 500), st.integers(0, 500)),
)


@given(st.lists(st.tuples(st.lists(ANY_INTERVAL, max_size=3), st.floats(0.0, 1e6)), max_size=15))
def test_whatever_is_counted_figures_stay_sensible_and_doubt_bounded(ticks):
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    for seen, passed_s in ticks:
        fit = learn(fit, prior, seen, passed_s)
    assert all(math.isfinite(value) and value >= 0.0 for value in fit.in_force)
    assert curves_of(fit, DENSE).p0_w > 0.0
    for estimate, bound in zip(fit.estimates, prior.wide, strict=True):
        for i, row in enumerate(estimate.belief.covariance):
            assert -1e-9 * bound[i][i] <= row[i] <= bound[i][i] * (1 + 1e-9)
    assert from_plain(PoolFit, to_plain(fit)) == fit


def with_cache(one, computed_frac):
    """The same work by an engine whose cache held the rest of the prompts."""
    return dataclasses.replace(one, cached_tokens=one.prefill_tokens * (1.0 / computed_frac - 1.0))


def test_the_plan_is_told_what_the_mean_prompt_token_costs():
    """Routers count prompts whole; three quarters of theirs are found in the cache."""
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    for one in intervals(lambda _: DENSE, load_of(DENSE, "high"), seconds=300.0, seed=7):
        fit = learn(fit, prior, (with_cache(one, 0.25),), TICK_S)
    found = curves_of(fit, DENSE)
    assert fit.usual_computed_frac == pytest.approx(0.25)
    assert found.prefill_j_per_token == pytest.approx(0.25 * DENSE.prefill_j_per_token)
    assert found.prefill_s_per_token == pytest.approx(0.25 * DENSE.prefill_s_per_token)
    assert (found.p0_w, found.idle_w, found.step_base_s) == (DENSE.p0_w, DENSE.idle_w, DENSE.step_base_s)


def test_a_cache_that_finds_a_little_changes_no_plan():
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    for one in intervals(lambda _: DENSE, load_of(DENSE, "high"), seconds=300.0, seed=7):
        fit = learn(fit, prior, (with_cache(one, 0.97),), TICK_S)
    assert curves_of(fit, DENSE) is DENSE


def test_an_engine_that_no_longer_tells_is_planned_by_all_its_prompts():
    prior = prior_of(DENSE)
    fit = PoolFit.begin(prior)
    seen = list(intervals(lambda _: DENSE, load_of(DENSE, "high"), seconds=60.0, seed=8))
    for one in seen[:6]:
        fit = learn(fit, prior, (with_cache(one, 0.25),), TICK_S)
    assert fit.planned[2] == pytest.approx(0.25 * fit.in_force[2])
    fit = learn(fit, prior, seen[6:7], TICK_S)
    assert fit.usual_computed_frac is None
    assert fit.planned == fit.in_force
