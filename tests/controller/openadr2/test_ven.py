import asyncio
import contextlib
import dataclasses
import random

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from controller.clock import SystemClock
from controller.model.observation import Quality
from controller.model.programme import Programme
from controller.openadr.feed import SpanFeed
from controller.openadr2.metrics import PREFIX, Ven2Metrics
from controller.openadr2.specs import Ven2Spec
from controller.openadr2.ven import Ven2, Ven2Parts
from controller.signals.calls import CallBook
from tests.controller.openadr.test_ven import until
from tests.fakes.controller_parts import ListRecorder
from tests.fakes.vtn.reporting import steady
from tests.fakes.vtn2 import vtn2

TERMS = Programme("dr", least_w=5000.0, most_w=1e6)


class Site:
    def __init__(self, url, means=None, **spec):
        self.clock = SystemClock()
        self.book = CallBook(ListRecorder(), {"dr": TERMS})
        self.registry = CollectorRegistry()
        self.changes = 0
        made = Ven2Spec("utility", url, "site-1", {"http://dr": "dr"}, resources=("hall",), **spec)
        parts = Ven2Parts(
            self.book, self.clock, random.Random(1), Ven2Metrics(self.registry), means or steady(6000.0), self.on_change
        )
        self.ven = Ven2(made, parts)

    def on_change(self):
        self.changes += 1

    def limits_w(self):
        return [event.limit_w for event in self.book.current(self.clock.wall_s())]

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"{PREFIX}{name}", {"vtn": "utility", **labels})

    @contextlib.asynccontextmanager
    async def following(self):
        task = asyncio.get_running_loop().create_task(self.ven.run())
        try:
            yield
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), ended


async def test_events_are_followed_answered_and_cancelled():
    async with vtn2() as vtn:
        vtn.add("cap", "LOAD_DISPATCH", "setpoint", 12.0, 9.0)
        site = Site(vtn.url, reports=False)
        async with site.following():
            await until(lambda: site.limits_w() == [12_000.0, 9_000.0] or len(site.limits_w()) == 2)
            await until(lambda: ("cap", "optIn") in vtn.answers)
            assert site.changes >= 1
            await until(lambda: site.metric("registered") == 1)
            (state,) = site.book.sources(site.clock.wall_s())
            assert (state.source, state.is_lost) == ("openadr:utility", False)
            vtn.cancel("cap")
            await until(lambda: site.limits_w() == [])
        assert site.metric("registered") == 0


async def test_what_is_not_followed_is_opted_out_of():
    async with vtn2() as vtn:
        vtn.add("strange", "LOAD_DISPATCH", "setpoint", 12.0, context="http://other")
        site = Site(vtn.url, reports=False)
        async with site.following():
            await until(lambda: ("strange", "optOut") in vtn.answers)
            assert site.limits_w() == []


@contextlib.asynccontextmanager
async def opted_out():
    """A VTN with an event that was taken up, and a site whose operator then opted out of it."""
    async with vtn2() as vtn:
        vtn.add("level", "SIMPLE", "level", 2.0)
        site = Site(vtn.url, reports=False)
        async with site.following():
            await until(lambda: ("level", "optIn") in vtn.answers)
            site.book.opt_out("openadr:utility", "level", "maintenance", site.clock.wall_s())
            await until(lambda: vtn.answers[-1] == ("level", "optOut"))
            yield vtn, site


async def test_an_operator_who_opts_out_is_told_to_the_vtn():
    async with opted_out() as (vtn, site):
        await until(lambda: site.metric("events_total", answer="optOut") == 1)
        site.book.opt_in("openadr:utility", "level", site.clock.wall_s())
        await until(lambda: vtn.answers[-1] == ("level", "optIn"))


async def test_a_price_feeds_the_plan():
    async with vtn2() as vtn:
        vtn.add("tariff", "ELECTRICITY_PRICE", "price", 0.2, 0.3)
        site = Site(vtn.url, reports=False)
        feed = SpanFeed("utility", "price_usd_per_mwh")
        feed.bind(site.ven.desk)
        async with site.following():
            await until(lambda: ("tariff", "optIn") in vtn.answers)
            series = feed.read(site.clock.wall_s())
            assert series.values == (200.0, 300.0)


async def test_telemetry_is_offered_by_quality_and_told():
    async with vtn2() as vtn:
        site = Site(vtn.url)
        async with site.following():
            await until(lambda: len(vtn.offered) == 4)
            assert {unit for _, _, unit in vtn.offered} == {"W", "Wh"}
            await until(lambda: vtn.told)
            values = [value for found in vtn.told.values() for value in found]
            assert values
            assert all(value == 6000.0 or value == pytest.approx(6000.0 * 2 / 3600) for value in values)


async def test_where_nothing_is_measured_no_empty_report_is_sent(caplog):
    async with vtn2() as vtn:
        site = Site(vtn.url, means=steady(6000.0, Quality.EMULATED))
        sent = []
        async with site.following():
            await until(lambda: site.metric("registered") == 1)
            site.ven._client.add_hook("before_send_xml", sent.append)
            await until(lambda: len(vtn.offered) == 4 and len(sent) >= 4)
        assert [text for text in sent if "oadrUpdateReport" in text] == []
        assert vtn.told == {}


async def test_a_vtn_that_comes_late_is_found(monkeypatch):
    monkeypatch.setattr("controller.openadr2.ven.BACK_OFF_S", 0.05)
    async with vtn2() as vtn:
        port = int(vtn.url.split(":")[2].split("/")[0])
    site = Site(vtn.url, reports=False)
    async with site.following():
        await asyncio.sleep(0.3)
        assert site.metric("registered") == 0
        async with vtn2(port) as late:
            late.add("cap", "LOAD_DISPATCH", "setpoint", 12.0)
            await until(lambda: site.limits_w() == [12_000.0])


async def test_after_a_long_silence_the_registration_is_made_anew(monkeypatch):
    monkeypatch.setattr("controller.openadr2.ven.BACK_OFF_S", 0.05)
    monkeypatch.setattr("controller.openadr2.ven.SILENT_S", 0.5)
    monkeypatch.setattr("controller.openadr2.ven.LOOK_S", 0.05)
    async with vtn2() as vtn:
        port = int(vtn.url.split(":")[2].split("/")[0])
        vtn.add("cap", "LOAD_DISPATCH", "setpoint", 12.0)
        site = Site(vtn.url, reports=False)
        stack = contextlib.AsyncExitStack()
        await stack.enter_async_context(site.following())
        await until(lambda: site.limits_w() == [12_000.0])
    await until(lambda: site.metric("registered") == 0)
    assert site.limits_w() == [12_000.0]  # a silent VTN has ended nothing
    async with vtn2(port):
        await until(lambda: site.metric("registered") == 1)
    await stack.aclose()


def test_a_spec_has_what_the_library_is_given():
    spec = dataclasses.replace(Ven2Spec("v", "https://vtn", "site-1", {}), ven_id="ven-9")
    site = Site("http://127.0.0.1:1")
    site.ven.spec = spec
    client = site.ven._made()
    assert (client.ven_id, client.ven_name, client.vtn_fingerprint) == ("ven-9", "site-1", None)


async def test_a_change_that_was_lost_on_the_way_is_asked_for(monkeypatch):
    monkeypatch.setattr("controller.openadr2.ven.ASK_S", 0.5)
    monkeypatch.setattr("controller.openadr2.ven.LOOK_S", 0.1)
    async with vtn2() as vtn:
        site = Site(vtn.url, reports=False)
        async with site.following():
            await until(lambda: site.metric("registered") == 1)
            vtn.add("cap", "LOAD_DISPATCH", "setpoint", 12.0)
            vtn.server.events_updated["ven-1"] = False  # as after an answer to a poll that never arrived
            await until(lambda: site.limits_w() == [12_000.0])


async def test_who_opted_out_is_not_opted_in_when_the_event_is_heard_again(monkeypatch):
    monkeypatch.setattr("controller.openadr2.ven.ASK_S", 0.3)
    monkeypatch.setattr("controller.openadr2.ven.LOOK_S", 0.1)
    async with opted_out() as (vtn, _):
        count = len(vtn.answers)
        await until(lambda: len(vtn.answers) >= count + 2)
        assert set(vtn.answers[count:]) == {("level", "optOut")}


async def test_a_vtn_that_answers_with_nothing_is_asked_again(monkeypatch, caplog):
    monkeypatch.setattr("controller.openadr2.ven.BACK_OFF_S", 0.05)
    empty = web.Application()

    async def nothing(request):
        return web.Response()

    empty.router.add_post("/{path:.*}", nothing)
    async with served(empty) as port:
        site = Site(f"http://127.0.0.1:{port}/OpenADR2/Simple/2.0b", reports=False)
        async with site.following():
            await until(lambda: any(record.message == "VTN is not followed" for record in caplog.records))
            first = site.ven._client
            await until(lambda: site.ven._client is not first)
    async with vtn2(port) as vtn:
        vtn.add("cap", "LOAD_DISPATCH", "setpoint", 12.0)
        async with site.following():
            await until(lambda: site.limits_w() == [12_000.0])


@contextlib.asynccontextmanager
async def served(app):
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_who_follows_an_event_in_part_stays_opted_in():
    async with opted_out() as (vtn, site):
        site.book.follow_in_part("openadr:utility", "level", 8000.0, "maintenance", site.clock.wall_s())
        await until(lambda: vtn.answers[-1] == ("level", "optIn"))
