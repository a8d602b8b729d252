from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from controller.study.batching.run import STUDY
from controller.study.batching.settings import BatchingSettings
from controller.study.scenario_file import SHIPPED_DIR
from controller.study.settings import parse
from controller.study.study import Report
from controller.study.tables import markdown

PAGE = (Path(__file__).parents[4] / "docs/reference/studies.md").read_text()
SHIPPED = yaml.safe_load((SHIPPED_DIR / "batching.yaml").read_text())


@pytest.fixture(scope="module")
def report() -> Report:
    """The shipped scenario with little shaping, which alone takes long."""
    shaping = {**SHIPPED["shaping"], "rates_rps": [0.1], "duration_s": 60}
    settings = parse(yaml.safe_dump({**SHIPPED, "shaping": shaping}), BatchingSettings, "batching")
    return STUDY.run(settings, lambda *_: None).report


def test_the_reference_page_shows_the_measured_tables(report: Report) -> None:
    measured = [table for table in report.tables if " against " in table.title]
    assert len(measured) == 6
    for table in measured:
        assert markdown(table) in PAGE, table.title


def test_the_verdict_names_both_ends_and_the_break_even(report: Report) -> None:
    assert "+56% at 8 concurrent" in report.paragraphs[0]
    assert "needs less from 28 concurrent on" in report.paragraphs[0]
    assert "does not change within what was measured" in report.paragraphs[2]


def test_what_is_measured_emulated_and_estimated_is_said(report: Report) -> None:
    said = " ".join(report.assumptions)
    assert all(word in said for word in ("MEASURED", "EMULATED", "estimates", "seed 0"))
    assert any("ML.ENERGY" in source for source in report.sources)


def test_an_estimated_profile_is_named(report: Report) -> None:
    shaping = {
        **SHIPPED["shaping"],
        "rates_rps": [0.1],
        "duration_s": 60,
        "profiles": ["qwen3-235b-a22b/int4/2xh100"],
    }
    settings = parse(yaml.safe_dump({**SHIPPED, "shaping": shaping}), BatchingSettings, "batching")
    said = STUDY.run(settings, lambda *_: None).report.assumptions
    assert any("ESTIMATED curves, not measured: qwen3-235b-a22b/int4/2xh100" in text for text in said)


def test_no_word_outgrows_what_was_found(report: Report) -> None:
    assert "100x" not in " ".join(report.paragraphs)
