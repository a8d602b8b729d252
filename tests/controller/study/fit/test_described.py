from __future__ import annotations

import pytest

from controller.energy.steady_sample import Sample
from controller.study.figures import as_json
from controller.study.fit.configurations import fit_rows
from controller.study.fit.described import document
from controller.study.fit.rows import Kind, Rows

SAMPLES = tuple(
    Sample(batch, batch / (0.03 + 2e-4 * batch), 1000 + 5 * batch, 0.03 + 2e-4 * batch)
    for batch in (1.0, 8.0, 32.0, 64.0, 128.0)
)


def rows(samples: tuple[Sample, ...]) -> Rows:
    return Rows("mine", Kind.UNTOLD, None, None, None, samples)


def test_the_document_holds_parameters_covariance_and_refusals() -> None:
    fits = [fit_rows(rows(SAMPLES)), fit_rows(rows(SAMPLES[:2]))]
    found = document(fits)
    assert '"covariance"' in as_json(found)
    good, poor = found["configurations"]
    assert good.straight["p0_w"] == pytest.approx(1000, rel=0.05)
    assert good.refused is None
    assert poor.straight is None
    assert "at least 3" in poor.refused
