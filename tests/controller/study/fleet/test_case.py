from __future__ import annotations

import numpy as np
import pytest

from controller.errors import ConfigError
from controller.study.fleet.case import make_case
from router.contract import Precision
from tests.fakes.fleet_cases import fleet_document, fleet_settings


def test_every_site_has_every_pool_of_every_model() -> None:
    case = make_case(fleet_settings())
    assert [(pool.name, pool.c) for pool in case.pools] == [
        ("a/m/bf16-8", 0),
        ("a/m/fp8-4", 0),
        ("b/m/bf16-8", 1),
        ("b/m/fp8-4", 1),
    ]
    assert case.steps == 24
    assert case.allowed == ((True, False, True, False), (True, True, True, True))


def test_equal_settings_give_an_equal_case() -> None:
    first, second = make_case(fleet_settings()), make_case(fleet_settings())
    other = make_case(fleet_settings(seed=1))
    assert np.array_equal(first.classes[0].demand_tokens_per_s, second.classes[0].demand_tokens_per_s)
    assert not np.array_equal(first.classes[0].demand_tokens_per_s, other.classes[0].demand_tokens_per_s)


def test_a_class_that_no_pool_may_serve_is_refused() -> None:
    document = fleet_document()
    document["classes"][0]["precisions"] = ["int4"]
    with pytest.raises(ConfigError, match="'exact' can be served by no pool"):
        make_case(fleet_settings(**document))


def test_a_latency_that_no_pool_keeps_is_refused() -> None:
    document = fleet_document()
    document["classes"][0]["itl_slo_s"] = 1e-4
    with pytest.raises(ConfigError, match=r"fast enough for itl_slo_s 0\.0001"):
        make_case(fleet_settings(**document))


def test_pools_may_be_left_out_as_long_as_every_class_keeps_one() -> None:
    case = make_case(fleet_settings())
    plain = case.with_pools(lambda pool: pool.precision is Precision.BF16)
    assert len(plain.pools) == len(plain.allowed[0]) == len(plain.busy_s_per_token[1]) == 2
    with pytest.raises(ConfigError, match="'exact' may use none of the pools"):
        case.with_pools(lambda pool: pool.precision is Precision.FP8)
