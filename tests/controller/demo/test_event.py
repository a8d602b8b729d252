from __future__ import annotations

import json

import aiohttp
import pytest
from aiohttp import web

from controller.demo import event
from controller.demo.event import ClassLoad
from controller.model.fleet import RequestClass
from controller.model.grid import GridEvent
from controller.simulation.site_router import Request
from router.contract import ClassId, Precision
from tests.fakes import controller_parts as parts

ANY, BF16_ONLY = ClassId("any"), ClassId("bf16-only")


@pytest.mark.parametrize("seconds", [20.0, 40.0, 150.0, 300.0, 3600.0])
def test_the_event_fits_into_the_run_with_notice_and_a_ramp_that_ends_before_it(seconds: float) -> None:
    times = event.times(seconds)
    assert 0 < times.notice_s < times.start_s < times.end_s < seconds
    assert times.ramp_s < times.duration_s
    assert times.ramp_s <= 30.0
    assert times.start_s - times.notice_s >= min(60.0, 0.2 * seconds)


def test_the_limit_is_a_share_of_the_power_before() -> None:
    assert event.choose_limit(20_000.0, 12_000.0).limit_w == 17_000.0


def test_the_limit_leaves_room_to_serve_everything() -> None:
    assert event.choose_limit(20_000.0, 18_000.0).limit_w == 18_700.0


def test_without_a_known_floor_the_share_alone_counts() -> None:
    assert event.choose_limit(10_040.0, None).limit_w == 8500.0


def test_loads_are_means_between_two_times() -> None:
    asked = [Request(n, float(n), ANY if n % 2 else BF16_ONLY, 100, 10) for n in range(100)]
    assert event.loads(asked, 10.0, 20.0) == (ClassLoad(ANY, 5.0, 50.0), ClassLoad(BF16_ONLY, 5.0, 50.0))


def fleet(**more: object) -> object:
    return parts.site(
        parts.pool("bf16", ("http://127.0.0.1:1", "http://127.0.0.1:2")),
        parts.pool("fp8", ("http://127.0.0.1:3", "http://127.0.0.1:4"), Precision.FP8),
        classes=(RequestClass(ANY), RequestClass(BF16_ONLY, precisions=(Precision.BF16,))),
        **more,
    )


def test_without_demand_everything_may_sleep() -> None:
    site = fleet()
    asleep_w = 4 * parts.curves().sleeping_w
    assert event.least_power_w(site, (), 0.8) == pytest.approx(asleep_w * site.pue + site.aux_w)


def test_the_least_power_grows_with_the_demand_by_whole_instances() -> None:
    site = fleet()
    watts = [event.least_power_w(site, (ClassLoad(ANY, rate, 0.0),), 0.8) for rate in (10.0, 1000.0, 6000.0)]
    assert all(value is not None for value in watts)
    curves = parts.curves()
    one_w = curves.p0_w + 3 * curves.sleeping_w + 10.0 * curves.decode_j_per_token
    assert watts[0] == pytest.approx(one_w * site.pue + site.aux_w)
    assert watts[0] < watts[1] < watts[2]


def test_a_class_bound_to_a_pool_needs_an_instance_there() -> None:
    site = fleet()
    both = (ClassLoad(ANY, 3000.0, 0.0), ClassLoad(BF16_ONLY, 10.0, 0.0))
    curves = parts.curves()
    # One BF16 instance must serve, and takes what it can of the other class.
    lower = event.least_power_w(site, both, 0.8)
    assert lower is not None
    assert lower >= (curves.p0_w + 3 * curves.sleeping_w) * site.pue


def test_more_than_the_fleet_can_serve_has_no_least_power() -> None:
    assert event.least_power_w(fleet(), (ClassLoad(ANY, 1e6, 0.0),), 0.8) is None


def test_a_fleet_too_large_to_try_has_none() -> None:
    urls = tuple(f"http://127.0.0.1:{n}" for n in range(1, 201))
    large = parts.site(parts.pool("a", urls), parts.pool("b", urls), classes=(RequestClass(ANY),))
    assert event.least_power_w(large, (ClassLoad(ANY, 10.0, 0.0),), 0.8) is None


async def posted(status: int, told: object) -> tuple[GridEvent | None, list[object]]:
    got: list[object] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response(status=status, text=json.dumps(told), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/events", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/events"
            return await event.post(session, url, {"limit_w": 9000.0}), got
    finally:
        await runner.cleanup()


TOLD = {
    "event_id": "demo", "limit_w": 9000.0, "start_s": 20.0, "end_s": 50.0, "notice_s": 10.0, "ramp_s": 5.0,
    "source": "operator", "state": "pending",
}  # fmt: skip


async def test_the_controller_is_told_and_its_word_is_taken() -> None:
    taken, got = await posted(201, TOLD)
    assert taken == GridEvent("demo", 9000.0, 20.0, 50.0, 10.0, 5.0, "operator")
    assert got == [{"limit_w": 9000.0}]


@pytest.mark.parametrize(("status", "told"), [(409, {"error": "conflict"}), (201, {"event_id": "x"}), (201, None)])
async def test_a_refusal_or_nonsense_is_told_and_leaves_no_event(
    status: int, told: object, caplog: pytest.LogCaptureFixture
) -> None:
    taken, _ = await posted(status, told)
    assert taken is None
    assert caplog.records


async def test_a_controller_that_is_gone_leaves_no_event(caplog: pytest.LogCaptureFixture) -> None:
    async with aiohttp.ClientSession() as session:
        assert await event.post(session, "http://127.0.0.1:9/v1/events", {}) is None
    assert "could not be sent" in caplog.text
