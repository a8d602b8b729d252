"""Sends the replayed requests as real HTTP, at their times, and keeps account of every one of them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import msgspec

from controller.clock import Clock
from controller.demo.answers import Answer, fault_of
from controller.demo.client import StreamClient
from controller.simulation import tokenizer
from controller.simulation.latency import Latencies
from controller.simulation.site_router import Request

MAX_ATTEMPTS = 8
MAX_RETRY_AFTER_S = 15.0
ANSWER_TIMEOUT_S = 300.0
MAX_NOTED = 20
_REFUSED = (429, 503)
PROMPT_SPREAD = 1024
"""Prompts begin at different words of one long text, so that they do not all share a prefix."""
TEMPLATE_TOKENS = tokenizer.MESSAGE_TOKENS + tokenizer.ANSWER_TOKENS
MIN_INPUT_TOKENS = TEMPLATE_TOKENS + 1
"""A chat with one word."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Account:
    """What became of the requests.

    Attributes:
        refusals: answers 429 or 503; each is tried again until `MAX_ATTEMPTS`.
        retries: further attempts after a refusal.
        tokens_served: output tokens of whole answers.
        tokens_streamed: output tokens received so far, those of answers under way included.
        tokens_lost: output tokens asked for by requests that failed for good, or were cut off midway.
        requests_cut, tokens_cut: requests under way when the user stopped the run, and what they had asked for.
        tokens_by_precision, tokens_by_pool: of whole answers, as told by the router's headers.
        late: how long after its time a request was sent, the client's own delay.
        faults: what went wrong, the first few.
    """

    sent: int = 0
    ok: int = 0
    lost: int = 0
    refusals: int = 0
    retries: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    tokens_served: int = 0
    tokens_lost: int = 0
    requests_cut: int = 0
    tokens_cut: int = 0
    input_tokens: int = 0
    tokens_by_precision: Counter[str] = field(default_factory=Counter)
    tokens_by_pool: Counter[str] = field(default_factory=Counter)
    requests_by_class: Counter[str] = field(default_factory=Counter)
    ttft: Latencies = field(default_factory=Latencies)
    e2e: Latencies = field(default_factory=Latencies)
    late: Latencies = field(default_factory=Latencies)
    faults: list[str] = field(default_factory=list)


class PromptText:
    """Chats of an exact number of tokens, their template included, cut from one long text.

    The numbers are exact for the emulator, where each word of the text is one token; for another tokenizer they are
    about right.
    """

    def __init__(self, longest: int) -> None:
        parts = tokenizer.words(longest + PROMPT_SPREAD).split(" ")
        self._text = " ".join(parts).encode()
        self._starts = [0, *accumulate(len(part) + 1 for part in parts)]

    def cut(self, index: int, tokens: int) -> bytes:
        """Content of the message of request number `index`."""
        first = index * 97 % PROMPT_SPREAD
        last = first + max(1, tokens - TEMPLATE_TOKENS)
        return self._text[self._starts[first] : self._starts[last] - 1]


class Load:
    """The replay's sending side."""

    def __init__(
        self,
        requests: Sequence[Request],
        client: StreamClient,
        text: PromptText,
        *,
        model: str,
        clock: Clock,
        max_in_flight: int,
    ) -> None:
        self._requests = requests
        self._client = client
        self._text = text
        self._model = msgspec.json.encode(model)
        self._clock = clock
        self._slots = asyncio.Semaphore(max_in_flight)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: dict[int, int] = {}
        self.account = Account()

    @property
    def under_way(self) -> bool:
        """Whether answers are still coming."""
        return bool(self._tasks)

    async def send_all(self, start_s: float) -> None:
        """Send each request at its time; `start_s` is the monotonic time of the replay's start."""
        for request in self._requests:
            wait_s = start_s + request.time_s - self._clock.monotonic_s()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            await self._slots.acquire()
            self._count_sent(request, max(0.0, self._clock.monotonic_s() - start_s - request.time_s))
            task = asyncio.create_task(self._serve(request))
            self._tasks.add(task)
            task.add_done_callback(self._end)

    async def drain(self, longest_s: float) -> None:
        """Wait for the answers under way; those that have not come by then are cut off and counted as lost."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=longest_s)
        await self._cancel()
        account = self.account
        account.lost += len(self._asked)
        account.tokens_lost += sum(self._asked.values())
        if self._asked:
            self._note(f"{len(self._asked)} answers had not come {longest_s:g} s after the last request")
        self._asked.clear()

    async def cut(self) -> None:
        """End at once, because the user wants to: what is under way is cut off and told as such."""
        await self._cancel()
        self.account.requests_cut += len(self._asked)
        self.account.tokens_cut += sum(self._asked.values())
        self._asked.clear()

    async def _cancel(self) -> None:
        for task in [*self._tasks]:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        self.account.in_flight = len(self._tasks)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request failed in the client", exc_info=error)
            self._note(f"the client itself failed: {error!r}")

    def _count_sent(self, request: Request, late_s: float) -> None:
        account = self.account
        account.sent += 1
        account.late.add(late_s)
        account.requests_by_class[request.class_id] += 1
        account.in_flight = len(self._tasks) + 1
        account.peak_in_flight = max(account.peak_in_flight, account.in_flight)
        self._asked[request.index] = request.output_tokens

    async def _serve(self, request: Request) -> None:
        account = self.account
        begun_s = self._clock.monotonic_s()
        answer = await self._attempts(request)
        del self._asked[request.index]
        fault = fault_of(answer, request.output_tokens)
        if fault is None:
            account.ok += 1
            account.tokens_served += answer.streamed_tokens
            account.input_tokens += answer.usage_prompt_tokens or 0
            account.tokens_by_precision[answer.precision or "unknown"] += answer.streamed_tokens
            account.tokens_by_pool[answer.pool or "unknown"] += answer.streamed_tokens
            account.e2e.add(self._clock.monotonic_s() - begun_s)
            if answer.first_token_s is not None:
                # Time spent on refusals counts: the user waited for it too.
                account.ttft.add(answer.first_token_s - answer.sent_s + (answer.sent_s - begun_s))
        else:
            account.lost += 1
            account.tokens_lost += request.output_tokens
            self._note(f"request {request.index} ({request.class_id}): {fault}")

    async def _attempts(self, request: Request) -> Answer:
        body = self._body(request)
        account = self.account
        for attempt in range(MAX_ATTEMPTS):
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    answer = await self._client.post(body, request.class_id)
            except TimeoutError:
                return Answer(sent_s=0.0, problem=f"no whole answer within {ANSWER_TIMEOUT_S:g} s")
            if answer.status not in _REFUSED:
                return answer
            account.refusals += 1
            if attempt + 1 < MAX_ATTEMPTS:
                account.retries += 1
                wait_s = 1.0 if answer.retry_after_s is None else answer.retry_after_s
                await self._clock.sleep(min(MAX_RETRY_AFTER_S, max(0.1, wait_s)))
        return answer

    def _body(self, request: Request) -> bytes:
        asked = request.output_tokens
        return b"".join(
            (
                b'{"model":',
                self._model,
                b',"messages":[{"role":"user","content":"',
                self._text.cut(request.index, request.input_tokens),
                b'"}],"stream":true,"stream_options":{"include_usage":true},"ignore_eos":true,',
                b'"temperature":0,"min_tokens":%d,"max_tokens":%d}' % (asked, asked),
            )
        )

    def _note(self, fault: str) -> None:
        if len(self.account.faults) < MAX_NOTED:
            self.account.faults.append(fault)
