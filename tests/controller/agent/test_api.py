import asyncio
import socket

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.agent import api
from controller.agent.api import AgentParts, build_app
from controller.agent.hub import Hub
from controller.agent.identity import Identity
from controller.agent.options import TOKEN_VARIABLE, AgentOptions
from controller.clock import VirtualClock
from controller.errors import NvmlError, NvmlFault
from controller.model.observation import Quality, Reading
from controller.signals.power.agent_sample import PATH, STREAM_PATH, GpuSample, Sample, decode
from controller.signals.power.nvml_gpu import Moment
from controller.signals.power.nvml_reader import NvmlSnapshot

T = 1_763_750_000.0
TOKEN = "t" * 24


def sample(sequence=1, gpus=1):
    reading = Reading(400.0, 1.0, T, "nvml energy counter", Quality.DIRECT)
    return Sample("node-1", "b1", sequence, T, 0.2, tuple(GpuSample(f"GPU-{n}", "H100", reading) for n in range(gpus)))


class Bench:
    def __init__(self, token=None, max_streams=2):
        self.hub = Hub(max_streams)
        self.snapshot = NvmlSnapshot(Moment(T, 0.0), "580.95.05")
        self.identity = Identity(AgentOptions(), {} if token is None else {TOKEN_VARIABLE: token})
        self._client = TestClient(
            TestServer(build_app(AgentParts(self.hub, lambda: self.snapshot, "node-1", VirtualClock(T), self.identity)))
        )

    async def __aenter__(self):
        await self._client.start_server()
        return self

    async def __aexit__(self, *_):
        await self._client.close()

    async def get(self, path, **headers):
        return await self._client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    @property
    def address(self):
        return self._client.host, self._client.port


async def event_of(answer):
    lines = [(await answer.content.readline()).decode().rstrip("\n") for _ in range(4)]
    assert lines[1] == "event: power"
    return decode(lines[2].removeprefix("data: "))


async def test_the_latest_sample_is_served():
    async with Bench() as bench:
        assert (await bench.get(PATH)).status == 503
        bench.hub.publish(sample(7))
        answer = await bench.get(PATH)
        assert answer.headers["Cache-Control"] == "no-store"
        assert decode(await answer.read()) == sample(7)


async def test_the_stream_gives_each_sample_as_it_comes():
    async with Bench() as bench:
        bench.hub.publish(sample(1))
        answer = await bench.get(STREAM_PATH)
        assert answer.content_type == "text/event-stream"
        assert (await event_of(answer)).sequence == 1
        bench.hub.publish(sample(2))
        assert (await event_of(answer)).sequence == 2
        assert bench.hub.followers == 1


async def test_streams_are_bounded_and_a_reader_that_left_makes_room():
    async with Bench(max_streams=1) as bench:
        bench.hub.publish(sample(1))
        first = await bench.get(STREAM_PATH)
        refused = await bench.get(STREAM_PATH)
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) > 0
        first.close()
        while bench.hub.followers:
            bench.hub.publish(sample(2))
            await asyncio.sleep(0.01)
        assert (await bench.get(STREAM_PATH)).status == 200


async def test_a_reader_that_does_not_read_is_cut_off(monkeypatch):
    monkeypatch.setattr(api, "_WRITE_TIMEOUT_S", 0.05)
    async with Bench() as bench:
        bench.hub.publish(sample(1, gpus=64))
        with socket.socket() as idle:
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            idle.connect(bench.address)
            idle.sendall(f"GET {STREAM_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            sequence = 1
            while not bench.hub.cut_off:
                sequence += 1
                bench.hub.publish(sample(sequence, gpus=64))
                await asyncio.sleep(0.001)
        assert bench.hub.followers == 0


async def test_with_a_token_all_but_the_probes_want_it():
    async with Bench(TOKEN) as bench:
        bench.hub.publish(sample(1))
        for path in (PATH, STREAM_PATH, "/metrics"):
            refused = await bench.get(path)
            assert refused.status == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            for wrong in ("Bearer wrong", TOKEN, f"bearer {TOKEN}x", "Bearer \udcff"):
                assert (await bench.get(path, Authorization=wrong)).status == 401
            assert (await bench.get(path, Authorization=f"Bearer {TOKEN}")).status == 200
        assert (await bench.get("/healthz")).status == 200
        assert (await bench.get("/readyz")).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:80", "a b:x", "[::ffff:10.0.0.1]", "10.0.0.1"]
)
async def test_without_a_token_a_web_page_cannot_read_through_a_browser_here(host):
    async with Bench() as bench:
        bench.hub.publish(sample(1))
        assert (await bench.get(PATH, Host=host)).status == 403
        for local in ("localhost:9410", "127.0.0.1", "[::1]:9410"):
            assert (await bench.get(PATH, Host=local)).status == 200


async def test_metrics_are_prometheus_text():
    async with Bench() as bench:
        answer = await bench.get("/metrics")
        assert answer.content_type == "text/plain"
        assert "wattroute_agent_nvml_up 1.0" in await answer.text()


async def test_readiness_follows_the_readings():
    async with Bench() as bench:
        answer = await bench.get("/readyz")
        assert answer.status == 503
        assert "not read yet" in await answer.text()
        bench.hub.publish(sample(1))
        assert (await bench.get("/readyz")).status == 200


async def test_liveness_fails_only_where_a_new_process_helps():
    async with Bench() as bench:
        gone = NvmlError(NvmlFault.DRIVER, "the driver is not loaded")
        bench.snapshot = NvmlSnapshot(Moment(T, 0.0), faults=(gone,))
        assert (await bench.get("/healthz")).status == 200
        other = NvmlError(NvmlFault.MISMATCH, "versions differ: start this process again")
        bench.snapshot = NvmlSnapshot(Moment(T, 0.0), faults=(other,), needs_restart=True)
        answer = await bench.get("/healthz")
        assert answer.status == 503
        assert "start this process again" in await answer.text()


async def test_a_stream_ends_when_the_token_it_showed_is_replaced():
    async with Bench(TOKEN) as bench:
        bench.hub.publish(sample(1))
        answer = await bench.get(api.STREAM_PATH, Authorization=f"Bearer {TOKEN}")
        assert (await event_of(answer)).sequence == 1
        bench.identity.token = "n" * 24
        bench.hub.publish(sample(2))
        assert b"data" not in await answer.content.read()
        assert (await bench.get(PATH, Authorization=f"Bearer {TOKEN}")).status == 401
        assert (await bench.get(PATH, Authorization=f"Bearer {'n' * 24}")).status == 200
