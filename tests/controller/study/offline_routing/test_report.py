from __future__ import annotations

from pathlib import Path

import pytest

from controller.study import scenario_file
from controller.study.registry import STUDIES
from controller.study.study import Report
from controller.study.tables import markdown

PAGE = (Path(__file__).parents[4] / "docs/reference/studies.md").read_text()


@pytest.fixture(scope="module")
def report() -> Report:
    scenario = scenario_file.load("offline-routing", STUDIES)
    return scenario.study.run(scenario.settings, lambda *_: None).report


def test_the_reference_page_shows_the_tables_of_the_shipped_scenario(report: Report) -> None:
    for table in report.tables:
        assert markdown(table) in PAGE, table.title


def test_what_is_not_measured_is_said(report: Report) -> None:
    said = " ".join(report.assumptions)
    assert "SIMULATED" in said
    assert "below zero" in said
    assert "left out" in said
    assert any("arXiv 2407.04014" in source for source in report.sources)
    assert any("CC BY 4.0" in source for source in report.sources)
