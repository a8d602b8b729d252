import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from controller.clock import VirtualClock
from controller.errors import FeedRefused, SignalError
from controller.signals.feeds.fetch import FileWeb, HttpWeb, Pacer, WebOptions
from controller.signals.feeds.provider import Ask
from tests.fakes.certificates import Authority
from tests.fakes.http_stub import closed_url, http_stub

SECRET = "made-up secret/+&"


@contextlib.asynccontextmanager
async def publisher(tmp_path: Path, **options):
    file = tmp_path / "token"
    file.write_text(SECRET + "\n")
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        clock = VirtualClock()
        yield stub, HttpWeb(session, WebOptions(token_file=file, timeout_s=2.0, **options), Pacer(clock)), clock


async def test_the_secret_goes_where_the_publisher_wants_it(tmp_path):
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((dict(request.headers), dict(request.query)))
        return web.Response(body=b"{}")

    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", answer)
        await asking.get(Ask(f"{stub.url}/x", {"zone": "DE"}, secret_param="securityToken"))
        await asking.get(Ask(f"{stub.url}/x", secret_header="auth-token"))
        await asking.get(Ask(f"{stub.url}/x", secret_header="Authorization"))
        await asking.get(Ask(f"{stub.url}/x", user="operator"))
        await asking.get(Ask(f"{stub.url}/x"))
    assert seen[0][1] == {"zone": "DE", "securityToken": SECRET}
    assert seen[1][0]["auth-token"] == SECRET
    assert seen[2][0]["Authorization"] == f"Bearer {SECRET}"
    assert seen[3][0]["Authorization"].startswith("Basic ")
    assert "Authorization" not in seen[4][0]


async def test_a_token_that_is_replaced_is_followed(tmp_path):
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["auth-token"])
        return web.Response(body=b"{}")

    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", answer)
        await asking.get(Ask(f"{stub.url}/x", secret_header="auth-token"))
        (tmp_path / "token").write_text("another")
        await asking.get(Ask(f"{stub.url}/x", secret_header="auth-token"))
    assert seen == [SECRET, "another"]


async def test_a_token_from_the_environment(monkeypatch):
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        asking = HttpWeb(session, WebOptions(token_env="A_FEED_TOKEN"), Pacer(VirtualClock()))
        stub.set("/x", {"a": 1})
        with pytest.raises(SignalError, match="the environment has no secret in A_FEED_TOKEN"):
            await asking.get(Ask(f"{stub.url}/x", secret_header="auth-token"))
        monkeypatch.setenv("A_FEED_TOKEN", "from-env")
        assert await asking.get(Ask(f"{stub.url}/x", secret_header="auth-token")) == b'{"a": 1}'


def leaks(text: str) -> bool:
    return any(part in text for part in ("made-up", "made%2D", "secret/", "secret%2F", "c2VjcmV0"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_tells_status_and_remedy_and_no_secret(tmp_path, status):
    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", status)
        with pytest.raises(FeedRefused) as caught:
            await asking.get(Ask(f"{stub.url}/x", {"q": "1"}, secret_param="securityToken"))
    assert caught.value.status == status
    assert f"status {status}" in str(caught.value)
    assert not leaks(str(caught.value))
    if status in (401, 403):
        assert str(tmp_path / "token") in str(caught.value)


async def test_a_publisher_that_asks_for_time_is_understood(tmp_path):
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": request.query["after"]})

    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", busy)
        for after, waits_s in (("120", 120.0), ("1e9", 3600.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("nan", None)):
            with pytest.raises(FeedRefused, match="asked too often") as caught:
                await asking.get(Ask(f"{stub.url}/x", {"after": after}))
            assert caught.value.retry_after_s == waits_s


async def test_a_redirect_that_would_lead_the_secret_away_is_not_followed(tmp_path):
    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://elsewhere.example/?{request.query_string}")

    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", elsewhere)
        with pytest.raises(SignalError, match="redirects to") as caught:
            await asking.get(Ask(f"{stub.url}/x", secret_param="securityToken"))
    assert not leaks(str(caught.value))


async def test_a_slow_answer_is_given_up(tmp_path):
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.02)
        return response

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        asking = HttpWeb(session, WebOptions(timeout_s=0.2), Pacer(VirtualClock()))
        stub.set("/x", drip)
        with pytest.raises(SignalError, match=r"no answer within 0\.2 s"):
            await asking.get(Ask(f"{stub.url}/x"))


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_of_10_mb_is_not_read_to_its_end(tmp_path, compressed):
    async def large(request: web.Request) -> web.Response:
        response = web.Response(body=b"0" * 10_000_000)
        if compressed:
            response.enable_compression()
        return response

    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", large)
        with pytest.raises(SignalError, match="more than 4194304 bytes"):
            await asking.get(Ask(f"{stub.url}/x"))


async def test_nobody_there_is_told_without_the_secret(tmp_path):
    async with publisher(tmp_path) as (_, asking, _clock):
        for url in (closed_url(), "http://host.invalid./", "http://[broken"):
            with pytest.raises(SignalError) as caught:
                await asking.get(Ask(url, secret_param="securityToken"))
            assert not leaks(str(caught.value))
            assert caught.value.__cause__ is None


async def test_an_answer_that_breaks_off_is_told(tmp_path):
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", broken)
        with pytest.raises(SignalError, match="broke off"):
            await asking.get(Ask(f"{stub.url}/x"))


async def test_what_has_not_changed_is_not_sent_again(tmp_path):
    seen = []

    async def tagged(request: web.Request) -> web.Response:
        seen.append(request.headers.get("If-None-Match"))
        if seen[-1] == '"1"':
            return web.Response(status=304)
        return web.Response(body=b"first", headers={"ETag": '"1"'})

    async def dated(request: web.Request) -> web.Response:
        seen.append(request.headers.get("If-Modified-Since"))
        return web.Response(status=304 if seen[-1] else 200, body=b"", headers={"Last-Modified": "Sun, 29 Mar 2026"})

    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", tagged)
        stub.set("/y", dated)
        ask = Ask(f"{stub.url}/x", {"zone": "DE"}, is_repeated=True)
        assert [await asking.get(ask) for _ in range(2)] == [b"first", b"first"]
        await asking.get(Ask(f"{stub.url}/x", {"zone": "FR"}, is_repeated=True))
        for _ in range(2):
            await asking.get(Ask(f"{stub.url}/y", is_repeated=True))
    assert seen == [None, '"1"', None, None, "Sun, 29 Mar 2026"]


async def test_a_304_to_nothing_that_was_kept_is_a_refusal(tmp_path):
    async with publisher(tmp_path) as (stub, asking, _):
        stub.set("/x", 304)
        with pytest.raises(FeedRefused):
            await asking.get(Ask(f"{stub.url}/x", is_repeated=True))


async def test_questions_to_one_host_are_kept_apart(tmp_path):
    async with publisher(tmp_path) as (stub, asking, clock):
        stub.set("/x", {})
        for _ in range(4):
            await asking.get(Ask(f"{stub.url}/x"))
        assert clock.monotonic_s() == pytest.approx(3.0)


async def test_a_certificate_of_an_unknown_authority_is_not_believed(tmp_path):
    authority = Authority(tmp_path)
    app = web.Application()
    app.router.add_get("/x", _empty)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0, ssl_context=authority.issue("feed").server()).start()
    url = f"https://localhost:{runner.addresses[0][1]}/x"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SignalError, match="certificate is not believed"):
            await HttpWeb(session, WebOptions(), Pacer(VirtualClock())).get(Ask(url))
        asking = HttpWeb(session, WebOptions(ca_file=authority.file), Pacer(VirtualClock()))
        assert await asking.get(Ask(url)) == b"{}"
    await runner.cleanup()


async def _empty(_: web.Request) -> web.Response:
    return web.Response(text="{}")


async def test_a_file_is_read_anew_and_bounded(tmp_path):
    path = tmp_path / "prices.csv"
    ask = Ask(f"file:{path}")
    with pytest.raises(SignalError, match="cannot be read: No such file"):
        await FileWeb().get(ask)
    path.write_bytes(b"12345")
    assert await FileWeb().get(ask) == b"12345"
    with pytest.raises(SignalError, match="more than 4 bytes"):
        await FileWeb(max_bytes=4).get(ask)


async def test_a_publisher_outside_is_asked_by_the_proxy_that_the_environment_names(tmp_path, monkeypatch):
    async with publisher(tmp_path) as (stub, asking, _):
        monkeypatch.setenv("HTTP_PROXY", stub.url)
        stub.set("/prices", "by the proxy")
        assert await asking.get(Ask("http://publisher.example/prices")) == b"by the proxy"
        monkeypatch.setenv("HTTP_PROXY", "socks5://proxy:1080")
        with pytest.raises(SignalError, match="HTTP_PROXY is no address of a proxy"):
            await asking.get(Ask("http://publisher.example/prices"))
