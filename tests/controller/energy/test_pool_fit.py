import dataclasses

import pytest

from controller.energy.pool_fit import PoolFit, curves_of, own_figures, predicted_w
from controller.energy.refit_interval import Doing, Interval
from controller.energy.refit_prior import prior_of
from controller.simulation.profiles import load_profile
from controller.store.plain import from_plain, to_plain

DENSE = load_profile("llama-3.1-8b/bf16/1xh100")


def test_before_anything_is_observed_the_curves_are_the_pools_own():
    fit = PoolFit.begin(prior_of(DENSE))
    assert curves_of(fit, DENSE) is DENSE
    assert fit.in_force == own_figures(DENSE)
    assert [estimate.seen for estimate in fit.estimates] == [0, 0, 0, 0]


def test_figures_in_force_are_those_of_a_whole_set_of_curves():
    fit = dataclasses.replace(
        PoolFit.begin(prior_of(DENSE)), in_force=(500.0, 0.05, 0.01, 130.0, 0.007, 1e-4, 5e-5, 90.0, 70.0)
    )
    found = curves_of(fit, DENSE)
    assert own_figures(found) == pytest.approx(fit.in_force)
    assert (found.max_num_seqs, found.wake_s, found.provenance) == (DENSE.max_num_seqs, DENSE.wake_s, DENSE.provenance)


def test_the_plan_is_given_the_mean_prompt_token_and_the_rest_as_it_is():
    fit = dataclasses.replace(PoolFit.begin(prior_of(DENSE)), computed_frac=0.25)
    found = curves_of(fit, DENSE)
    assert found.prefill_j_per_token == pytest.approx(0.25 * DENSE.prefill_j_per_token)
    assert found.prefill_s_per_token == pytest.approx(0.25 * DENSE.prefill_s_per_token)
    assert (found.p0_w, found.decode_j_per_token, found.idle_w) == pytest.approx(
        (DENSE.p0_w, DENSE.decode_j_per_token, DENSE.idle_w)
    )


@pytest.mark.parametrize(
    ("doing", "expected_w"),
    [(Doing.SERVING, DENSE.idle_w), (Doing.SLEEPING, DENSE.sleeping_w), (Doing.OFF, DENSE.off_w)],
)
def test_without_work_an_instance_is_expected_to_draw_what_its_state_draws(doing, expected_w):
    fit = PoolFit.begin(prior_of(DENSE))
    assert predicted_w(fit, Interval(doing, 5.0, 1.0, 0.01)) == pytest.approx(expected_w)


def test_what_is_known_can_be_kept():
    fit = PoolFit.begin(prior_of(DENSE))
    assert from_plain(PoolFit, to_plain(fit)) == fit
