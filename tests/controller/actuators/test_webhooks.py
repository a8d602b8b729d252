import asyncio
import contextlib
import random
import ssl

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from controller.actuators import webhooks as module
from controller.actuators.webhooks import (
    KEEP_S,
    LONGEST_S,
    MAX_PENDING,
    Hook,
    Notice,
    Outcome,
    Webhooks,
    check_address,
)
from controller.clock import VirtualClock
from controller.errors import ConfigError
from tests.fakes.controller_parts import NOW_S
from tests.fakes.http_stub import http_stub


class PatientClock(VirtualClock):
    """Its sleeps take no time of the test, but of its own."""

    def __init__(self, start_s):
        super().__init__(start_s)
        self.slept = []

    async def sleep(self, duration_s):
        self.slept.append(duration_s)
        self.advance(duration_s)
        await asyncio.sleep(0)


class Receiver:
    def __init__(self):
        self.seen, self.statuses = [], []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.arrived = asyncio.Event()

    async def take(self, request):
        self.seen.append((dict(request.headers), await request.json()))
        self.arrived.set()
        await self.may_answer.wait()
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 307 else {})


@contextlib.asynccontextmanager
async def bench():
    receiver, registry, clock = Receiver(), CollectorRegistry(), PatientClock(NOW_S)
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        hooks = Webhooks(session, clock, random.Random(1), registry)
        hooks.add(Hook("hook-1", str(server.make_url("/hook")), NOW_S, "s3cret"))
        try:
            yield hooks, receiver, registry, clock
        finally:
            receiver.may_answer.set()
            await hooks.close()


def notice(n=0, at_s=NOW_S):
    return Notice(f"id-{n}", at_s, {"event": "ramp_down_started", "n": n})


async def settled(hooks):
    async with asyncio.timeout(20):
        while hooks.state("hook-1").pending:
            await asyncio.sleep(0.005)


def count(registry, outcome):
    return registry.get_sample_value("wattroute_controller_webhook_notices_total", {"outcome": outcome.value})


async def test_a_notice_is_delivered_with_its_token_and_id():
    async with bench() as (hooks, receiver, registry, _):
        hooks.notify(notice())
        await settled(hooks)
        headers, body = receiver.seen[0]
        assert (headers["Authorization"], headers["Idempotency-Key"], body["n"]) == ("Bearer s3cret", "id-0", 0)
        assert (hooks.state("hook-1").delivered, count(registry, Outcome.DELIVERED)) == (1, 1.0)


async def test_it_is_sent_again_under_the_same_id_until_it_is_taken():
    async with bench() as (hooks, receiver, registry, clock):
        receiver.statuses = [503, 429, 200]
        hooks.notify(notice())
        await settled(hooks)
        assert [headers["Idempotency-Key"] for headers, _ in receiver.seen] == ["id-0"] * 3
        assert 0.5 <= clock.slept[0] <= 1.0 <= clock.slept[1] <= 2.0
        assert (count(registry, Outcome.FAILED), count(registry, Outcome.DELIVERED)) == (2.0, 1.0)


@pytest.mark.parametrize("status", [307, 400, 401, 404, 410])
async def test_a_refusal_or_redirect_is_final_and_the_next_notice_goes_out(status):
    async with bench() as (hooks, receiver, registry, _):
        receiver.statuses = [status]
        hooks.notify(notice(0))
        hooks.notify(notice(1))
        await settled(hooks)
        assert [body["n"] for _, body in receiver.seen] == [0, 1]
        assert (count(registry, Outcome.REFUSED), count(registry, Outcome.DELIVERED)) == (1.0, 1.0)


async def test_an_old_notice_is_given_up():
    async with bench() as (hooks, receiver, registry, _):
        receiver.statuses = [500] * 100
        hooks.notify(notice())
        await settled(hooks)
        assert (count(registry, Outcome.GIVEN_UP), hooks.state("hook-1").last) == (1.0, Outcome.GIVEN_UP)
        assert len(receiver.seen) < KEEP_S / LONGEST_S * 2 + 10


async def test_a_receiver_that_hangs_delays_nobody_and_its_queue_is_bounded(monkeypatch):
    async with bench() as (hooks, receiver, registry, _):
        receiver.may_answer.clear()
        for n in range(MAX_PENDING + 20):
            hooks.notify(notice(n))  # returns at once: nothing here waits
        await receiver.arrived.wait()
        assert (hooks.state("hook-1").pending, count(registry, Outcome.DROPPED)) == (MAX_PENDING, 20.0)
        receiver.may_answer.set()
        await settled(hooks)
        assert receiver.seen[-1][1]["n"] == MAX_PENDING + 19


async def test_no_answer_in_time_is_a_failure(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
    async with bench() as (hooks, receiver, registry, _):
        receiver.may_answer.clear()
        hooks.notify(notice(at_s=NOW_S - KEEP_S))
        await settled(hooks)
        assert count(registry, Outcome.GIVEN_UP) == 1.0


async def test_a_certificate_that_nobody_vouches_for_gets_nothing():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/hook", receiver.take)
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=context)
    async with aiohttp.ClientSession() as session:
        hooks = Webhooks(session, PatientClock(NOW_S), random.Random(1), CollectorRegistry())
        hooks.add(Hook("hook-1", str(server.make_url("/hook")), NOW_S, "s3cret"))
        hooks.notify(notice(at_s=NOW_S - KEEP_S))
        await settled(hooks)
        assert (hooks.state("hook-1").last, receiver.seen) == (Outcome.GIVEN_UP, [])
        await hooks.close()
        await server.close()


async def test_the_token_and_the_path_are_in_no_log_and_no_text(caplog):
    async with bench() as (hooks, receiver, _, _):
        receiver.statuses = [400]
        hooks.notify(notice())
        await settled(hooks)
        told = "".join(str(vars(record)) for record in caplog.records) + repr(hooks.hooks)
        assert "webhook notice not delivered" in told
        assert "s3cret" not in told
        assert "/hook'" not in told.replace("webhook", "")


async def test_one_that_is_removed_gets_nothing_more():
    async with bench() as (hooks, receiver, _, _):
        await hooks.remove("hook-1")
        hooks.notify(notice())
        await asyncio.sleep(0.02)
        assert (hooks.hooks, receiver.seen) == ((), [])


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/x?key=1",
        "http://127.0.0.1:80/a",
        "http://[::1]:8000/",
        "http://localhost/",
        "https://10.0.0.7:8443",
    ],
)
def test_addresses_that_may_be_sent_to(url):
    check_address(url, "token")


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("http://hooks.example/x", None, "must be https"),
        ("http://127.0.0.1.example/x", None, "must be https"),
        ("http://localhost.example/x", None, "must be https"),
        ("ftp://127.0.0.1/x", None, "must be https"),
        ("https://", None, "must be https"),
        ("https://user:pw@hooks.example/", None, "credentials"),
        ("https://hooks.example/#x", None, "fragment"),
        ("https://hooks.example/a b", None, "without spaces"),
        ("https://hooks.example:99999/", None, "no address"),
        ("https://h/" + "x" * 2100, None, "2048"),
        ("https://hooks.example/", "a\r\nX: y", "token"),
        ("https://hooks.example/", "", "token"),
    ],
)
def test_addresses_that_may_not(url, token, message):
    with pytest.raises(ConfigError, match=message):
        check_address(url, token)


def test_of_an_address_its_origin_is_shown():
    assert Hook("h", "https://Hooks.example/secret?k=1", 0.0).origin == "https://hooks.example"
    assert Hook("h", "http://[::1]:80/x", 0.0).origin == "http://[::1]:80"


async def test_a_receiver_outside_is_told_by_the_proxy_that_the_environment_names(monkeypatch):
    async with bench() as (hooks, receiver, _, _), http_stub() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        proxy.set("/hook", 204, "POST")
        hooks.add(Hook("hook-2", "http://receiver.example/hook", NOW_S))
        hooks.notify(notice())
        async with asyncio.timeout(20):
            while not hooks.state("hook-2").delivered:
                await asyncio.sleep(0.005)
        await settled(hooks)
        assert len(receiver.seen) == 1, "this machine is reached directly"
        assert proxy.requests == ["POST /hook"]
