import aiohttp
import pytest

from controller.errors import SignalError
from controller.signals.power import prometheus
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.prometheus import Prometheus, Series, has_sample_times, read_series
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.prometheus import running_prometheus


async def test_a_real_prometheus_answers_and_refuses(tmp_path):
    async with http_stub() as stub:
        stub.set("/metrics", 'site_kw{meter="main"} 41.5\nsite_kw{meter="spare"} NaN\n')
        async with running_prometheus(tmp_path, f"{stub.url}/metrics") as server, aiohttp.ClientSession() as session:
            await server.until("site_kw", lambda result: len(result) == 2)
            asked = Prometheus(HttpAccess(session), server.url + "/")
            series = {one.labels["meter"]: one for one in await asked.query("site_kw[1m]")}
            assert series["main"].points[-1][1] == 41.5
            assert series["spare"].points == ()
            assert (await asked.query("vector(7)"))[0].points[0][1] == 7
            assert (await asked.query("3"))[0].points[0][1] == 3
            assert await asked.query("absent_metric") == ()
            with pytest.raises(SignalError, match=r"query 'sum\(': .*parse error"):
                await asked.query("sum(")


async def test_what_is_no_prometheus_is_told():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        for answer, told in {
            "<html>": "not the API of a Prometheus",
            403: "status 403: the source wants a token",
            503: "status 503",
        }.items():
            stub.set("/api/v1/query", answer)
            with pytest.raises(SignalError, match=told):
                await Prometheus(HttpAccess(session), stub.url).query("up")
        huge = {"metric": {}, "value": [10**400, "1"]}
        for result in ({}, {"metric": [], "value": [1, "2"]}, huge):
            stub.set("/api/v1/query", {"status": "success", "data": {"resultType": "vector", "result": [result]}})
            with pytest.raises(SignalError, match="malformed answer"):
                await Prometheus(HttpAccess(session), stub.url).query("up")
        with pytest.raises(SignalError, match="cannot connect"):
            await Prometheus(HttpAccess(session), closed_url()).query("up")


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"resultType": "string", "result": [0, "a"]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [1, "x"]}]},
        {"resultType": "vector", "result": [{"metric": [], "value": [1, "2"]}]},
    ],
)
def test_malformed_data_is_refused(data):
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        read_series(data)


def test_an_answer_is_bounded(monkeypatch):
    monkeypatch.setattr(prometheus, "MAX_POINTS", 2)
    points = {"metric": {}, "values": [[1, "1"], [2, "2"], [3, "3"]]}
    with pytest.raises(ValueError, match="shorter range"):
        read_series({"resultType": "matrix", "result": [points]})
    monkeypatch.setattr(prometheus, "MAX_SERIES", 0)
    with pytest.raises(ValueError, match="more than 0 series"):
        read_series({"resultType": "matrix", "result": [points]})


def test_values_that_are_no_numbers_are_left_out():
    result = [{"metric": {"a": "b"}, "values": [[1, "NaN"], [2, "+Inf"], [3, "4.5"]]}]
    assert read_series({"resultType": "matrix", "result": result}) == (Series({"a": "b"}, ((3.0, 4.5),)),)


@pytest.mark.parametrize(
    ("query", "raw"),
    [("m[1m]", True), ('m{a="b"}[90s] ', True), ("m", False), ("sum(m[1m])", False), ("sum(m)[1m:1s]", False)],
)
def test_only_a_range_selector_keeps_the_samples_own_times(query, raw):
    assert has_sample_times(query) is raw
