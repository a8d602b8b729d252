"""Where nothing is to be gained, the controller's own loop loses no money, keeps its promises and does not flap."""

from __future__ import annotations

import pytest
import yaml

from controller.study.scenario_file import SHIPPED_DIR
from controller.study.settings import parse
from controller.study.site.result import SiteResult
from controller.study.site.run import STUDY
from controller.study.site.settings import SiteStudySettings


@pytest.fixture(scope="module")
def found() -> SiteResult:
    """Eight hours of the shipped day, decided every 30 s."""
    document = yaml.safe_load((SHIPPED_DIR / "flat-site.yaml").read_text(encoding="utf-8"))
    document.update(hours=8, tick_s=30, interval_s=30)
    outcome = STUDY.run(parse(yaml.safe_dump(document), SiteStudySettings, "flat-site"), lambda *_: None)
    result = outcome.figures["result"]
    assert isinstance(result, SiteResult)
    return result


def test_it_costs_no_more_than_the_fixed_fleet(found: SiteResult) -> None:
    assert found.controlled.usd <= found.fixed.usd
    assert found.controlled.asked_tokens == pytest.approx(found.fixed.asked_tokens)


def test_everything_is_served_in_time_at_full_quality(found: SiteResult) -> None:
    assert found.controlled.late_tokens == found.controlled.lost_tokens == 0.0
    assert found.controlled.quality_loss_frac == 0.0
    assert found.controlled.served_tokens == pytest.approx(found.fixed.served_tokens, rel=1e-3)


def test_instances_are_switched_twice_an_hour_at_most(found: SiteResult) -> None:
    assert found.controlled.most_moves_per_hour is not None
    assert found.controlled.most_moves_per_hour <= 2
