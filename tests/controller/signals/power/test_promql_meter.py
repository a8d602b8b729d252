import time

import aiohttp
import pytest
from aiohttp import web

from controller.model.observation import Missing, Quality
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.prometheus import Prometheus, Series
from controller.signals.power.promql_meter import MeterQueries, PromqlMeter, newest_of_one
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.prometheus import running_prometheus

METER = 'site_kw{meter="main"} -41.5\nsite_kw{meter="spare"} 7\nsite_kwh_total{meter="main"} 1200\n'


def meter(session, url, queries):
    return PromqlMeter(Prometheus(HttpAccess(session), url), url, queries)


async def test_a_real_prometheus_tells_the_meter_in_its_unit_and_sign(tmp_path):
    main = MeterQueries(
        power='site_kw{meter="main"}[1m]',
        energy='site_kwh_total{meter="main"}[1m]',
        w_per_unit=-1000.0,
        j_per_unit=3.6e6,
    )
    expression = MeterQueries(power="sum(site_kw)", time="max(timestamp(site_kw))", w_per_unit=1000.0)
    async with http_stub() as stub:
        stub.set("/metrics", METER)
        async with running_prometheus(tmp_path, f"{stub.url}/metrics") as server, aiohttp.ClientSession() as session:
            await server.until("site_kw", lambda result: len(result) == 2)
            reading = await meter(session, server.url, main).read(time.time())
            assert (reading.value_w, reading.energy_j) == (41_500.0, 1200 * 3.6e6)
            assert reading.quality is Quality.DIRECT
            assert time.time() - reading.observed_at_s < 5
            assert (await meter(session, server.url, expression).read(time.time())).value_w == -34_500.0
            both = await meter(session, server.url, MeterQueries("site_kw[1m]")).read(time.time())
            assert "2 series" in both.reason
            assert "add labels until one is left" in both.reason
            none = await meter(session, server.url, MeterQueries("other[1m]")).read(time.time())
            assert "'other[1m]': no series with a value" in none.reason


async def test_machines_that_ipmi_exporter_shows_are_added_up_and_none_is_left_out(tmp_path):
    asked = 'ipmi_dcmi_power_consumption_watts{job="test"}'
    told = MeterQueries(power=f"sum({asked}) and count({asked}) == 2", time=f"min(timestamp({asked}))")
    more = MeterQueries(power=f"sum({asked}) and count({asked}) == 3", time=f"min(timestamp({asked}))")
    async with http_stub() as first, http_stub() as second:
        first.set("/metrics", "ipmi_dcmi_power_consumption_watts 4100\n")
        second.set("/metrics", "ipmi_dcmi_power_consumption_watts 3900\n")
        targets = (f"{first.url}/metrics", f"{second.url}/metrics")
        async with running_prometheus(tmp_path, *targets) as server, aiohttp.ClientSession() as session:
            await server.until("ipmi_dcmi_power_consumption_watts", lambda result: len(result) == 2)
            reading = await meter(session, server.url, told).read(time.time())
            lacking = await meter(session, server.url, more).read(time.time())
    assert reading.value_w == 8000.0
    assert "no series with a value" in lacking.reason


async def test_a_prometheus_that_is_down_is_missing():
    async with aiohttp.ClientSession() as session:
        reading = await meter(session, closed_url(), MeterQueries("site_kw[1m]")).read(1000.0)
    assert isinstance(reading, Missing)
    assert "cannot connect" in reading.reason


async def test_a_time_that_is_not_known_or_lies_ahead_is_told():
    answers = {
        "p": {"resultType": "vector", "result": [{"metric": {}, "value": [1000, "5"]}]},
        "none": {"resultType": "vector", "result": []},
        "late": {"resultType": "vector", "result": [{"metric": {}, "value": [1000, "5000"]}]},
    }

    async def answer(request):
        return web.json_response({"status": "success", "data": answers[request.query["query"]]})

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/api/v1/query", answer)
        for query, told in (("none", "no series with a value"), ("late", "4000 s ahead")):
            reading = await meter(session, stub.url, MeterQueries("p", time=query)).read(1000.0)
            assert told in reading.reason


@pytest.mark.parametrize(("points", "newest"), [((), None), (((1.0, 2.0), (3.0, 4.0)), (3.0, 4.0))])
def test_the_newest_point_counts(points, newest):
    assert newest_of_one((Series({}, points),), "q") == newest
    assert newest_of_one((), "q") is None
