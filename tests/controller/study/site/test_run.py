from __future__ import annotations

import json

import numpy as np
import pytest

from controller.study.figures import as_json
from controller.study.site.make_site import make_site
from controller.study.site.result import SiteResult
from controller.study.site.run import STUDY, events_of
from tests.fakes.site_cases import event, site_settings


def test_a_run_gives_figures_that_fit_together() -> None:
    told: list[float] = []
    outcome = STUDY.run(site_settings(events=[event()]), lambda done, _: told.append(done))
    found = outcome.figures["result"]
    assert isinstance(found, SiteResult)
    assert found.saving_frac == pytest.approx(1 - found.controlled.usd / found.fixed.usd)
    assert found.fixed.asked_tokens == pytest.approx(found.controlled.asked_tokens)
    assert [each.name for each in found.events] == ["e"]
    assert sum(count for _, count in found.plans) > 0
    assert told[-1] == 1.0
    assert told == sorted(told)
    assert json.loads(as_json(outcome.figures))["result"]["events"][0]["limit_kw"] == 8.0


def test_equal_settings_give_equal_figures() -> None:
    settings = site_settings(hours=0.1)
    first, again = (STUDY.run(settings, lambda *_: None).figures for _ in range(2))
    assert first == again


def test_a_fraction_is_of_the_fixed_fleet_while_the_event_lasts() -> None:
    settings = site_settings(events=[event(limit_kw=None, limit_frac=0.5)])
    fixed_w = np.full(180, 9_000.0)
    fixed_w[90:150] = 12_000.0
    (heard,) = events_of(settings, make_site(settings), fixed_w)
    assert heard.limit_w == pytest.approx(6_000.0)


def test_an_event_shorter_than_an_interval_is_of_the_power_of_that_interval() -> None:
    short = event(limit_kw=None, limit_frac=0.5, start="2022-07-12T12:15:02Z", minutes=0.1, ramp_s=0)
    settings = site_settings(events=[short])
    fixed_w = np.full(180, 9_000.0)
    fixed_w[90] = 10_000.0
    (heard,) = events_of(settings, make_site(settings), fixed_w)
    assert heard.limit_w == pytest.approx(5_000.0)
