from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.energy.bent_fit import fit_bent
from controller.energy.steady_sample import Sample
from controller.energy.step_fit import fit_steps
from controller.errors import FitRefused

A, B, C, P0, E = 0.012, 5e-5, 0.004, 2700.0, 0.3


def step_s(batch: float) -> float:
    return A + B * batch + C * math.log2(1 + batch)


def sample(batch: float) -> Sample:
    power_w = P0 + E * batch / step_s(batch)
    return Sample(batch, batch / step_s(batch), power_w, step_s(batch))


SAMPLES = tuple(sample(float(batch)) for batch in (8, 16, 32, 64, 128, 256))


def test_a_bend_is_recovered_and_predicts_what_straight_lines_miss() -> None:
    bent, straight = fit_bent(SAMPLES), fit_steps(SAMPLES)
    assert (bent.step_base_s, bent.step_per_seq_s, bent.step_per_doubling_s) == pytest.approx((A, B, C))
    assert (bent.p0_w, bent.decode_j_per_token) == pytest.approx((P0, E))
    assert max(bent.throughput.held_out_mape_frac, bent.power.held_out_mape_frac, bent.itl.held_out_mape_frac) < 1e-9
    assert straight.throughput.held_out_mape_frac > 0.05


@given(st.floats(0, 512), st.floats(1, 256))
def test_tangents_promise_no_more_tokens_and_touch_where_they_were_asked_for(batch: float, at: float) -> None:
    bent = fit_bent(SAMPLES)
    lines = bent.tangent(at)
    assert lines.step_base_s + lines.step_per_seq_s * batch >= bent.step_s_at(batch) * (1 - 1e-9)
    assert lines.step_base_s + lines.step_per_seq_s * at == pytest.approx(bent.step_s_at(at))
    assert lines.step_base_j + lines.step_per_seq_j * at == pytest.approx(bent.step_j_at(at))
    assert lines.step_base_j / lines.step_base_s == pytest.approx(bent.p0_w)
    assert lines.step_per_seq_j - lines.step_per_seq_s * bent.p0_w == pytest.approx(bent.decode_j_per_token)


def test_straight_rows_get_no_bend() -> None:
    rows = tuple(Sample(b, b / (0.03 + 2e-4 * b), 2500.0 + b, 0.03 + 2e-4 * b) for b in (8.0, 16.0, 64.0, 128.0, 256.0))
    assert fit_bent(rows).step_per_doubling_s == pytest.approx(0.0, abs=1e-12)


def test_queued_rows_are_left_out_and_too_few_are_refused() -> None:
    queued = Sample(4000.0, 4000 / 0.28, 3200.0, 0.068)
    assert fit_bent((*SAMPLES, queued)) == fit_bent(SAMPLES)
    with pytest.raises(FitRefused, match="3 measurements cannot tell 3 terms"):
        fit_bent(SAMPLES[:3])
    with pytest.raises(FitRefused, match="do not tell fixed, sequences"):
        fit_bent((SAMPLES[0], SAMPLES[0], SAMPLES[1], SAMPLES[1]))
