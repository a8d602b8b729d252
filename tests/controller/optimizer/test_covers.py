import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from controller.optimizer.covers import Requirement, covers, mixes, rays

ALL = np.array([True, True, True])
LOSS = np.array([0.0, 0.006, 0.02])


def test_without_a_budget_only_what_loses_nothing_may_be_used():
    assert mixes(LOSS, 0.0, ALL).tolist() == [[1.0, 0.0, 0.0]]


def test_a_budget_between_two_losses_mixes_them():
    shares = mixes(LOSS, 0.01, ALL)
    assert np.all(shares @ LOSS <= 0.01 + 1e-12)
    assert [0.5, 0.0, 0.5] in np.round(shares, 9).tolist()
    assert len(shares) == 4  # two pure ones, and each of them with the lossy one


def test_what_is_not_allowed_is_in_no_mix():
    assert mixes(LOSS, 0.01, np.array([False, True, True]))[:, 0].max() == 0.0
    assert mixes(LOSS, 0.001, np.array([False, True, True])).shape == (0, 3)


def test_one_kind_is_counted_up():
    [cover], everywhere = covers(Requirement(np.array([[0.9]]), np.array([1.2])))
    assert (cover.least, everywhere) == (2.0, True)


def test_nothing_is_asked_where_there_is_no_demand():
    assert covers(Requirement(np.array([[0.9, 0.9]]), np.array([0.0]))) == ((), True)


def carries(total, demand, busy, loss, budget):
    """Whether a linear program finds token rates: the definition, by another solver than the rays."""
    classes, kinds = busy.shape
    serve = np.kron(np.eye(classes), np.ones((1, kinds)))
    time = np.hstack([np.diag(busy[r]) for r in range(classes)])
    quality = np.kron(np.eye(classes), loss[None, :])
    answer = linprog(
        np.zeros(classes * kinds),
        A_ub=np.vstack([time, quality]),
        b_ub=np.concatenate([total + 1e-9, budget * demand + 1e-9]),
        A_eq=serve,
        b_eq=demand,
    )
    return answer.status == 0


def requirement_of(demand, busy, loss, budget):
    kinds = len(loss)
    shares = [mixes(loss, b, np.ones(kinds, dtype=bool)) for b in budget]
    prices, token_prices = rays([rows * busy[r] for r, rows in enumerate(shares)])
    return Requirement(prices, token_prices @ demand)


def holds(covers_, total):
    return all(cover.weights @ total >= cover.least - 1e-6 for cover in covers_)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_covers_are_met_by_every_whole_total_that_carries_the_demand_and_touch_one_each(seed):
    rng = np.random.default_rng(seed)
    loss = np.array([0.0, *rng.uniform(0.001, 0.03, 2)])
    budget = np.array([0.0, rng.uniform(0.0, 0.03)])
    busy = rng.uniform(0.2, 1.0, (2, 3))
    demand = rng.uniform(0.0, 2.0, 2)
    requirement = requirement_of(demand, busy, loss, budget)
    found, everywhere = covers(requirement)
    assert everywhere
    few = [np.array(total) for total in itertools.product(range(4), repeat=3)]
    able = [total for total in few if carries(total, demand, busy, loss, budget)]
    assert all((requirement.worth @ total >= requirement.cost - 1e-6).all() for total in able)
    assert all(holds(found, total) for total in able)
    # Tight: each inequality touches a whole total that suffices.
    many = np.array(list(itertools.product(range(9), repeat=3)))
    enough = many[(many @ requirement.worth.T >= requirement.cost - 1e-9).all(axis=1)]
    for cover in found:
        assert (enough @ cover.weights).min() == pytest.approx(cover.least, abs=1e-6)


def test_weights_are_whole_so_that_no_rounding_forbids_a_total_that_carries_the_demand():
    worth = np.array([[0.35, 0.35, 0.3], [0.4, 0.3, 0.3], [0.2, 0.5, 0.3]])
    found, _ = covers(Requirement(worth, np.array([2.32, 2.21, 2.05])))
    totals = np.array(list(itertools.product(range(13), repeat=3)))
    enough = totals[(totals @ worth.T >= np.array([2.32, 2.21, 2.05])).all(axis=1)]
    assert any(cover.weights.max() > 1 for cover in found)
    for cover in found:
        assert cover.weights.tolist() == np.rint(cover.weights).tolist()
        assert (enough @ cover.weights).min() == cover.least


def test_a_large_total_is_covered_near_where_it_is_looked_at():
    busy = np.array([[1.0, 0.8, 0.7], [1.0, 0.8, 0.7]])
    demand, budget = np.array([300.4, 250.3]), np.array([0.0, 0.01])
    requirement = requirement_of(demand, busy, LOSS, budget)
    assert covers(requirement) == ((), True)
    near = np.array([300.4, 143.02, 0.7 * 71.5])
    found, everywhere = covers(requirement, near)
    assert not everywhere
    assert found
    for steps in itertools.product(range(-1, 3), repeat=3):
        total = np.floor(near) + np.array(steps)
        if carries(total, demand, busy, LOSS, budget):
            assert holds(found, total)


def test_too_many_kinds_are_left_to_the_search():
    assert covers(Requirement(np.ones((1, 5)), np.array([2.5]))) == ((), True)


@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_rays_are_prices_that_sum_to_one(kinds):
    prices, token_prices = rays([np.eye(kinds) * 2.0])
    assert prices.sum(axis=1) == pytest.approx(1.0)
    assert np.all(prices >= 0)
    assert token_prices[:, 0] == pytest.approx((2 * prices).min(axis=1))
