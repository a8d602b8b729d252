from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.perf import FITTED, CurveUncertainty, Evidence, GroupProvenance, PoolCurves, Provenance
from tests.fakes.emulated import quick_curves

CURVES = quick_curves(
    step_base_s=0.02, step_per_seq_s=0.0002, step_base_j=60.0, step_per_seq_j=0.9, kv_capacity_tokens=100_000
)


@pytest.mark.parametrize("batch", [1.0, 10.0, 100.0, 250.0])
def test_power_is_affine_in_the_token_rate(batch: float) -> None:
    rate = CURVES.decode_tokens_per_s_at(batch)
    step_s = 0.02 + 0.0002 * batch
    assert CURVES.p0_w + CURVES.decode_j_per_token * rate == pytest.approx((60.0 + 0.9 * batch) / step_s)


def test_base_power_and_marginal_energy() -> None:
    assert CURVES.p0_w == pytest.approx(3000.0)
    assert CURVES.decode_j_per_token == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("itl_s", "tokens_per_seq", "expected"),
    [(0.04, 500.0, 100.0), (10.0, 1000.0, 100.0), (10.0, 1.0, 256.0), (0.01, 500.0, 0.0)],
    ids=["latency", "context", "max_num_seqs", "unreachable"],
)
def test_the_tightest_bound_sets_the_batch(itl_s: float, tokens_per_seq: float, expected: float) -> None:
    assert CURVES.batch_at_itl(itl_s, tokens_per_seq) == pytest.approx(expected)


def test_one_source_is_that_of_every_group_unless_groups_tell_theirs() -> None:
    whole = CURVES.group_provenance
    assert whole.decode == whole.prefill == whole.context == whole.states == CURVES.provenance
    known, assumed = Provenance(Evidence.MEASURED, "rows"), Provenance(Evidence.ESTIMATED, "assumed")
    groups = GroupProvenance(decode=known, prefill=assumed, context=assumed, states=assumed)
    assert replace(CURVES, groups=groups).group_provenance is groups


def diagonal(*variances: float) -> list[list[float]]:
    return [[value if i == j else 0.0 for j in range(len(variances))] for i, value in enumerate(variances)]


def uncertainty(rows: list[list[float]]) -> CurveUncertainty:
    return CurveUncertainty(tuple(map(tuple, rows)), held_out_mape_frac=0.02)


def test_the_spread_of_a_parameter_is_the_root_of_its_variance() -> None:
    known = uncertainty(diagonal(4e-8, 1e-12, 0.25, 0.0, 1e-10, 1e-6))
    assert known.sd("step_base_s") == pytest.approx(2e-4)
    assert known.sd("step_base_j") == pytest.approx(0.5)
    assert known.sd("step_per_seq_j") == 0.0
    with pytest.raises(ValueError, match="idle_w"):
        known.sd("idle_w")


def test_curves_carry_their_uncertainty_where_it_is_known() -> None:
    known = uncertainty(diagonal(1, 1, 1, 1, 1, 1))
    assert CURVES.uncertainty is None
    assert replace(CURVES, uncertainty=known).uncertainty is known
    assert set(FITTED) < set(PoolCurves.__dataclass_fields__)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (diagonal(1, 1), "6 rows of 6"),
        (diagonal(1, 1, 1, 1, 1, float("nan")), "finite"),
        (diagonal(1, -1, 1, 1, 1, 1), "variance of step_per_seq_s is -1"),
        ([[1, 0.5, 0, 0, 0, 0], *diagonal(1, 1, 1, 1, 1, 1)[1:]], "step_base_s with step_per_seq_s"),
        ([[1, 2, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0], *diagonal(1, 1, 1, 1, 1, 1)[2:]], "at most 1"),
    ],
    ids=["size", "nan", "negative", "lopsided", "correlation beyond one"],
)
def test_a_covariance_that_none_could_have_is_refused(rows: list[list[float]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        uncertainty(rows)
