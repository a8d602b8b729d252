"""What clients are told of their requests' energy, by rates that a controller would tell; the rest stays as it is."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from router.contract import InstanceId
from router.contract_rates import EnergyRate, EnergyRates, encode_rates
from tests.fakes.http_stub import http_stub
from tests.vllm.router import Router, running_router
from tests.vllm.same import pinned, the_same
from tests.vllm.servers import MODEL, WAIT_S, Pair
from tests.vllm.test_answers import CASES, STREAMED, WITH_RUNNING_USAGE, WITH_USAGE
from tests.vllm.wire import Answer, exchange, request

pytestmark = pytest.mark.vllm

PROMPT_J, OUTPUT_J = 0.01, 1.0
ASKS = "x-wattroute-energy: 1"
COMMENT = re.compile(rb"(?<=\n\n): x-wattroute-energy: (\S+)\n\n")
WITHOUT_USAGE = {"stream": True}
FORMS = {
    "chat": (WITHOUT_USAGE, WITH_USAGE, WITH_RUNNING_USAGE),
    "chat n=2": (WITHOUT_USAGE, WITH_USAGE),
    "completions": (WITHOUT_USAGE, WITH_USAGE),
    "responses": (WITHOUT_USAGE,),
    "messages": (WITHOUT_USAGE,),
}


@pytest.fixture
async def telling(pair: Pair, tmp_path: Path) -> AsyncIterator[Router]:
    """A router that knows what tokens cost."""
    now_s = time.time()
    rows = tuple(EnergyRate(InstanceId(f"{name}-0"), PROMPT_J, OUTPUT_J, "direct") for name in ("bf16", "int8"))
    async with http_stub() as controller:
        controller.set("/v1/energy-rates", encode_rates(EnergyRates(now_s, now_s + 600, "shared", rows)).decode())
        table = {"url": f"{controller.url}/v1/allocation", "poll_interval_s": 0.1}
        with running_router(tmp_path, pair, table=table) as router:
            async with asyncio.timeout(WAIT_S):
                while energy_of(await ask(router, pair, "chat", {})) == b"unknown":
                    await asyncio.sleep(0.1)
            yield router


async def ask(router: Router, pair: Pair, case: str, options: dict[str, Any]) -> Answer:
    target, body = CASES[case]
    return await exchange(router.port, request("POST", target, {**body, **options}, pinned(pair.bf16), ASKS))


def energy_of(answer: Answer) -> bytes | None:
    return answer.get(b"x-wattroute-energy")


def by_usage(body: bytes) -> bytes:
    """What is to be told, by the last usage in an answer."""
    prompts = re.findall(rb'"(?:prompt|input)_tokens":(\d+)', body)
    outputs = re.findall(rb'"(?:completion|output)_tokens":(\d+)', body)
    return b"%.3f;unit=J;source=direct;idle=shared" % (int(prompts[-1]) * PROMPT_J + int(outputs[-1]) * OUTPUT_J)


async def test_plain_answers_tell_it_in_their_head(pair: Pair, telling: Router) -> None:
    for case in FORMS:
        answer = await ask(telling, pair, case, {})
        assert energy_of(answer) == by_usage(answer.body), case
    unasked = await exchange(telling.port, request("POST", *CASES["chat"], pinned(pair.bf16)))
    assert energy_of(unasked) is None


async def test_streams_tell_it_in_a_comment_and_are_otherwise_the_engines(pair: Pair, telling: Router) -> None:
    for case, forms in FORMS.items():
        body = STREAMED[case][1]
        for options in forms:
            answer = await ask(telling, pair, case, options)
            assert answer.is_whole
            assert energy_of(answer) is None
            (told,) = COMMENT.findall(answer.body)
            if options is WITHOUT_USAGE and b'usage":{' not in answer.body:
                assert re.fullmatch(rb"\d+\.\d{3};unit=J;source=estimated;idle=shared", told), (case, told)
                made = body["max_tokens"] * body.get("n", 1) * (len(body["prompt"]) if "prompt" in body else 1)
                # An event counts as a token; some have none of their own, and vLLM joins tokens now and then.
                assert 0.25 * made <= float(told.split(b";")[0]) <= made + 5, (case, told)
            else:
                assert told == by_usage(answer.body), case
            assert answer.body.endswith((b"data: [DONE]\n\n", COMMENT.search(answer.body)[0]))  # type: ignore[index]


async def test_nothing_else_of_a_stream_changes(pair: Pair, telling: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte as the engine's own, the comment taken out."""
    whole = Answer.same

    def without_comment(answer: Answer) -> Any:
        status, fields, body = whole(answer)
        return status, fields, COMMENT.sub(b"", body)

    monkeypatch.setattr(Answer, "same", without_comment)
    for case, forms in FORMS.items():
        target, body = STREAMED[case]
        for options in forms:
            await the_same(pair.bf16, telling, "POST", target, {**body, **options}, ASKS)


async def test_the_official_client_passes_over_it(pair: Pair, telling: Router) -> None:
    asks = {"x-wattroute-energy": "1", "x-wattroute-precision": "int8"}
    messages: list[Any] = CASES["chat"][1]["messages"]
    async with openai.AsyncOpenAI(base_url=f"{telling.url}/v1", api_key="k", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=messages, temperature=0, max_tokens=8, stream=True,
            stream_options={"include_usage": True}, extra_headers=asks,
        )  # fmt: skip
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 8
        events = await client.responses.create(
            model=MODEL, input="hello", max_output_tokens=16, stream=True, extra_headers=asks
        )
        assert [event.type async for event in events][-1] == "response.completed"
