from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.controller_files import MINIMAL, PLAN, refusal


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ("classes: {standard: {survives_loss: true}}", "have one instance; add instances"),
        ("classes: {standard: {serve_usd_per_mtoken: 0}}", "plan.classes.standard.serve_usd_per_mtoken"),
        ("classes: {standard: {quality_window_s: .inf}}", "plan.classes.standard.quality_window_s"),
        ("classes: {standard: {ttft_slo_s: -1}}", "plan.classes.standard.ttft_slo_s"),
        ("ramp_down_w_per_s: 0", "plan.ramp_down_w_per_s"),
        ("ramp_down_w_per_s: .nan", "plan.ramp_down_w_per_s"),
        ("precedence: classes", "'contract_over_qos' or 'qos_over_contract'"),
    ],
)
def test_promises_that_cannot_be_planned_are_refused(tmp_path: Path, plan: str, says: str) -> None:
    assert says in refusal(tmp_path, MINIMAL + f"plan: {{{plan}}}\n")


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        (", min_on: 2", "plan.pools.bf16.min_on is 2, but at most 1 of its 1 instances"),
        (", min_on: 1, max_on: 0", "plan.pools.bf16.min_on is 1, but at most 0"),
        (", min_on: -1", "plan.pools.bf16.min_on"),
        (", quality_loss_frac: 1.5", "plan.pools.bf16.quality_loss_frac"),
        (", min_up_s: .nan", "plan.pools.bf16.min_up_s"),
    ],
)
def test_bounds_of_a_pool_that_cannot_be_kept_are_refused(tmp_path: Path, pool: str, says: str) -> None:
    assert says in refusal(tmp_path, MINIMAL + PLAN % pool)


@pytest.mark.parametrize("mode", ["off", "Act", "null", "true"])
def test_a_pool_has_one_of_three_modes(tmp_path: Path, mode: str) -> None:
    told = refusal(tmp_path, MINIMAL + PLAN % f", mode: {mode}")
    assert "plan.pools.bf16.mode" in told
    assert "'observe', 'recommend' or 'act'" in told
