import contextlib
import io
import socket
import ssl
from collections import Counter

import aiohttp
import pytest

from controller.clock import VirtualClock
from controller.errors import ConfigError, ListenError
from controller.openadr.specs import CallbackSpec
from controller.openadr.webhook import MAX_BODY_BYTES, PATH, PER_MIN, Callback, listen
from tests.fakes.certificates import Authority

TOLD = {"objectType": "EVENT", "operation": "CREATE", "object": {"id": "e1", "programID": "p1", "intervals": []}}


class Site:
    def __init__(self):
        self.clock = VirtualClock(1000.0)
        self.outcomes = Counter()
        self.polls = 0
        self.callback = Callback("utility", self.clock, self.poll, lambda outcome: self.outcomes.update([outcome]))
        self.headers = {"Authorization": f"Bearer {self.callback.token}"}

    def poll(self):
        self.polls += 1


@contextlib.asynccontextmanager
async def callback(**tls):
    site = Site()
    runner = await listen(site.callback.app(), CallbackSpec("https://x", "127.0.0.1", 0, **tls))
    site.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    async with aiohttp.ClientSession() as session:
        site.http = session
        try:
            yield site
        finally:
            await runner.cleanup()


async def post(site, **options):
    async with site.http.post(site.url, **options) as answer:
        return answer.status


async def test_the_challenge_is_echoed_as_text_and_nothing_else_is():
    async with callback() as site:
        async with site.http.get(site.url, params={"echo": "a1B2-~."}) as answer:
            assert (answer.status, await answer.text(), answer.content_type) == (200, "a1B2-~.", "text/plain")
        for bad in ("", "<script>", "a" * 513, "a\r\nb"):
            async with site.http.get(site.url, params={"echo": bad}) as answer:
                assert answer.status == 400
                assert bad == "" or bad not in await answer.text()


async def test_a_notification_with_the_token_makes_us_ask_the_vtn():
    async with callback() as site:
        assert await post(site, json=TOLD, headers=site.headers) == 200
        assert (site.polls, site.outcomes["taken"]) == (1, 1)


@pytest.mark.parametrize("shown", [None, "Bearer ", "Bearer wrong", "Basic {}", "bearer {}x"])
async def test_without_the_token_nothing_happens(shown):
    async with callback() as site:
        headers = {} if shown is None else {"Authorization": shown.format(site.callback.token)}
        assert await post(site, json=TOLD, headers=headers) == 401
        assert (site.polls, site.outcomes["unauthorized"]) == (0, 1)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"objectType": "EVENT", "operation": "BURN", "object": {}}', b"\xff" * 50]
)
async def test_what_is_no_notification_is_refused(body):
    async with callback() as site:
        assert await post(site, data=body, headers=site.headers) == 400
        assert site.polls == 0


async def test_size_and_rate_are_bounded():
    async with callback() as site:
        assert await post(site, data=io.BytesIO(b" " * (MAX_BODY_BYTES + 1)), headers=site.headers) == 413
        statuses = [await post(site, json=TOLD, headers=site.headers) for _ in range(PER_MIN + 5)]
        assert statuses.count(429) >= 5
        assert site.polls <= PER_MIN
        site.clock.advance(10.0)
        assert await post(site, json=TOLD, headers=site.headers) == 200


async def test_it_speaks_tls_with_the_given_certificate(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("callback")
    async with callback(certificate_file=pair.certificate_file, key_file=pair.key_file) as site:
        trust = ssl.create_default_context(cafile=str(authority.file))
        assert await post(site, json=TOLD, headers=site.headers, ssl=trust) == 200
        with pytest.raises(aiohttp.ClientError):
            await post(site, json=TOLD, headers=site.headers)


async def test_files_and_ports_that_cannot_be_used_are_named(tmp_path):
    app = Site().callback.app()
    absent = tmp_path / "none.pem"
    with pytest.raises(ConfigError, match=r"none\.pem"):
        await listen(app, CallbackSpec("https://x", "127.0.0.1", 0, absent, absent))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ListenError):
        await listen(Site().callback.app(), CallbackSpec("https://x", "127.0.0.1", taken.getsockname()[1]))
