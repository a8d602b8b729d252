from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.study.events.floor import Floor, Verdict, floor_of
from controller.study.site.make_site import make_site
from tests.fakes.site_cases import site_settings

SITE = make_site(site_settings()).site


def watts(tokens_per_s: float, **changes: object) -> float | None:
    site = dataclasses.replace(SITE, classes=(dataclasses.replace(SITE.classes[0], **changes),))  # type: ignore[arg-type]
    return floor_of(site, np.array([tokens_per_s]), (False,), 0.85).promises_w


def test_an_idle_fleet_draws_what_its_sleepers_and_spare_gpus_draw() -> None:
    rest = sum(len(pool.instances) * pool.curves.sleeping_w for pool in SITE.pools)
    spare = (40 - 3 * 8 - 3 * 4) * SITE.spare_gpu_w
    assert floor_of(SITE, np.zeros(1), (False,), 0.85).idle_w == pytest.approx(SITE.pue * (rest + spare))


def test_more_load_takes_more_and_too_much_cannot_be_served() -> None:
    little, more = watts(500.0), watts(4000.0)
    assert little is not None
    assert more is not None
    assert little < more
    assert watts(1e6) is None


def test_a_tight_quality_budget_costs_power() -> None:
    free, tight = watts(4000.0, quality_budget_frac=0.006), watts(4000.0, quality_budget_frac=0.0)
    assert free is not None
    assert tight is not None
    assert free < tight


def test_what_may_wait_is_no_part_of_the_floor() -> None:
    waiting = floor_of(SITE, np.array([4000.0]), (True,), 0.85)
    assert waiting.promises_w == pytest.approx(waiting.idle_w)
    assert waiting.served_w is not None
    assert waiting.served_w > waiting.idle_w


def test_the_verdict_says_what_a_limit_costs() -> None:
    floor = Floor(idle_w=1000.0, promises_w=2000.0, served_w=3000.0)
    assert floor.verdict(2100.0, 0.03) is Verdict.WITHIN
    assert floor.verdict(2050.0, 0.03) is Verdict.PROMISES
    assert floor.verdict(1000.0, 0.03) is Verdict.IDLE
    assert Floor(1000.0, None, None).verdict(5000.0, 0.03) is Verdict.PROMISES
