from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ConfigError
from controller.study.offline_routing import zeta
from controller.study.offline_routing.case import Case, make_case, solve
from controller.study.offline_routing.queries import Queries
from controller.units import J_PER_KWH, J_PER_MWH
from tests.fakes.routing_cases import case, published

CASE = case(count=400)


def usd(made: Case, price: float, value: float) -> np.ndarray:
    return made.energy_j / J_PER_MWH * price - made.accuracy_tokens * 100 * value / 1e6


@pytest.mark.parametrize("value", [0.001, 0.1, 10.0])
def test_the_zeta_of_a_value_ranks_models_as_dollars_do(value: float) -> None:
    """Without bounds the weighted sum then picks, for each query, the model that is cheapest in dollars."""
    made = case(bounded=False, count=400)
    found = zeta.by_value(made, 50.0, value)
    cheapest = usd(made, 50.0, value).argmin(axis=1)
    counts = tuple(int(made.amount[cheapest == k].sum()) for k in range(3))
    assert found.point.queries == counts


def test_worthless_accuracy_is_refused() -> None:
    with pytest.raises(ConfigError, match="give a positive one"):
        zeta.by_value(CASE, 50.0, 0.0)


def test_an_energy_budget_is_kept_and_nearly_used_up() -> None:
    low, high = solve(CASE, 1.0).energy_j, solve(CASE, 0.0).energy_j
    budget_kwh = (low + high) / 2 / J_PER_KWH
    found = zeta.by_energy(CASE, budget_kwh)
    assert found.point.energy_j <= budget_kwh * J_PER_KWH
    assert found.accuracy_bound_frac is not None
    assert 0 <= found.accuracy_bound_frac - found.point.accuracy_frac < 1e-3


def test_a_target_of_accuracy_is_reached_at_nearly_the_least_energy() -> None:
    found = zeta.by_accuracy(CASE, 0.6)
    assert found.point.accuracy_frac >= 0.6
    assert found.energy_bound_j is not None
    assert 0.99 < found.energy_bound_j / found.point.energy_j <= 1 + 1e-9


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(8, 400)), min_size=3, max_size=6), st.floats(0.1, 0.9))
@settings(max_examples=25)
def test_bounds_hold_against_all_assignments(lengths: list[tuple[int, int]], where: float) -> None:
    given_tokens, made_tokens = (np.array(column) for column in zip(*lengths, strict=True))
    queries = Queries(np.arange(float(len(lengths))), given_tokens, made_tokens, 0, "s")
    made = make_case(published(bounded=False), queries)
    low, high = solve(made, 1.0).energy_j, solve(made, 0.0).energy_j
    budget_kwh = (low + where * (high - low)) / J_PER_KWH
    found = zeta.by_energy(made, budget_kwh)
    rows = [(made.energy_j[g], made.accuracy_tokens[g]) for g in made.group_of]
    best = 0.0
    for chosen in np.ndindex(*(3,) * len(rows)):
        energy_j = sum(row[0][k] for row, k in zip(rows, chosen, strict=True))
        if energy_j <= budget_kwh * J_PER_KWH:
            best = max(best, sum(row[1][k] for row, k in zip(rows, chosen, strict=True)))
    tokens = float((given_tokens + made_tokens).sum())
    assert found.accuracy_bound_frac is not None
    assert found.point.accuracy_frac <= best / tokens + 1e-9
    assert best / tokens <= found.accuracy_bound_frac + 1e-9


def test_a_budget_of_plenty_gives_the_most_accurate() -> None:
    assert zeta.by_energy(CASE, 1e6).point.zeta == 0.0
    assert zeta.by_accuracy(CASE, 0.1).point.zeta == 1.0


def test_what_cannot_be_reached_is_told_with_what_can() -> None:
    with pytest.raises(ConfigError, match=r"energy_budget_kwh: 0.001 kWh cannot be kept, the least .* is [\d.]+ kWh"):
        zeta.by_energy(CASE, 0.001)
    with pytest.raises(ConfigError, match=r"accuracy_target_frac: 0.99 cannot be reached, the most .* is 0\.6"):
        zeta.by_accuracy(CASE, 0.99)


def test_the_knee_is_farthest_from_the_straight_line() -> None:
    points = tuple(solve(CASE, n / 20) for n in range(21))
    found = zeta.knee(points).point
    assert points[-1].energy_j < found.energy_j < points[0].energy_j
    energy, accuracy = points[0].energy_j - points[-1].energy_j, points[0].accuracy_frac - points[-1].accuracy_frac
    share = (found.energy_j - points[-1].energy_j) / energy
    assert (found.accuracy_frac - points[-1].accuracy_frac) / accuracy > share + 0.1


def test_a_knee_needs_a_sweep() -> None:
    with pytest.raises(ConfigError, match="at least one zeta"):
        zeta.knee(())
    single = solve(CASE, 0.5)
    assert zeta.knee((single,)).point == single
