from __future__ import annotations

import numpy as np
import pytest

from controller.errors import ConfigError
from controller.study.fleet.make_case import make_case
from router.contract import Precision
from tests.fakes.fleet_cases import fleet_settings, rich_settings

CASE = make_case(fleet_settings())
RICH = make_case(rich_settings())


def test_pools_may_be_left_out_as_long_as_every_class_keeps_one() -> None:
    plain = CASE.with_pools(lambda pool: pool.precision is Precision.BF16)
    assert len(plain.pools) == len(plain.allowed[0]) == len(plain.busy_s_per_token[1]) == 2
    with pytest.raises(ConfigError, match="'exact' may use none of the pools"):
        CASE.with_pools(lambda pool: pool.precision is Precision.FP8)


def test_without_assets_no_site_has_any() -> None:
    assert [site.has_assets for site in RICH.sites] == [True, False]
    assert [site.has_assets for site in RICH.without_assets().sites] == [False, False]


def test_a_part_of_the_case_has_its_part_of_every_series() -> None:
    part = RICH.between(8, 8)
    assert (part.steps, part.start_s) == (8, RICH.start_s + 8 * 900)
    assert np.array_equal(part.classes[0].demand_tokens_per_s, RICH.classes[0].demand_tokens_per_s[8:16])
    assert part.sites[0].terms is not None
    assert part.sites[0].terms.reward_usd_per_mwh.tolist() == [0.0] * 4 + [500.0] * 4
    with pytest.raises(ConfigError, match="steps 20 to 28 lie outside of the case, which has 24"):
        RICH.between(20, 8)


def test_what_is_promised_to_a_programme_is_a_limit() -> None:
    document_case = RICH.enrolled(np.full((2, 24), 1000.0))
    assert not np.isfinite(document_case.sites[0].most_import_w).any()
    promised = rich_settings()
    event = promised.events[0].model_copy(update={"commit_frac": 0.25})
    case = make_case(promised.model_copy(update={"events": (event,)})).enrolled(np.full((2, 24), 1000.0))
    assert np.flatnonzero(np.isfinite(case.sites[0].most_import_w)).tolist() == [12, 13, 14, 15]
    assert case.sites[1].most_import_w[12] == pytest.approx(750.0)
    assert case.sites[0].is_called.tolist() == [12 <= t < 16 for t in range(24)]
