from __future__ import annotations

import numpy as np
import pytest

from controller.errors import ConfigError
from controller.model.grid import Series
from controller.study.site.make_site import grid_event, make_site
from router.contract import Precision
from tests.fakes.site_cases import event, site_document, site_settings


def with_demand(tokens_per_s: float, **changes: float) -> list[dict[str, object]]:
    written = {**site_document()["classes"][0]}
    written["demand"] = {**written["demand"], "mean_tokens_per_s": tokens_per_s, **changes}
    return [written]


def test_what_is_asked_has_the_written_mean_and_lengths() -> None:
    asked = make_site(site_settings(classes=with_demand(4000, noise_frac=0.2))).asked_per_s
    assert asked.shape == (180, 1, 3)
    assert asked[:, 0, 2].mean() == pytest.approx(4000.0)
    assert asked[:, 0, 1] / asked[:, 0, 0] == pytest.approx(np.full(180, 1024.0))
    assert asked[:, 0, 2] / asked[:, 0, 0] == pytest.approx(np.full(180, 256.0))
    assert asked[:, 0, 2].std() > 0.0


def test_the_fixed_fleet_is_of_bf16_and_grows_with_demand() -> None:
    case = make_site(site_settings())
    assert {pool.precision for pool in case.fixed.pools} == {Precision.BF16}
    assert case.fixed.gpus == case.site.gpus
    more = make_site(site_settings(classes=with_demand(8000)))
    assert len(more.fixed.pools[0].instances) > len(case.fixed.pools[0].instances)
    assert len(make_site(site_settings(fixed_instances=5)).fixed.pools[0].instances) == 5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fixed_instances": 6}, "site.gpus 40: the fixed fleet of 6 bf16 instances takes 48 GPUs; install more"),
        ({"classes": with_demand(80_000)}, "site.gpus 40: the fixed fleet of"),
        ({"classes": [{**site_document()["classes"][0], "itl_slo_s": 0.001}]}, "'standard' can be served by no pool"),
        ({"price": {"zone": "LZ_WEST"}, "start": "2023-06-01T00:00:00Z"}, "no hour 2023-06-01T00:00Z"),
    ],
)
def test_what_cannot_be_played_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_site(site_settings(**changes))


def test_a_request_that_no_instance_can_hold_is_refused() -> None:
    long = [{**with_demand(100)[0], "output_tokens": 100_000}]
    assert make_site(site_settings(classes=long)).requests is None
    with pytest.raises(ConfigError, match="'standard' asks for up to 808,192 tokens in a request, and an instance"):
        make_site(site_settings(classes=long, engine="requests"))


def test_both_fleets_get_the_same_requests_and_the_seed_decides_which() -> None:
    first, again = (make_site(site_settings(engine="requests", hours=0.05)).requests for _ in range(2))
    assert first == again
    assert first != make_site(site_settings(engine="requests", hours=0.05, seed=1)).requests


def test_ramps_reach_the_policy() -> None:
    policy = make_site(site_settings(plan={"ramp_up_w_per_s": 5})).policy
    assert (policy.ramp_up_w_per_s, policy.ramp_down_w_per_s) == (5.0, None)


def test_those_asleep_at_the_start_are_the_last_of_their_pool() -> None:
    pools = [dict(pool) for pool in site_document()["site"]["pools"]]
    pools[1]["asleep"] = 2
    case = make_site(site_settings(site={**site_document()["site"], "pools": pools}))
    assert case.asleep == {"fp8-1", "fp8-2"}


def test_prices_reach_over_the_last_plan() -> None:
    prices = make_site(site_settings(price={"zone": "LZ_WEST"}, start="2022-07-12T12:30:00Z")).signals.price_usd_per_mwh
    assert isinstance(prices, Series)
    settings = site_settings()
    last_s = settings.start.timestamp() + 1800.0 + 3600.0 * settings.hours
    assert prices.at(last_s + settings.plan.steps * settings.plan.step_s) is not None
    assert prices.at(last_s - 3600.0) is not None


def test_an_event_is_known_from_its_notice() -> None:
    written = site_settings(events=[event()]).events[0]
    heard = grid_event(written, 8000.0)
    assert (heard.limit_w, heard.start_s - heard.notice_s, heard.end_s - heard.start_s) == (8000.0, 120.0, 600.0)


def test_what_is_too_much_to_play_request_by_request_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine: 57,600,000 output tokens are more than the 50,000,000 that are"):
        make_site(site_settings(engine="requests", hours=4))
