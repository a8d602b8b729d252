from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from controller.errors import ConfigError
from controller.study.fleet.make_case import make_case
from tests.fakes.fleet_cases import fleet_document, fleet_settings, rich_document, rich_settings


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


def test_a_first_token_that_no_pool_gives_in_time_is_refused() -> None:
    document = fleet_document()
    document["classes"][0]["ttft_slo_s"] = 0.02
    with pytest.raises(ConfigError, match=r"itl_slo_s 0\.06 and ttft_slo_s 0\.02; allow more"):
        make_case(fleet_settings(**document))


def test_a_tight_first_token_leaves_less_of_an_instance_for_every_class_on_the_pool() -> None:
    document = fleet_document()
    plain = make_case(fleet_settings(**document))
    document["classes"][1]["ttft_slo_s"] = 0.18
    tight = make_case(fleet_settings(**document))
    fp8 = [k for k, pool in enumerate(plain.pools) if pool.precision == "fp8"]
    for row, before in zip(tight.busy_s_per_token, plain.busy_s_per_token, strict=True):
        assert all(row[k] > 1.02 * before[k] for k in fp8)
    assert tight.j_per_token == plain.j_per_token
    assert tight.allowed == plain.allowed


def test_a_class_loses_what_it_says_at_a_precision() -> None:
    document = fleet_document()
    document["classes"][1]["quality_loss_frac"] = {"fp8": 0.02}
    assert make_case(fleet_settings(**document)).quality_loss_frac == ((0.0, 0.006) * 2, (0.0, 0.02) * 2)


def test_a_class_uses_the_pools_of_the_sites_it_reaches() -> None:
    document = fleet_document()
    document["classes"][1] |= {"sites": ["b"]}
    assert make_case(fleet_settings(**document)).allowed[1] == (False, False, True, True)


def test_an_event_outside_of_the_scenario_is_refused() -> None:
    document = rich_document()
    document["events"][0]["start"] = "2023-07-12T15:00:00Z"
    with pytest.raises(ConfigError, match=r"events: 'noon' lasts from 2023-07-12T15:00Z .* correct start, hours"):
        make_case(rich_settings(**document))


def test_a_site_may_have_prices_and_carbon_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    rows = ("time,usd,kg", "2022-07-12T12:00:00Z,-20,100", "2022-07-12T15:00:00Z,80,500")
    file.write_text("\n".join(rows), encoding="utf-8")
    document = fleet_document()
    site = document["sites"][0]
    del site["price_zone"]
    site |= {name: {"path": str(file), "column": column} for name, column in (("price", "usd"), ("carbon", "kg"))}
    own, other = make_case(fleet_settings(**document)).sites
    assert own.price_usd_per_mwh.tolist() == [-20.0] * 12 + [80.0] * 12
    assert own.carbon_kg_per_mwh.tolist() == [100.0] * 12 + [500.0] * 12
    assert len(set(other.price_usd_per_mwh)) > 2


def test_assets_and_events_become_series() -> None:
    document = rich_document()
    limit = {"name": "cap", "kind": "limit", "sites": ["b"], "start": "2022-07-12T13:00:00Z", "hours": 1}
    document["events"].append({**limit, "limit_kw": 20})
    document["classes"][0] |= {"home": "a", "move_usd_per_mtoken": 2}
    a, b = make_case(rich_settings(**document)).sites
    assert a.pv_w is not None
    assert a.pv_w[-1] > 20e3
    assert b.pv_w is None
    assert a.has_assets
    assert not b.has_assets
    assert [math.isfinite(limit) for limit in b.limit_w] == [t in range(4, 8) for t in range(24)]
    assert b.is_called.tolist() == [t in range(4, 8) for t in range(24)]
    assert a.terms is not None
    assert a.response is None
    case = make_case(rich_settings(**document))
    assert case.move_usd_per_token[0] == (0.0, 0.0, 2e-6, 2e-6)
    assert case.classes[2].defer_steps == 16
    assert case.defers


def test_a_site_without_gpus_draws_its_base_load() -> None:
    document = fleet_document()
    document["sites"][1] |= {"gpus": 0, "aux_kw": 5}
    case = make_case(fleet_settings(**document))
    assert [case.most_instances(pool) for pool in case.pools] == [12, 24, 0, 0]
