from __future__ import annotations

import pytest

from controller.energy.steady_sample import Sample
from controller.energy.step_fit import fit_steps
from controller.energy.verdict import narrowed, refusal, require_accepted
from controller.errors import FitRefused

BATCHES = (1.0, 8.0, 32.0, 128.0, 256.0)


def sample(batch: float, slower: float = 1.0) -> Sample:
    step_s = (0.03 + 0.0002 * batch) * slower
    return Sample(batch, batch / step_s, 2500.0 + 2 * batch, step_s)


def test_a_fit_that_predicts_what_it_did_not_see_is_accepted() -> None:
    fit = fit_steps(tuple(sample(batch) for batch in BATCHES))
    assert refusal(fit) is None
    require_accepted(fit)


def test_a_throttled_row_gets_the_fit_refused_with_its_batch_and_the_remedy() -> None:
    fit = fit_steps(tuple(sample(batch, 3.0 if batch == 128 else 1.0) for batch in BATCHES))
    with pytest.raises(
        FitRefused, match=r"misses throughput by \d+\.\d %, more than the 15 % .*batch 128, .*repeat it"
    ):
        require_accepted(fit)


def test_the_bound_is_an_argument() -> None:
    fit = fit_steps(tuple(sample(batch, 1.1 if batch == 128 else 1.0) for batch in BATCHES))
    assert refusal(fit) is None
    assert refusal(fit, most_frac=0.01) is not None


def test_a_bent_curve_is_narrowed_until_straight_lines_hold() -> None:
    """Steps that grow steeply up to batch 32 and hardly from there on."""
    rows = []
    for batch in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0):
        step_s = 0.005 + 0.01 * min(batch, 32.0) + 1e-5 * batch
        rows.append(Sample(batch, batch / step_s, 2000.0, step_s))
    assert refusal(fit_steps(tuple(rows))) is not None
    fit = narrowed(rows)
    assert fit is not None
    assert refusal(fit) is None
    low, high = fit.batches
    assert 4 <= len(fit.samples) < len(rows)
    assert [s.batch for s in fit.samples] == [s.batch for s in rows if low <= s.batch <= high]


def test_a_good_fit_stays_whole_and_noise_is_not_narrowed_to_nothing() -> None:
    whole = [sample(batch) for batch in BATCHES]
    assert narrowed(whole) == fit_steps(tuple(whole))
    wild = [sample(batch, slower) for batch, slower in zip(BATCHES, (1, 9, 1, 9, 1), strict=True)]
    assert narrowed(wild) is None
    assert narrowed([]) is None
