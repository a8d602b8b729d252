from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from controller.energy.steady_sample import Sample
from controller.study.fit.configurations import Fitted, fit_rows, medians
from controller.study.fit.rows import Kind, Rows, bundled_rows


@pytest.fixture(scope="module")
def bundled() -> list[Fitted]:
    return [fit_rows(rows) for rows in bundled_rows()]


def by_kind(fits: list[Fitted], kind: Kind) -> object:
    return next(found for found in medians(fits) if found.kind is kind)


def test_dense_llama_and_qwen_are_predicted_within_five_percent(bundled: list[Fitted]) -> None:
    found = by_kind(bundled, Kind.DENSE_FAMILIES)
    assert found.configurations == 16
    assert max(found.power_frac, found.throughput_frac, found.itl_frac) <= 0.05


def test_the_bend_takes_most_of_the_error_of_mixtures_of_experts_and_none_of_their_power(bundled: list[Fitted]) -> None:
    found = by_kind(bundled, Kind.EXPERTS)
    assert found.bent_throughput_frac < found.throughput_frac / 3
    assert found.bent_itl_frac < found.itl_frac / 4
    assert found.bent_power_frac < found.power_frac + 0.01


def test_no_figure_of_any_configuration_is_negative(bundled: list[Fitted]) -> None:
    for fitted in bundled:
        fit = fitted.straight
        assert fit is not None, fitted.rows.name
        assert min(fit.p0_w, fit.decode_j_per_token, fit.time.intercept, fit.time.slope) >= 0
        assert fit.power_w_at(fit.tokens_per_s_at(fit.batches[1])) >= fit.p0_w > 0


def test_a_fit_beyond_the_bound_is_refused_and_no_other(bundled: list[Fitted]) -> None:
    for fitted in bundled:
        fit = fitted.straight
        assert fit is not None
        poor = max(fit.power.held_out_mape_frac, fit.throughput.held_out_mape_frac) > 0.15
        assert (fitted.refused is not None) == poor, fitted.rows.name


def test_odd_rows_are_seven_of_all(bundled: list[Fitted]) -> None:
    odd = [(fitted.rows.name, sample) for fitted in bundled for sample in fitted.odd]
    assert len(odd) == 7
    assert all(sample.step_s / sample.median_itl_s > 1.5 for _, sample in odd)


def capacity(step_s: Callable[[float], float], batches: tuple[float, float], itl_s: float) -> float:
    """Tokens/s at the largest batch whose step takes no longer than a promise."""
    low, high = batches
    if step_s(high) > itl_s:
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if step_s(middle) <= itl_s else (low, middle)
        return low / step_s(low)
    return high / step_s(high)


def errors_of_lines(fitted: Fitted, *, at_s: float, itl_s: float) -> np.ndarray:
    """Errors of the capacity at a promise by straight lines, and by those that touch the bend at `at_s`."""
    assert fitted.straight is not None
    assert fitted.bent is not None
    batches = sorted({sample.batch for sample in fitted.straight.samples})
    step_s = [np.mean([s.step_s for s in fitted.straight.samples if s.batch == b]) for b in batches]
    ends = (batches[0], batches[-1])
    known = capacity(lambda batch: float(np.interp(batch, batches, step_s)), ends, itl_s)
    bend = fitted.bent.step_s_at
    rate = capacity(bend, ends, at_s)
    touching = fitted.bent.tangent(min(batches[-1], rate * at_s) if bend(batches[-1]) > at_s else batches[-1])
    straight = capacity(fitted.straight.time.at, ends, itl_s)
    tangent = capacity(lambda batch: touching.step_base_s + touching.step_per_seq_s * batch, ends, itl_s)
    return np.abs([straight / known - 1, tangent / known - 1])


def test_lines_at_the_batch_of_a_promise_tell_its_capacity_and_no_others(bundled: list[Fitted]) -> None:
    experts = [fitted for fitted in bundled if fitted.rows.kind is Kind.EXPERTS]

    def mean(at_s: float, itl_s: float) -> tuple[float, float]:
        straight, tangent = np.mean([errors_of_lines(f, at_s=at_s, itl_s=itl_s) for f in experts], axis=0)
        return float(straight), float(tangent)

    for promise_s in (0.05, 0.06, 0.1):
        straight, tangent = mean(promise_s, promise_s)
        assert tangent < 0.65 * straight
    straight, tangent = mean(0.1, 0.05)
    assert tangent > straight


def test_too_few_rows_are_a_refusal_and_not_a_failure() -> None:
    rows = Rows("mine", Kind.UNTOLD, None, None, None, (Sample(8.0, 250.0, 900.0, 0.032),))
    fitted = fit_rows(rows)
    assert fitted.straight is None
    assert "at least 3" in str(fitted.refused)
    assert medians([fitted]) == ()


def test_with_prompts_there_is_no_bend() -> None:
    samples = []
    for batch, prompts in ((8, 0), (8, 900), (32, 100), (64, 2000), (128, 500)):
        step_s = 0.03 + 2e-4 * batch + 2e-5 * prompts
        step_j = 1000 * step_s + 0.2 * batch + 0.01 * prompts
        samples.append(Sample(batch, batch / step_s, step_j / step_s, 0.03 + 2e-4 * batch, prompts / step_s))
    fitted = fit_rows(Rows("mine", Kind.UNTOLD, None, None, None, tuple(samples)))
    assert fitted.refused is None
    assert fitted.bent is None
    assert fitted.straight is not None
    assert fitted.straight.prefill_j_per_token == pytest.approx(0.01)
