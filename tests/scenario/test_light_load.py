"""A site with little to do, under the service's own `tick.decide` and a virtual clock; the engines are emulated."""

from __future__ import annotations

import math

from tests.bench.refit.cases import Case, play


def test_a_site_with_little_to_do_is_modelled_as_the_meter_shows_it() -> None:
    played = play(Case(1.0, refit=False, per_s=0.5, seconds=120.0, begins_s=80.0, limit_w=math.inf))
    assert played.outcome.tokens_served > 0
    assert played.model_error_frac < 0.005
