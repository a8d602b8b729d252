from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from controller.clock import SystemClock
from controller.demo.answers import Answer
from controller.demo.client import StreamClient
from controller.demo.load import MAX_ATTEMPTS, MIN_INPUT_TOKENS, Account, Load, PromptText
from controller.simulation import tokenizer
from controller.simulation.site_router import Request
from router.contract import ClassId
from tests.fakes.emulated import MODEL, emulated


class Scripted(StreamClient):
    """A client whose n-th answer is made by a function of n and the request's body."""

    def __init__(self, make: Callable[[int, dict[str, object]], Answer | None]) -> None:
        super().__init__("127.0.0.1", 1, time.monotonic)
        self.bodies: list[dict[str, object]] = []
        self._make = make

    async def post(self, body: bytes, class_id: str) -> Answer:
        self.bodies.append(json.loads(body))
        answer = self._make(len(self.bodies) - 1, self.bodies[-1])
        if answer is None:
            await asyncio.Event().wait()
            raise AssertionError
        return answer


class Hurried(SystemClock):
    """Waits nothing, and keeps for how long it was asked to wait."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []

    async def sleep(self, duration_s: float) -> None:
        self.waits_s.append(duration_s)
        await asyncio.sleep(0)


def whole(tokens: int, precision: str = "bf16") -> Answer:
    return Answer(
        sent_s=time.monotonic(), status=200, pool=precision, precision=precision, first_token_s=time.monotonic(),
        streamed_tokens=tokens, usage_tokens=tokens, usage_prompt_tokens=40, done=True,
    )  # fmt: skip


def requests(count: int, tokens: int = 7) -> tuple[Request, ...]:
    return tuple(Request(n, 0.0, ClassId("standard"), 40, tokens) for n in range(count))


async def play(client: StreamClient, asked: tuple[Request, ...], clock: SystemClock | None = None) -> Account:
    load = Load(asked, client, PromptText(100), model=MODEL, clock=clock or Hurried(), max_in_flight=4)
    await load.send_all(time.monotonic())
    await load.drain(5.0)
    return load.account


@pytest.mark.parametrize("tokens", [MIN_INPUT_TOKENS, 9, 100, 1155])
def test_prompts_have_exactly_the_tokens_asked_for(tokens: int) -> None:
    text = PromptText(1155)
    for index in (0, 1, 5000):
        content = text.cut(index, tokens).decode()
        assert tokenizer.count_chat([{"role": "user", "content": content}]) == tokens


def test_prompts_differ() -> None:
    text = PromptText(100)
    assert len({text.cut(index, 50) for index in range(20)}) == 20


async def test_whole_answers_are_counted_by_precision() -> None:
    client = Scripted(lambda n, body: whole(7, "bf16" if n % 2 else "fp8"))
    account = await play(client, requests(10))
    assert (account.sent, account.ok, account.lost) == (10, 10, 0)
    assert (account.tokens_served, account.tokens_lost) == (70, 0)
    assert account.tokens_by_precision == {"bf16": 35, "fp8": 35}
    assert account.ttft.count == 10
    body = client.bodies[0]
    assert body["max_tokens"] == body["min_tokens"] == 7
    assert body["ignore_eos"] is True
    assert body["stream_options"] == {"include_usage": True}


async def test_a_refused_request_comes_again_after_the_time_told() -> None:
    clock = Hurried()
    refusal = Answer(sent_s=0.0, status=429, retry_after_s=3.0)
    account = await play(Scripted(lambda n, body: refusal if n < 2 else whole(7)), requests(1), clock)
    assert (account.ok, account.refusals, account.retries, account.tokens_lost) == (1, 2, 2, 0)
    assert clock.waits_s.count(3.0) == 2


async def test_a_request_refused_for_good_is_lost() -> None:
    account = await play(Scripted(lambda n, body: Answer(sent_s=0.0, status=503, error_text="full")), requests(1))
    assert (account.refusals, account.retries) == (MAX_ATTEMPTS, MAX_ATTEMPTS - 1)
    assert (account.lost, account.tokens_lost) == (1, 7)
    assert account.faults == ["request 0 (standard): status 503: full"]


async def test_an_answer_cut_short_loses_all_its_tokens() -> None:
    short = Answer(sent_s=0.0, status=200, streamed_tokens=6, usage_tokens=None)
    account = await play(Scripted(lambda n, body: short), requests(2))
    assert (account.ok, account.lost, account.tokens_served, account.tokens_lost) == (0, 2, 0, 14)


async def test_faults_are_kept_to_a_bound() -> None:
    account = await play(Scripted(lambda n, body: Answer(sent_s=0.0, status=500)), requests(100))
    assert account.lost == 100
    assert len(account.faults) == 20


async def test_answers_that_do_not_come_are_lost_after_the_drain() -> None:
    load = Load(
        requests(3), Scripted(lambda n, body: None), PromptText(100), model=MODEL, clock=Hurried(), max_in_flight=4
    )
    await load.send_all(time.monotonic())
    assert load.under_way
    await load.drain(0.05)
    assert not load.under_way
    assert (load.account.lost, load.account.tokens_lost) == (3, 21)


async def test_what_the_user_cuts_off_is_not_called_lost() -> None:
    load = Load(
        requests(3), Scripted(lambda n, body: None), PromptText(100), model=MODEL, clock=Hurried(), max_in_flight=4
    )
    await load.send_all(time.monotonic())
    await load.cut()
    account = load.account
    assert (account.tokens_lost, account.requests_cut, account.tokens_cut) == (0, 3, 21)


async def test_no_more_are_under_way_than_allowed() -> None:
    load = Load(
        requests(9), Scripted(lambda n, body: None), PromptText(100), model=MODEL, clock=Hurried(), max_in_flight=4
    )
    sender = asyncio.create_task(load.send_all(time.monotonic()))
    for _ in range(50):
        await asyncio.sleep(0)
    assert load.account.sent == 4
    sender.cancel()
    await load.cut()


async def test_a_failure_of_the_client_itself_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def fail(n: int, body: dict[str, object]) -> Answer:
        raise RuntimeError("a bug")

    account = await play(Scripted(fail), requests(1))
    assert (account.lost, account.tokens_lost) == (1, 7)
    assert "a bug" in account.faults[0]
    assert caplog.records


async def test_an_emulated_engine_serves_what_is_asked() -> None:
    async with emulated() as emulator:
        client = StreamClient("127.0.0.1", emulator.ports["bf16-0"], time.monotonic)
        account = await play(client, requests(20), SystemClock())
        client.close()
    assert (account.ok, account.tokens_served, account.lost) == (20, 140, 0)
    assert account.input_tokens == 20 * 40
