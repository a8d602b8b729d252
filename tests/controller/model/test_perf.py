from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model.perf import Evidence, GroupProvenance, Provenance
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
