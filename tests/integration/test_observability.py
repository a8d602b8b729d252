"""The router as a process, watched from outside: access log, traces, metrics and drain."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.collector import attributes, collecting
from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave
from tests.fakes.router_process import RouterProcess, router_process
from tests.fakes.running import RawClient, until

SECRET = b"the client's own words"
PLAIN = b'{"model":"qwen","messages":[{"role":"user","content":"' + SECRET + b'"}],"max_tokens":9}'
STREAM = PLAIN[:-1] + b',"stream":true}'
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def get(router: RouterProcess, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    url = f"{router.admin_url}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status, await answer.text()


async def ask(router: RouterProcess, body: bytes, *fields: str, target: str = "/v1/chat/completions") -> int:
    async with RawClient.to(router.port) as client:
        await client.post(body, *fields, target=target)
        return (await client.reply()).status


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_request_leaves_a_line_that_holds_no_prompt(tmp_path: Path, workers: int) -> None:
    log = tmp_path / "access.log"
    options = {"workers": workers, "access_log": {"path": str(log)}}
    async with FakeEngine() as engine, router_process(tmp_path, engine, **options) as router:  # type: ignore[arg-type]
        for number in range(10):
            assert await ask(router, STREAM if number % 2 else PLAIN, f"X-Request-Id: {number}") == 200
        assert await ask(router, PLAIN, "X-Wattroute-Class: none") == 400
        await until(lambda: log.exists() and log.read_bytes().count(b"\n") == 11)
        assert "access_log_lines_written_total 11.0" in (await get(router, "/metrics"))[1]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["request_id"] for line in lines if line["status"] == 200} == {str(number) for number in range(10)}
    (refused,) = [line for line in lines if line["status"] == 400]
    assert (refused["outcome"], refused["reason"]) == ("refused", "unknown_class")
    assert SECRET not in log.read_bytes()


async def test_lines_go_to_standard_error_where_no_file_is_named(tmp_path: Path) -> None:
    options = {"access_log": {"sample_frac": 0.0}}
    async with FakeEngine() as engine, router_process(tmp_path, engine, **options) as router:  # type: ignore[arg-type]
        assert await ask(router, PLAIN) == 200
        assert await ask(router, PLAIN, target="/sleep") == 404
        await until(lambda: any(line.startswith("{") for line in router.log))
    lines = [json.loads(line) for line in router.log if line.startswith("{")]
    assert [line["path"] for line in lines] == ["/sleep"]


async def test_a_span_stands_between_the_callers_and_the_engines(tmp_path: Path) -> None:
    with collecting() as collector:
        tracing = {"endpoint": collector.url, "sample_frac": 0.0, "service_name": "front-door"}
        async with FakeEngine() as engine, router_process(tmp_path, engine, tracing=tracing) as router:
            assert await ask(router, STREAM, f"traceparent: 00-{TRACE}-{SPAN}-01", "tracestate: a=1") == 200
            assert await ask(router, STREAM) == 200
            assert await asyncio.to_thread(collector.came.wait, 20)
            seen = [request.get("traceparent") for request in engine.requests if request.target != "/metrics"]
        (span,) = collector.spans()
        traced, untraced = [header for header in seen if header is not None]
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
        assert traced == f"00-{TRACE}-{span.span_id.hex()}-01"
        assert untraced.endswith("-00")
        found = attributes(span)
        assert found["gen_ai.operation.name"] == "chat"
        assert found["gen_ai.request.model"] == "qwen"
        assert found["http.response.status_code"] == 200
        assert found["wattroute.pool"] == "bf16"
        assert [event.name for event in span.events] == ["attempt", "first_token"]
        assert SECRET not in collector.requests[0].SerializeToString()


async def test_a_collector_that_is_away_costs_no_request(tmp_path: Path) -> None:
    tracing = {"endpoint": "http://127.0.0.1:9", "sample_frac": 1.0}
    async with FakeEngine() as engine, router_process(tmp_path, engine, tracing=tracing) as router:
        assert [await ask(router, PLAIN) for _ in range(20)] == [200] * 20


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_drain_ends_readiness_and_what_is_left_after_its_time(tmp_path: Path, workers: int) -> None:
    async def hang(request: Request, wire: Wire) -> None:
        if request.target == "/hang":
            await wire.wait_gone()
        else:
            await behave(request, wire)

    token = tmp_path / "token"
    token.write_text("sesame")
    options = {"workers": workers, "admin_token_file": str(token), "timeouts": {"drain_s": 1.0}}
    async with (
        FakeEngine(hang) as engine,
        router_process(tmp_path, engine, **options) as router,  # type: ignore[arg-type]
        RawClient.to(router.port) as hanging,
    ):
        assert (await get(router, "/readyz"))[0] == 200
        await hanging.post(PLAIN, target="/hang")
        await until(lambda: "/hang" in [request.target for request in engine.requests])
        assert (await get(router, "/drain", "POST"))[0] == 401
        assert (await get(router, "/drain", "POST", Authorization="Bearer sesame"))[0] == 202
        assert (await get(router, "/readyz"))[0] == 503
        assert await ask(router, PLAIN) == 200
        assert await hanging.rest() == b""
        async with asyncio.timeout(20):
            while True:
                try:
                    await ask(router, PLAIN)
                except (OSError, asyncio.IncompleteReadError):
                    break
        state = json.loads((await get(router, "/state"))[1])
        assert (state["draining"], state["ready"]) == (True, False)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
async def test_what_is_scraped_is_as_prometheus_wants_it(tmp_path: Path) -> None:
    options = {"workers": 2, "access_log": {"path": str(tmp_path / "log")}}
    async with FakeEngine() as engine, router_process(tmp_path, engine, **options) as router:  # type: ignore[arg-type]
        assert await ask(router, STREAM) == 200
        _, text = await get(router, "/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
