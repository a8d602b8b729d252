"""What one process tells of itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from router import worker_report
from router.contract_rates import EnergyRates
from router.observe.observer import observe
from router.settings import RouterSettings
from router.worker_report import WorkerReport, resident_memory
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.running import RawClient, running, until

PLAIN = b'{"model":"qwen","messages":[]}'
NOW_S = 1_800_000_000.0


async def test_connections_requests_and_their_overhead() -> None:
    async with FakeEngine() as engine, running(engine) as router, RawClient.to(router.port) as client:
        await client.post(PLAIN)
        await client.reply()
        await until(lambda: router.gateway.engines.idle() == 1)
        snapshot = WorkerReport(router.gateway, None).take("abc", NOW_S)
        assert snapshot.counters["connections"] == 1
        assert snapshot.counters["client_disconnects"] == 0
        assert snapshot.sums["client_connections"] == 1
        assert snapshot.sums["held_body_bytes"] == 0
        assert snapshot.engine_connections == {"busy": 0, "idle": 1}
        assert snapshot.overhead is not None
        assert sum(snapshot.overhead.counts) == 1
        assert snapshot.config.workers_by_hash == {"abc": 1}
        assert (snapshot.ready, snapshot.draining) == (True, False)


async def test_a_client_that_left_is_counted() -> None:
    async def hang(request, wire) -> None:
        await wire.wait_gone()

    async with FakeEngine(hang) as engine, running(engine) as router:
        report = WorkerReport(router.gateway, None)
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            await until(lambda: engine.requests)
            assert report.take("abc", NOW_S).engine_connections == {"busy": 1, "idle": 0}
        await until(lambda: not router.gateway.clients)
        assert report.take("abc", NOW_S).counters["client_disconnects"] == 1


async def test_the_age_of_energy_rates_is_told_and_absent_before_the_first() -> None:
    async with FakeEngine() as engine, running(engine) as router:
        report = WorkerReport(router.gateway, None)
        assert "energy_rates_age_seconds" not in report.take("abc", NOW_S).gauges
        router.gateway.dispatcher.apply_rates(EnergyRates(NOW_S, NOW_S + 30, "shared", ()), NOW_S)
        assert report.take("abc", NOW_S + 40).gauges["energy_rates_age_seconds"] == 40.0


async def test_a_draining_router_is_not_ready() -> None:
    async with FakeEngine() as engine, running(engine) as router:
        router.gateway.drain()
        snapshot = WorkerReport(router.gateway, None).take("abc", NOW_S)
        assert (snapshot.ready, snapshot.draining) == (False, True)


async def test_the_largest_lag_is_told_for_a_minute() -> None:
    async with FakeEngine() as engine, running(engine) as router:
        report = WorkerReport(router.gateway, None)
        router.gateway.max_lag_s = 7.0
        assert report.take("abc", NOW_S).gauges["event_loop_lag_max_seconds"] == 7.0
        assert report.take("abc", NOW_S + 59).gauges["event_loop_lag_max_seconds"] == 7.0
        assert report.take("abc", NOW_S + 61).gauges["event_loop_lag_max_seconds"] < 7.0


async def test_what_is_observed_is_counted(tmp_path: Path) -> None:
    async with FakeEngine() as engine, running(engine) as router:
        settings = RouterSettings.model_validate({"access_log": {"path": str(tmp_path / "log")}})
        observation = observe(settings, random.Random())
        assert observation is not None
        snapshot = WorkerReport(router.gateway, observation).take("abc", NOW_S)
        observation.close()
        assert snapshot.counters["access_log_lines_written"] == 0


def test_memory_is_told_where_the_system_tells_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert resident_memory()["resident_memory_bytes"] > 1e6
    monkeypatch.setattr(worker_report, "_STATM", tmp_path / "absent")
    assert resident_memory() == {}
