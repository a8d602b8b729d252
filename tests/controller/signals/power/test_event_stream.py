import contextlib
from random import Random

import aiohttp
from aiohttp import web

from controller.background import Works
from controller.clock import SystemClock
from controller.signals.power import event_stream
from controller.signals.power.event_stream import MAX_BYTES_PER_S, EventStream, StreamParts
from controller.signals.power.http_access import HttpAccess
from tests.fakes.fake_sse import FakeSse, until
from tests.fakes.http_stub import closed_url, http_stub


@contextlib.asynccontextmanager
async def streaming(url, *, silence_s=5.0, take=None):
    taken = []
    async with aiohttp.ClientSession() as session:
        stream = EventStream(
            HttpAccess(session),
            url,
            take or taken.append,
            StreamParts(SystemClock(), Random(1), Works(Random(0))),
            silence_s=silence_s,
            begin=lambda: taken.append("begin"),
        )
        async with stream.open():
            yield stream, taken


async def test_events_come_and_a_lost_connection_is_made_again(monkeypatch, caplog):
    monkeypatch.setattr(event_stream, "FIRST_S", 0.02)
    fake = FakeSse()
    async with http_stub() as stub:
        stub.set("/s", fake.answer)
        async with streaming(f"{stub.url}/s") as (stream, taken):
            assert stream.error is not None
            await fake.until_connected(1)
            fake.send(b"data: 1\n\n")
            await until(lambda: taken == ["begin", "1"])
            assert stream.error is None
            fake.hang_up()
            await fake.until_connected(2)
            assert "the stream ended" in str(stream.error)
            fake.send(b"data: 2\n\n")
            await until(lambda: taken == ["begin", "1", "begin", "2"])
            fake.hang_up()
    assert [r.message for r in caplog.records if "power stream lost" in r.message][:1] == ["power stream lost"]


async def test_silence_is_a_broken_connection(monkeypatch):
    monkeypatch.setattr(event_stream, "FIRST_S", 0.02)
    fake = FakeSse()
    async with http_stub() as stub:
        stub.set("/s", fake.answer)
        async with streaming(f"{stub.url}/s", silence_s=0.2) as (stream, _):
            await fake.until_connected(2)
            assert "0.2 s" in str(stream.error) or "ocket" in str(stream.error)
            fake.hang_up()


async def test_what_is_no_stream_is_told():
    def refuse(data):
        raise ValueError("no sample")

    def fail(data):
        raise RuntimeError("ours")

    async def moved(request):
        raise web.HTTPFound("http://login")

    async def flood(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                await response.write(b": alive\n" * 8000)
        return response

    quiet = FakeSse()
    quiet.greeting = b": alive\n"
    fake = FakeSse()
    fake.greeting = b"data: rubbish\n\n"
    async with http_stub() as stub:
        stub.set("/s", fake.answer)
        stub.set("/closed", 401)
        stub.set("/moved", moved)
        stub.set("/page", "a login page")
        stub.set("/quiet", quiet.answer)
        stub.set("/flood", flood)
        for url, told in (
            (f"{stub.url}/closed", "token"),
            (f"{stub.url}/absent", "status 404"),
            (f"{stub.url}/moved", "it redirects to 'http://login'; configure that address"),
            (f"{stub.url}/page", "answers with 'text/plain' and no event stream"),
            (f"{stub.url}/quiet", "connected, but no event has come yet"),
            (f"{stub.url}/flood", f"more than {MAX_BYTES_PER_S} bytes within a second"),
            (closed_url(), "cannot connect (Connection refused)"),
            (f"{stub.url}/s", "no sample"),
            (f"{stub.url}/s", "RuntimeError: ours"),
        ):
            async with streaming(url, take=fail if "ours" in told else refuse) as (stream, _):
                await until(lambda s=stream, t=told: t in str(s.error))
        fake.hang_up()


async def test_a_stream_that_comes_and_goes_is_tried_on_and_floods_no_log(monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(event_stream, "FIRST_S", 0.01)
    fake = FakeSse()
    fake.greeting = b"data: 1\n\n"
    async with http_stub() as stub:
        stub.set("/s", fake.answer)
        async with streaming(f"{stub.url}/s") as (_, taken):
            for count in range(1, 11):
                await fake.until_connected(count)
                await until(lambda n=count: taken.count("1") == n)
                fake.hang_up()
    told = [record.message for record in caplog.records if record.message.startswith("power stream")]
    assert told == ["power stream runs", "power stream lost", "power stream runs"]
