from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controller.clock import SystemClock
from controller.demo import meter
from controller.demo.meter import Meter, Reading, Record
from controller.errors import SignalError
from tests.fakes.emulated import emulated, instance

METER = Meter("http://x/metrics", "http://x/api/state", pue=1.5, aux_w=100.0)


def state(limit_w: float | None = None, slow_ms: float | None = None, fast_ms: float | None = None) -> dict[str, Any]:
    return {
        "power": {"limit_w": limit_w},
        "price_usd_per_mwh": 500.0,
        "carbon_kg_per_mwh": 300.0,
        "solver": {"slow_ms": slow_ms, "fast_ms": fast_ms, "fallbacks": 1},
    }


def record(*energies_j: float, **more: Any) -> Record:
    kept = Record(METER)
    for second, energy_j in enumerate(energies_j):
        kept.add(Reading(float(second), energy_j, {}, state(**more)))
    return kept


def test_power_is_the_difference_of_the_counters_at_the_metering_point() -> None:
    kept = record(1000.0, 3000.0, 6000.0)
    assert [power.power_w for power in kept.powers] == [2000 * 1.5 + 100, 3000 * 1.5 + 100]
    assert [power.middle_s for power in kept.powers] == [0.5, 1.5]
    assert kept.powers[0].energy_j == pytest.approx(3100.0)
    assert kept.powers[0].price_usd_per_mwh == 500.0


def test_means_weigh_by_time() -> None:
    kept = Record(METER)
    for time_s, energy_j in ((0.0, 0.0), (1.0, 1000.0), (4.0, 10_000.0)):
        kept.add(Reading(time_s, energy_j, {}, None))
    assert kept.mean_w(0.0, 10.0) == pytest.approx(10_000 / 4 * 1.5 + 100)
    assert kept.mean_w(0.0, 1.0) == pytest.approx(1000 * 1.5 + 100)
    assert kept.mean_w(50.0, 60.0) is None


def test_trailing_means_reach_back_over_their_span() -> None:
    kept = record(0.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 11_000.0)
    times, values = zip(*kept.trailing_w(), strict=True)
    assert times[-1] == 6.0
    assert values[-1] == pytest.approx((4 * 1000 + 6000) / 5 * 1.5 + 100)
    assert (times[0], values[0]) == (5.0, pytest.approx(1600.0)), "not before there is as much"


def test_a_reading_without_progress_of_time_is_left_out() -> None:
    kept = Record(METER)
    kept.add(Reading(1.0, 0.0, {}, None))
    kept.add(Reading(1.0, 50.0, {}, None))
    assert kept.powers == []


def test_a_silent_controller_leaves_the_last_known_signals() -> None:
    kept = Record(METER)
    kept.add(Reading(0.0, 0.0, {}, state(limit_w=9000.0)))
    kept.add(Reading(1.0, 1.0, {}, None))
    assert kept.powers[0].limit_w == 9000.0


def test_solver_times_are_kept_once_each() -> None:
    kept = Record(METER)
    for second, (slow, fast) in enumerate([(None, 1.0), (30.0, 1.0), (30.0, 2.0), (40.0, 2.0)]):
        kept.add(Reading(float(second), float(second), {}, state(slow_ms=slow, fast_ms=fast)))
    assert kept.slow_ms == [30.0, 40.0]
    assert kept.fast_ms == [1.0, 2.0]
    assert kept.fallbacks == 1


def test_energy_counters_are_summed_over_gpus() -> None:
    text = (
        b"# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter\n"
        b'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",UUID="a"} 1500\n'
        b'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="1",UUID="b"} 500\n'
        b'DCGM_FI_DEV_POWER_USAGE{gpu="0"} 77\n'
    )
    assert meter.gpus_energy_j(text) == 2.0


@pytest.mark.parametrize("text", [b"", b"DCGM_FI_DEV_POWER_USAGE{} 3\n", b"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{} x\n"])
def test_missing_counters_are_not_zero(text: bytes) -> None:
    with pytest.raises(SignalError):
        meter.gpus_energy_j(text)


async def test_emulated_gpus_are_read_even_without_a_controller() -> None:
    async with emulated(instance()) as emulator, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{emulator.control_port}/metrics"
        there = Meter(url, "http://127.0.0.1:9/api/state", 1.0, 0.0)
        reading = await meter.read(session, there, SystemClock(), {"bf16": 5})
    assert reading.state is None
    assert reading.gpus_j >= 0.0
    assert reading.tokens_by_precision == {"bf16": 5}


async def test_gpus_that_do_not_answer_are_an_error() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SignalError, match=r"127\.0\.0\.1:9"):
            await meter.read(
                session, Meter("http://127.0.0.1:9/metrics", "http://127.0.0.1:9/", 1.0, 0.0), SystemClock(), {}
            )


@pytest.mark.parametrize(("status", "text"), [(503, "{}"), (200, "no json"), (200, "[1]")])
async def test_a_page_that_makes_no_sense_counts_as_silent(status: int, text: str) -> None:
    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text="DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{} 1000\n")

    async def page(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type="application/json")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/api/state", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            there = Meter(f"{base}/metrics", f"{base}/api/state", 1.0, 0.0)
            reading = await meter.read(session, there, SystemClock(), {})
    finally:
        await runner.cleanup()
    assert (reading.state, reading.gpus_j) == (None, 1.0)
