from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from controller.study.fleet.events import Response, Terms, limits_w, terms
from controller.study.fleet.signals import starts_of
from controller.study.fleet.site_settings import LimitEventSettings, ResponseEventSettings

HOURS = starts_of(datetime(2022, 3, 12, tzinfo=UTC), 3600.0, 48)
"""Two days over the change of clocks in Texas."""


def limit(name: str, hour: int, hours: float, limit_kw: float, **more: object) -> LimitEventSettings:
    start = datetime(2022, 3, 12, hour, tzinfo=UTC)
    return LimitEventSettings.model_validate(
        {"kind": "limit", "name": name, "sites": ["a"], "start": start, "hours": hours, "limit_kw": limit_kw, **more}
    )


def response(name: str, hour: int, reward: float, **more: object) -> ResponseEventSettings:
    start = datetime(2022, 3, 12, hour, tzinfo=UTC)
    shared = {"kind": "response", "name": name, "sites": ["a"], "start": start, "hours": 2}
    return ResponseEventSettings.model_validate({**shared, "reward_usd_per_mwh": reward, **more})


def test_where_limits_overlap_the_most_restrictive_holds() -> None:
    found = limits_w((limit("one", 5, 4, 100), limit("two", 7, 4, 60)), "a", HOURS, 80_000.0)
    assert found[:12].tolist() == [80e3] * 7 + [60e3] * 4 + [80e3]
    assert limits_w((limit("one", 5, 4, 100),), "b", HOURS, math.inf).tolist() == [math.inf] * 48


def test_a_daily_event_comes_at_the_same_time_in_utc_though_the_clocks_change() -> None:
    found = limits_w((limit("daily", 22, 1, 10, days=2),), "a", HOURS, math.inf)
    assert np.flatnonzero(np.isfinite(found)).tolist() == [22, 46]


def test_a_reduction_is_paid_once_at_the_highest_reward() -> None:
    found = terms((response("one", 3, 500, most_frac=0.2), response("two", 4, 300, commit_frac=0.1)), "a", HOURS)
    assert found is not None
    assert found.reward_usd_per_mwh[2:7].tolist() == [0, 500, 500, 300, 0]
    assert found.most_frac[2:7].tolist() == [0, 0.2, 1.0, 1.0, 0]
    assert found.commit_frac[2:7].tolist() == [0, 0, 0.1, 0.1, 0]


def test_a_site_without_programmes_has_no_terms() -> None:
    assert terms((limit("one", 5, 4, 100), response("two", 3, 500)), "b", HOURS) is None


def test_terms_against_a_baseline_are_watts() -> None:
    some = Terms(np.array([0.0, 500.0]), np.array([0.0, 0.5]), np.array([0.0, 0.1]))
    found = Response.of(some, np.array([900.0, 1000.0]))
    assert found.most_w.tolist() == [0.0, 500.0]
    assert found.commit_w.tolist() == pytest.approx([0.0, 100.0])
    assert some.between(slice(1, 2)).reward_usd_per_mwh.tolist() == [500.0]
