import asyncio
import logging
import random

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from router import clock, rate_source
from router.contract import InstanceId
from router.contract_rates import EnergyRate, EnergyRates, encode_rates
from router.poller import Poller
from router.rate_source import http_rates, rates_url

RATES = EnergyRates(1.0, 31.0, "shared", (EnergyRate(InstanceId("a"), 0.01, 0.5, "direct"),))


class Sink:
    def __init__(self) -> None:
        self.taken: list[EnergyRates] = []

    def apply_rates(self, rates: EnergyRates, now_s: float) -> None:
        self.taken.append(rates)


class Controller:
    """Serves what a test sets."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = encode_rates(RATES), 200, []

    async def rates(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("If-None-Match"))
        if self.asked[-1] == '"1"':
            return web.Response(status=304)
        return web.Response(status=self.status, body=self.body, headers={"ETag": '"1"'})


@pytest.fixture
async def controller():
    fake = Controller()
    app = web.Application()
    app.router.add_get("/v1/energy-rates", fake.rates)
    async with TestServer(app) as server:
        yield fake, str(server.make_url("/v1/energy-rates"))


def source(session, url, sink):
    return http_rates(Poller(session, url, 0.01, rng=random.Random(1)), sink, clock.wall_s)


async def test_rates_are_handed_on_and_unchanged_ones_cost_little(controller):
    fake, url = controller
    async with aiohttp.ClientSession() as session:
        sink = Sink()
        one = source(session, url, sink)
        await one.poll()
        await one.poll()
    assert (sink.taken, fake.asked) == ([RATES], [None, '"1"'])


@pytest.mark.parametrize(("status", "body", "told"), [(404, b"", "answered 404"), (200, b"{", "not JSON")])
async def test_a_controller_without_rates_is_logged_once(controller, caplog, status, body, told):
    fake, url = controller
    fake.status, fake.body = status, body
    caplog.set_level(logging.INFO)
    async with aiohttp.ClientSession() as session:
        sink = Sink()
        one = source(session, url, sink)
        await one.poll()
        await one.poll()
        assert [told in record.reason for record in caplog.records if "not known" in record.message] == [True]
        fake.status, fake.body = 200, encode_rates(RATES)
        await one.poll()
    assert sink.taken == [RATES]
    assert "known again" in caplog.text


async def test_rates_larger_than_any_are_not_read_to_their_end(controller, monkeypatch):
    fake, url = controller
    monkeypatch.setattr(rate_source, "MAX_RATES_BYTES", 64)
    fake.body = b"[" * 100_000
    async with aiohttp.ClientSession() as session:
        sink = Sink()
        await source(session, url, sink).poll()
    assert sink.taken == []


async def test_a_controller_that_is_gone_ends_nothing(caplog):
    caplog.set_level(logging.INFO)
    async with aiohttp.ClientSession() as session:
        task = asyncio.create_task(source(session, f"http://127.0.0.1:{unused_port()}/v1/energy-rates", Sink()).run())
        await asyncio.sleep(0.1)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "not known" in caplog.text


@pytest.mark.parametrize(
    ("table", "rates"),
    [
        ("http://127.0.0.1:8090/v1/allocation", "http://127.0.0.1:8090/v1/energy-rates"),
        ("https://c/behind/v1/allocation", "https://c/behind/v1/energy-rates"),
        ("http://files/table.json", None),
    ],
)
def test_rates_are_looked_for_beside_the_table(table, rates):
    assert rates_url(table) == rates
