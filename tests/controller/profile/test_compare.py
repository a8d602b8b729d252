from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import ConfigError
from controller.model.perf import CurveUncertainty, PoolCurves
from controller.optimizer.workload import Lengths
from controller.profile.compare import Contender, capacity_tokens_per_s, compare, point, power_w
from tests.fakes.profiles import HIDDEN

LENGTHS = Lengths(200.0, 100.0)


def known(curves: PoolCurves, relative: float = 0.001) -> PoolCurves:
    names = (
        "step_base_s",
        "step_per_seq_s",
        "step_base_j",
        "step_per_seq_j",
        "prefill_s_per_token",
        "prefill_j_per_token",
    )
    rows = tuple(
        tuple((relative * getattr(curves, name)) ** 2 if name == other else 0.0 for other in names) for name in names
    )
    return replace(curves, uncertainty=CurveUncertainty(rows, relative))


A = Contender("a", 8, known(HIDDEN))
HUNGRY = Contender("b", 8, known(replace(HIDDEN, step_base_j=13.0, idle_w=900.0)))
STEEP = Contender("c", 8, known(replace(HIDDEN, step_base_j=8.0, step_per_seq_j=1.2)))


@given(frac=st.floats(0.001, 1.0))
def test_power_rises_with_the_load_from_idle_to_the_curve(frac: float) -> None:
    rate = frac * capacity_tokens_per_s(HIDDEN, LENGTHS)
    here, more = (power_w(HIDDEN, y, LENGTHS) for y in (rate, rate * 1.01))
    assert HIDDEN.idle_w < here <= more * (1 + 1e-12)


def test_power_at_a_continuous_load_is_the_affine_law() -> None:
    rate = 0.5 * capacity_tokens_per_s(HIDDEN, LENGTHS)
    e = HIDDEN.decode_j_per_token + 2.0 * HIDDEN.prefill_j_per_token
    assert power_w(HIDDEN, rate, LENGTHS) == pytest.approx(HIDDEN.p0_w + e * rate)


def test_who_draws_less_everywhere_wins_everywhere() -> None:
    rows = compare((A, HUNGRY), LENGTHS)
    assert {row.winner for row in rows} == {0}
    assert all("below b" in row.reason for row in rows if row.lead_frac is not None)


def test_a_crossing_is_found() -> None:
    rows = [row for row in compare((A, STEEP), LENGTHS) if row.lead_frac is not None]
    assert rows[0].winner == 1
    assert rows[-1].winner == 0


def test_what_lies_within_the_errors_is_not_distinguishable() -> None:
    near = Contender("b", 8, known(replace(HIDDEN, step_base_j=10.05), 0.02))
    rows = compare((replace(A, curves=known(HIDDEN, 0.02)), near), LENGTHS)
    assert all(row.winner is None and "not distinguishable" in row.reason for row in rows if all(row.points))


def test_without_errors_nothing_is_claimed() -> None:
    rows = compare((A, Contender("guess", 4, replace(HUNGRY.curves, uncertainty=None))), LENGTHS)
    assert all(row.winner is None and "error of guess is not known" in row.reason for row in rows if all(row.points))
    found = point(Contender("guess", 4, HIDDEN), 100.0, LENGTHS)
    assert found is not None
    assert found.error_w is None


def test_loads_that_one_alone_serves_are_its_own() -> None:
    small = Contender("small", 1, known(replace(HIDDEN, max_num_seqs=8)))
    rows = compare((A, small), LENGTHS)
    assert rows[-1].points[1] is None
    assert rows[-1].reason == "the only one that serves this load"


def test_a_wider_covariance_widens_the_interval() -> None:
    narrow, wide = (point(replace(A, curves=known(HIDDEN, width)), 500.0, LENGTHS) for width in (0.001, 0.05))
    assert narrow is not None
    assert wide is not None
    assert (narrow.error_w or 0) * 10 < (wide.error_w or 0)


@pytest.mark.parametrize(("who", "lengths"), [((A,), LENGTHS), ((A, HUNGRY), Lengths(0.0, 10.0))])
def test_too_few_profiles_and_lengths_of_nothing_are_refused(who: tuple[Contender, ...], lengths: Lengths) -> None:
    with pytest.raises(ConfigError, match="--"):
        compare(who, lengths)
