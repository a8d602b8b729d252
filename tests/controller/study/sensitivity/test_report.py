from __future__ import annotations

from dataclasses import replace

from controller.study.sensitivity.report import report
from controller.study.sensitivity.result import VariationResult
from controller.study.sensitivity.settings import SensitivitySettings
from tests.fakes.fleet_cases import fleet_settings
from tests.fakes.fleet_totals import TOTALS

FLEET = fleet_settings()
ONE = VariationResult("as written", None, 100.0, 80.0, 0.2, True, TOTALS)
SETTINGS = SensitivitySettings.model_validate(
    {"kind": "sensitivity", "title": "x", "of": "y", "vary": {"start_usd": [2]}}
)


def test_the_range_of_savings_is_told_with_its_ends() -> None:
    found = report(SETTINGS, FLEET, (ONE, replace(ONE, what="start_usd", value=2.0, saving_frac=0.1)))
    assert "saves 20.0%; from 10.0% (start_usd 2) to 20.0% (as written)" in found.paragraphs[0]
    assert found.tables[0].rows[1][:2] == ("start_usd", "2")


def test_savings_that_cannot_be_compared_are_said_to_be_so() -> None:
    assert "did NOT serve the same" in report(SETTINGS, FLEET, (replace(ONE, same_tokens=False),)).paragraphs[1]
