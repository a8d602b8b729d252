import asyncio
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.openadr.auth import Credentials
from controller.openadr.feed import SpanFeed
from controller.openadr.running import Following, following
from controller.openadr.specs import VenSpec
from controller.signals.calls import CallBook
from tests.controller.openadr.test_ven import NOW, limit, until
from tests.fakes.certificates import Authority
from tests.fakes.controller_parts import ListRecorder
from tests.fakes.vtn.follower import TERMS
from tests.fakes.vtn.server import fake_vtn, interval


def world(*feeds):
    book = CallBook(ListRecorder(), {"dr": TERMS})
    changes = []
    works = Works(Random(0))
    return Following(book, SystemClock(), CollectorRegistry(), lambda: changes.append(1), works, feeds), changes


async def test_two_vtns_are_followed_over_tls_and_feed_the_price(tmp_path):
    own = Authority(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("ven-secret")
    async with fake_vtn(tls=own.issue("vtn").server()) as utility, fake_vtn("3.0.1") as market:
        utility.add_event(utility.add_program(), limit(12))
        market.clients.clear()
        usd = [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}]
        prices = interval(0, "PRICE", 0.2, **{**NOW, "start": "0000-00-00"})
        market.add_event(market.add_program("tariff"), prices, payloadDescriptors=usd)
        feed = SpanFeed("market", "price_usd_per_mwh")
        together, changes = world(feed)
        specs = (
            VenSpec("utility", utility.url, {"shed": "dr"}, credentials=Credentials("ven-1", secret), ca_file=own.file),
            VenSpec("market", market.url, {"tariff": "dr"}),
        )
        async with following(specs, together) as vens:
            await until(lambda: together.book.current(together.clock.wall_s()) and len(changes) == 2)
            assert [ven.spec.name for ven in vens] == ["utility", "market"]
            assert feed.read(together.clock.wall_s()).values == (200.0,)
            links = {state.source: state.is_lost for state in together.book.sources(together.clock.wall_s())}
            assert links == {"openadr:utility": False, "openadr:market": False}
        asked = len(utility.requests)
        await asyncio.sleep(0.05)
        assert len(utility.requests) == asked


async def test_without_vtns_nothing_runs_and_no_metric_is_told():
    together, _ = world()
    async with following((), together) as vens:
        assert vens == ()
    assert list(together.registry.collect()) == []


async def test_a_file_of_authorities_that_cannot_be_used_ends_the_start(tmp_path):
    together, _ = world()
    spec = VenSpec("utility", "https://127.0.0.1:1", {"shed": "dr"}, ca_file=tmp_path / "absent")
    with pytest.raises(ConfigError, match="ca_file"):
        async with following((spec,), together):
            pass


async def test_a_vtn_that_is_not_verified_is_told(tmp_path, caplog):
    together, _ = world()
    spec = VenSpec("utility", "https://127.0.0.1:1", {"shed": "dr"}, is_verified=False)
    async with following((spec,), together):
        assert "anybody may pass for it" in caplog.text
