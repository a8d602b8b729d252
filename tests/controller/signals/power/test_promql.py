import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from controller.model.observation import Missing, Quality
from controller.signals.power.dcgm import ENERGY, POWER
from controller.signals.power.gpu_counters import GpuCounters
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.prometheus import Prometheus, Series
from controller.signals.power.promql import GpuQueries, PromqlSource, owners_by_uuid, shown_by_uuid
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.prometheus import running_prometheus

T = 1000.0
DRAW_W = 400.0


def series(uuid: str, *points: tuple[float, float], **labels: str) -> Series:
    return Series({"UUID": uuid, **labels}, points)


class Exporter:
    """A GPU in two MIG rows whose counter follows the wall clock; it can be made to fail."""

    def __init__(self) -> None:
        self.is_down = False

    async def answer(self, _: web.Request) -> web.Response:
        if self.is_down:
            return web.Response(status=500)
        energy_mj = int(time.time() * DRAW_W * 1e3) % 10**12
        rows = [
            f'{name}{{UUID="GPU-a",GPU_I_ID="{mig}",modelName="NVIDIA H100"}} {value}'
            for name, value in ((POWER, 999), (ENERGY, energy_mj))
            for mig in (1, 2)
        ]
        return web.Response(text="\n".join((*rows, f'{POWER}{{UUID="GPU-blank"}} 9223372036854775794', "")))


async def test_power_energy_and_age_come_from_a_real_prometheus(tmp_path):
    exporter = Exporter()
    async with http_stub() as stub:
        stub.set("/metrics", exporter.answer)
        async with running_prometheus(tmp_path, f"{stub.url}/metrics") as server, aiohttp.ClientSession() as session:
            await server.until(f"count_over_time({ENERGY}[1m])", lambda r: r and int(r[0]["value"][1]) >= 4)
            source = PromqlSource(Prometheus(HttpAccess(session), server.url), server.url)
            readings, errors = await source.read(time.time())
            assert errors == ()
            assert set(readings) == {"GPU-a"}  # the blank is none, and the two MIG rows are one GPU
            seen = readings["GPU-a"]
            assert seen.value_w == pytest.approx(DRAW_W, rel=0.05)
            assert time.time() - seen.observed_at_s < 3.0
            assert seen.quality is Quality.DIRECT
            exporter.is_down = True
            await server.until('up{job="test"}', lambda r: r and r[0]["value"][1] == "0")
            await asyncio.sleep(1.5)
            old = (await source.read(time.time()))[0]["GPU-a"]
            assert time.time() - old.observed_at_s > 1.5  # the age is that of the last scrape, not of the query
            assert old.energy_j >= seen.energy_j


async def test_an_expression_needs_the_time_of_its_samples_beside_it(tmp_path):
    queries = GpuQueries(power=f"max by (UUID) ({POWER})", energy=None, time=f"max by (UUID) (timestamp({POWER}))")
    async with http_stub() as stub:
        stub.set("/metrics", Exporter().answer)
        async with running_prometheus(tmp_path, f"{stub.url}/metrics") as server, aiohttp.ClientSession() as session:
            await server.until(POWER, bool)
            source = PromqlSource(Prometheus(HttpAccess(session), server.url), server.url, queries)
            readings, errors = await source.read(time.time())
            scraped = await server.until(f"timestamp({POWER})", bool)
    assert errors == ()
    assert readings["GPU-a"].value_w == 999
    assert readings["GPU-a"].observed_at_s <= max(float(one["value"][1]) for one in scraped)


async def test_a_prometheus_that_is_down_or_knows_no_gpu_is_told():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/api/v1/query", {"status": "success", "data": {"resultType": "matrix", "result": []}})
        for url, told in ((stub.url, "no series with a label of UUID, gpu_uuid, uuid"), (closed_url(), "cannot conn")):
            readings, errors = await PromqlSource(Prometheus(HttpAccess(session), url), url).read(T)
            assert readings == {}
            assert told in errors[0].reason


def test_replicas_that_scraped_at_other_times_are_one_series():
    shown = shown_by_uuid(
        (),
        (series("A", (T, 1e6), (T + 2, 2e6)), series("A", (T + 1, 1.5e6), (T + 2, 2e6))),
        (),
        GpuQueries(),
        T + 3,
    )
    assert shown["A"].energy == ((T, 1000.0), (T + 1, 1500.0), (T + 2, 2000.0))
    assert shown["A"].observed_at_s == T + 2


def test_a_gpu_without_a_time_is_left_out_and_an_emulated_one_says_so():
    queries = GpuQueries(power="p", energy=None, time="t")
    power = (series("A", (T, 300.0), modelName="NVIDIA H100 (emulated)"), series("B", (T, 300.0)))
    shown = shown_by_uuid(power, (), (series("A", (T, T - 20)),), queries, T)
    assert set(shown) == {"A"}
    assert (shown["A"].observed_at_s, shown["A"].emulated) == (T - 20, True)


async def test_a_clock_that_is_ahead_is_told():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        one = {"metric": {"UUID": "A"}, "values": [[T + 60, "300"]]}
        stub.set("/api/v1/query", {"status": "success", "data": {"resultType": "matrix", "result": [one]}})
        readings, errors = await PromqlSource(Prometheus(HttpAccess(session), stub.url), stub.url).read(T)
    assert readings == {}
    assert "60 s ahead" in errors[0].reason


def test_a_counter_alone_needs_two_points():
    shown = shown_by_uuid((), (series("A", (T, 1e6)),), (), GpuQueries(), T)
    assert isinstance(GpuCounters().take("A", shown["A"], "x"), Missing)


def test_of_two_pods_that_series_name_the_newest_has_the_gpu():
    old = series("A", (T - 20.0, 300.0), exported_pod="vllm-1")
    new = series("A", (T, 310.0), exported_pod="vllm-2")
    free, empty = series("B", (T, 100.0)), series("C", exported_pod="vllm-4")
    for told in ((old, new, free, empty), (new, old)):
        assert owners_by_uuid(told, ("UUID",)) == {"A": "vllm-2"}
