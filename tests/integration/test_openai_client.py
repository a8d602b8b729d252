"""The official client and curl, unchanged, against the router as a process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from router.clock import wall_s
from router.contract import InstanceId
from router.contract_rates import EnergyRate, EnergyRates, encode_rates
from tests.fakes.fake_engine import MODEL, FakeEngine, Request, Wire, chat
from tests.fakes.router_process import RouterProcess, router_process

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with FakeEngine() as running:
        yield running


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
async def router(request: pytest.FixtureRequest, engine: FakeEngine, tmp_path: Path) -> AsyncIterator[RouterProcess]:
    async with router_process(tmp_path, engine, workers=request.param) as running:
        yield running


@pytest.fixture
async def client(router: RouterProcess) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{router.url}/v1", api_key="k", max_retries=0) as found:
        yield found


async def test_plain_completion(client: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    answer = await client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
    assert answer.headers["x-wattroute-pool"] == "bf16"
    found = answer.parse()
    assert found.choices[0].message.content == "w0 w1 w2"
    assert found.usage is not None
    assert found.usage.completion_tokens == 3
    [seen] = [request for request in engine.requests if request.method == "POST"]
    assert seen.get("authorization") == "Bearer k"


async def test_streamed_completion_with_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "w0 w1 w2 "
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_many_streams_at_once(client: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    async def slow(request: Request, wire: Wire) -> None:
        await chat(request, wire, tokens=10, pause_s=0.005)

    engine.script = slow

    async def one() -> str:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert set(await asyncio.gather(*(one() for _ in range(50)))) == {"".join(f"w{n} " for n in range(10))}


async def test_models(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in await client.models.list()] == [MODEL]


async def test_a_pinned_model(client: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    found = await client.chat.completions.create(model=f"{MODEL}@bf16", messages=MESSAGES)
    assert found.choices[0].message.content == "w0 w1 w2"
    [seen] = [request for request in engine.requests if request.method == "POST"]
    assert seen.json()["model"] == MODEL


async def test_an_unknown_model_is_the_engines_404(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="other", messages=MESSAGES)
    assert caught.value.body["param"] == "model"


async def test_a_refusal_of_the_router_is_an_error_the_client_knows(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.post("/load_lora_adapter", cast_to=object, body={})
    assert caught.value.type == "NotFoundError"
    assert caught.value.response.headers["x-wattroute-reason"] == "not_served"


async def test_an_engine_that_dies_within_a_stream_is_an_error(client: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    async def die(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        await wire.event({"choices": [{"index": 0, "delta": {"content": "a"}}]})
        await asyncio.sleep(0.05)
        wire.reset()

    engine.script = die
    stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert (await anext(stream)).choices[0].delta.content == "a"
    with pytest.raises(openai.APIError):
        await anext(stream)


async def test_no_engine_at_all(client: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    await engine.kill()
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"]
    assert caught.value.response.headers["x-wattroute-reason"] in ("engine_unreachable", "no_instance")


async def test_the_synchronous_client(router: RouterProcess) -> None:
    def talk() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=f"{router.url}/v1", api_key="k", max_retries=0) as client:
            plain = client.chat.completions.create(model=MODEL, messages=MESSAGES)
            stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
            return plain.choices[0].message.content, "".join(c.choices[0].delta.content or "" for c in stream)

    assert await asyncio.to_thread(talk) == ("w0 w1 w2", "w0 w1 w2 ")


async def curl(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--max-time", "20", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out


async def test_curl(router: RouterProcess) -> None:
    url = f"{router.url}/v1/chat/completions"
    body = json.dumps({"model": MODEL, "messages": MESSAGES})
    assert json.loads(await curl(url, "--json", body))["object"] == "chat.completion"
    stream_body = json.dumps({"model": MODEL, "messages": MESSAGES, "stream": True})
    for version in ("--http1.1", "--http1.0"):
        text = await curl("-N", version, url, "--json", stream_body)
        assert text.endswith(b"data: [DONE]\n\n")
        assert text.count(b"data: ") == 4


async def test_curl_uploads_what_it_announces_with_expect_and_in_chunks(router: RouterProcess, tmp_path: Path) -> None:
    url = f"{router.url}/v1/chat/completions"
    big = tmp_path / "big.json"
    big.write_text(json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "x" * 2_000_000}]}))
    for extra in (["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]):
        answer = await curl(url, "-H", "Content-Type: application/json", *extra, "--data-binary", f"@{big}")
        assert json.loads(answer)["object"] == "chat.completion"


@pytest.fixture
async def controller() -> AsyncIterator[str]:
    """Where a controller tells rates and has no table."""

    async def rates(request: web.Request) -> web.Response:
        row = EnergyRate(InstanceId("bf16-0"), 0.5, 2.0, "emulated")
        return web.Response(body=encode_rates(EnergyRates(wall_s(), wall_s() + 30, "shared", (row,))))

    app = web.Application()
    app.router.add_get("/v1/energy-rates", rates)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1/allocation"))


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_energy_of_a_request_is_told_and_harms_nobody(
    workers: int, engine: FakeEngine, controller: str, tmp_path: Path
) -> None:
    sections = {"table": {"url": controller, "poll_interval_s": 0.1}}
    asks = {"x-wattroute-energy": "1"}
    async with (
        router_process(tmp_path, engine, workers=workers, sections=sections) as router,
        openai.AsyncOpenAI(base_url=f"{router.url}/v1", api_key="k", max_retries=0) as client,
    ):

        async def plain() -> str:
            create = client.chat.completions.with_raw_response.create
            answer = await create(model=MODEL, messages=MESSAGES, extra_headers=asks)
            assert answer.parse().choices[0].message.content == "w0 w1 w2"
            return answer.headers["x-wattroute-energy"]

        async with asyncio.timeout(20):
            while await plain() == "unknown":
                await asyncio.sleep(0.05)
        assert await plain() == "9.500;unit=J;source=emulated;idle=shared"
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=asks,
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "w0 w1 w2 "
        assert chunks[-1].usage is not None
        # The official client passes over the comment; whoever reads the bytes finds it.
        create = client.chat.completions.with_streaming_response.create
        async with create(model=MODEL, messages=MESSAGES, stream=True, extra_headers=asks) as answer:
            lines = [line async for line in answer.iter_lines()]
        (told,) = [line for line in lines if line.startswith(": x-wattroute-energy: ")]
        assert "source=estimated" in told
        assert lines[-2] == "data: [DONE]"
