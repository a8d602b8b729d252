import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.energy.refit_filter import Belief, diagonal, floored, relaxed, updated

PRIOR = Belief((100.0, 2.0), diagonal((400.0, 1.0)))


def eigen_within(small, large) -> bool:
    """Whether large - small has no negative direction, for two by two."""
    a, b, d = (large[i][j] - small[i][j] for i, j in ((0, 0), (0, 1), (1, 1)))
    return a >= -1e-9 and d >= -1e-9 and a * d - b * b >= -1e-9 * max(1.0, a * d)


def test_an_observation_moves_the_belief_towards_it_and_makes_it_surer():
    after = updated(PRIOR, (1.0, 0.0), 20.0, 400.0)
    assert after.mean == pytest.approx((110.0, 2.0))
    assert after.variance_at((1.0, 0.0)) == pytest.approx(200.0)
    assert after.variance_at((0.0, 1.0)) == pytest.approx(1.0)


def test_many_observations_find_both_parameters():
    rng, belief = random.Random(0), PRIOR
    for _ in range(300):
        h = (1.0, rng.uniform(0.0, 50.0))
        belief = updated(belief, h, 140.0 + 1.2 * h[1] + rng.gauss(0.0, 1.0) - belief.at(h), 1.0)
    assert belief.mean == pytest.approx((140.0, 1.2), rel=0.01)


def test_an_exact_observation_of_what_is_exactly_known_changes_nothing():
    sure = Belief((1.0,), ((0.0,),))
    assert updated(sure, (1.0,), 5.0, 0.0) is sure


@given(
    st.lists(st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.floats(-50.0, 50.0)), max_size=30),
    st.floats(0.0, 1.0),
)
def test_doubt_never_exceeds_its_bound_however_it_is_forgotten(observed, share):
    belief = PRIOR
    for h0, h1, residual in observed:
        belief = relaxed(belief, PRIOR.covariance, share)
        assert eigen_within(belief.covariance, PRIOR.covariance)
        belief = updated(belief, (h0, h1), residual, 4.0)
        assert belief.covariance[0][1] == pytest.approx(belief.covariance[1][0], abs=1e-6)
        assert eigen_within(belief.covariance, PRIOR.covariance)


def test_what_is_not_observed_returns_to_the_bound_and_keeps_its_mean():
    belief = updated(PRIOR, (1.0, 0.0), 20.0, 1.0)
    for _ in range(200):
        belief = relaxed(belief, PRIOR.covariance, 0.1)
    assert belief.mean == pytest.approx((119.95, 2.0), abs=0.01)
    assert belief.variance_at((1.0, 0.0)) == pytest.approx(400.0, rel=1e-6)


@given(st.floats(-500.0, 500.0), st.floats(-20.0, 20.0), st.floats(-0.99, 0.99))
def test_no_parameter_falls_below_its_floor(first, second, correlation):
    cross = correlation * 20.0
    belief = floored(Belief((first, second), ((400.0, cross), (cross, 1.0))), (5.0, 0.0))
    assert belief.mean[0] >= 5.0
    assert belief.mean[1] >= 0.0


def test_one_that_is_lifted_takes_those_with_it_that_hang_together():
    belief = floored(Belief((100.0, -1.0), ((400.0, -10.0), (-10.0, 1.0))), (0.0, 0.0))
    assert belief.mean == pytest.approx((90.0, 0.0))
