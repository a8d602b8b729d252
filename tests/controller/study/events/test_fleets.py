from __future__ import annotations

import numpy as np
import pytest

from controller.study.events.fleets import FLEX, draw_fleet, families
from controller.study.events.traces import recorded
from router.contract import Precision


def test_every_model_drawn_from_is_kept_in_bf16_and_in_something_else() -> None:
    for profiles in families().values():
        assert {profile.split("/")[1] for profile in profiles} > {"bf16"}


def test_fleets_differ_and_each_can_be_built() -> None:
    fleets = [draw_fleet(np.random.default_rng(n), recorded(), (2, 3, 4), 1.0, 10.0) for n in range(40)]
    counts = {len(fleet.settings.site.pools) for fleet in fleets}
    assert counts == {2, 3, 4}
    held = {pool.precision for fleet in fleets for pool in fleet.settings.site.pools}
    assert held == {Precision.BF16, Precision.FP8, Precision.INT4}
    for fleet in fleets:
        precisions = {pool.precision for pool in fleet.settings.site.pools}
        assert Precision.BF16 in precisions
        assert len(precisions) > 1
        assert fleet.settings.classes[-1].name == FLEX
        assert sum(wish.tokens_per_s for wish in fleet.wishes) == pytest.approx(1.0)


def test_equal_chance_gives_equal_fleets() -> None:
    first, again = (draw_fleet(np.random.default_rng(3), recorded(), (3,), 1.0, 10.0).settings for _ in range(2))
    assert first == again
