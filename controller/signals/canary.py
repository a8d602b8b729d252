"""Sends canaries to engines, off the clients' path, within a pace, a number at once, and a budget of energy.

Engines are asked directly, so that a barred pool can be tested and routers count nothing. Prompts are the built-in
ones, and requests sampled at routers where those keep some. Bodies are held in memory only and never logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from controller.clock import Clock
from controller.errors import SignalError
from controller.model.fleet import Instance, Pool, Site
from controller.model.observation import InstanceObservation
from controller.ports import EngineClient
from controller.quality.answers import Answer, read_answer
from controller.quality.canary import Errand, Pause
from controller.quality.energy_budget import EnergyBudget, answer_j
from controller.quality.prompts import Prompt, body_of, from_sample
from controller.signals.http_client import get, read
from controller.signals.quality_book import QualityBook
from router.contract import InstanceId, PoolId
from router.transport.loopback import without_credentials

log = logging.getLogger(__name__)

MAX_SEEN = 4096
LOGPROBS_AGAIN_S = 600.0
"""An engine that refused log-probabilities is asked again after this: vLLM refuses such as are no numbers, which broken
weights may give."""
BYTES_PER_TOKEN = 4
"""For the energy of a prompt whose tokens nobody has counted."""


@dataclass(frozen=True, slots=True)
class CanaryOptions:
    """How canaries are sent.

    Attributes:
        per_s: canaries a second; 0 sends none.
        model: name of the served model, None where requests name their own.
        answer_tokens: longest answer that is compared.
        timeout_s: longest wait for one.
        max_in_flight: canaries under way at once.
        priority: of vLLM's priority scheduling; None where engines do not have it.
        energy_j_per_h: budget.
        sample_s: time between two looks for samples at the routers.
        router_urls: admin addresses of the routers.
        router_token: what they ask for; None where they ask for none.
        headers: for each pool's engines, such as their key.
    """

    per_s: float = 0.0
    model: str | None = None
    answer_tokens: int = 16
    timeout_s: float = 30.0
    max_in_flight: int = 2
    priority: int | None = None
    energy_j_per_h: float = 1e6
    sample_s: float = 10.0
    router_urls: tuple[str, ...] = ()
    router_token: str | None = None
    headers: Mapping[PoolId, Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class CanaryParts:
    """What the task works with.

    Attributes:
        look: the instances as last observed.
        on_report: called after each canary and each pause.
        on_change: called when a bar was set or lifted.
    """

    book: QualityBook
    engines: EngineClient
    session: aiohttp.ClientSession
    clock: Clock
    look: Callable[[], Sequence[InstanceObservation]]
    on_report: Callable[[], None]
    on_change: Callable[[], None]


class CanaryTask:
    """Runs until cancelled."""

    def __init__(self, present: Callable[[], Site], parts: CanaryParts, options: CanaryOptions) -> None:
        self._parts = parts
        self._options = options
        self._present = present
        self._budget = EnergyBudget(options.energy_j_per_h, parts.clock.monotonic_s())
        self._without_logprobs_until_s: dict[InstanceId, float] = {}
        self._seen: deque[str] = deque(maxlen=MAX_SEEN)
        self._next_samples_s = 0.0
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send canaries at their pace."""
        if self._options.per_s <= 0:
            return
        try:
            while True:
                await self.step()
                await self._parts.clock.sleep(1.0 / self._options.per_s)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def step(self) -> None:
        """Begin one canary, unless there is reason to wait; a turn that finds too many under way is left out."""
        now_s = self._parts.clock.monotonic_s()
        if now_s >= self._next_samples_s:
            self._next_samples_s = now_s + self._options.sample_s
            await self._fetch_samples()
        if len(self._under_way) >= self._options.max_in_flight:
            return
        canaries, seen = self._parts.book.canaries, self._parts.look()
        is_spent = self._budget.is_spent(now_s, urgent=canaries.is_urgent(seen))
        found = Pause("budget") if is_spent else canaries.next(seen)
        self._tell_pause(found.reason if isinstance(found, Pause) else None)
        if isinstance(found, Pause):
            self._parts.on_report()
            return
        task = asyncio.get_running_loop().create_task(self._send(found), name="canary")
        self._under_way.add(task)
        task.add_done_callback(self._end)

    async def settle(self) -> None:
        """Wait for the canaries under way."""
        await asyncio.gather(*self._under_way)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("canary failed", exc_info=error)

    async def _send(self, errand: Errand) -> None:
        book = self._parts.book
        answers = await asyncio.gather(*(self._ask(name, errand.prompt) for name in errand.asked))
        book.count(spent_j=self._budget.spent_j)
        target, reference = answers[0], answers[1] if len(answers) > 1 else None
        if target is None or (errand.reference is not None and reference is None):
            book.count(failed=book.counts.failed + 1)
        else:
            compared, has_changed = book.take(errand, target, reference, self._parts.clock.wall_s())
            if compared is None:
                book.count(kept=book.counts.kept + 1)
            elif compared.agrees:
                book.count(agreed=book.counts.agreed + 1)
            else:
                book.count(differed=book.counts.differed + 1)
            if has_changed:
                self._parts.on_change()
        self._parts.on_report()

    async def _ask(self, name: InstanceId, prompt: Prompt) -> Answer | None:
        """An engine's answer; None where it gave none, which is the health checks' to judge."""
        now_s = self._parts.clock.monotonic_s()
        wants = now_s >= self._without_logprobs_until_s.get(name, now_s)
        try:
            status, body = await self._post(name, prompt, logprobs=wants)
            if status == 400 and wants:
                status, body = await self._post(name, prompt, logprobs=False)
                if status == 200:
                    self._without_logprobs_until_s[name] = now_s + LOGPROBS_AGAIN_S
            if status != 200:
                raise SignalError(name, f"status {status}")
            answer = read_answer(json.loads(body))
            self._spend(name, prompt, answer)
        except (SignalError, ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, SignalError) else type(error).__name__
            log.info("canary without an answer", extra={"instance_id": name, "reason": reason})
            return None
        return answer

    async def _post(self, name: InstanceId, prompt: Prompt, *, logprobs: bool) -> tuple[int, bytes]:
        options = self._options
        body = body_of(
            prompt,
            model=options.model,
            max_tokens=options.answer_tokens,
            logprobs=logprobs,
            priority=options.priority,
        )
        pool, instance = self._place_of(name)
        url, headers = instance.url, (options.headers or {}).get(pool.pool_id, {})
        timeout = aiohttp.ClientTimeout(total=options.timeout_s)
        try:
            answer = self._parts.engines.request("POST", url, prompt.path, json=body, headers=headers, timeout=timeout)
        except OSError as error:
            raise SignalError(f"{url}{prompt.path}", str(error)) from error
        return await read(answer, f"{url}{prompt.path}", options.timeout_s)

    def _place_of(self, name: InstanceId) -> tuple[Pool, Instance]:
        """An instance and its pool.

        Raises:
            SignalError: it is gone.
        """
        found = self._present().find(name)
        if found is None:
            raise SignalError(name, "there is no such instance any more")
        return found

    def _spend(self, name: InstanceId, prompt: Prompt, answer: Answer) -> None:
        running = next((seen.running for seen in self._parts.look() if seen.instance_id == name), 0)
        energy_j = answer_j(
            self._place_of(name)[0].curves,
            prompt_tokens=len(json.dumps(prompt.request)) / BYTES_PER_TOKEN,
            output_tokens=len(answer.tokens),
            running=running,
        )
        self._budget.spend(energy_j, self._parts.clock.monotonic_s())

    def _tell_pause(self, reason: str | None) -> None:
        book = self._parts.book
        if reason != book.counts.paused:
            if reason is None:
                log.info("canaries go", extra={"before": book.counts.paused})
            else:
                log.warning("canaries wait", extra={"reason": reason})
        book.count(paused=reason)

    async def _fetch_samples(self) -> None:
        """Take up what the routers have kept since the last look."""
        found = await asyncio.gather(*(self._samples_of(url) for url in self._options.router_urls))
        self._parts.book.canaries.take_samples([prompt for prompts in found for prompt in prompts])

    async def _samples_of(self, url: str) -> list[Prompt]:
        token, address = self._options.router_token, f"{url.rstrip('/')}/canary/samples"
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            timeout_s = min(self._options.timeout_s, 5.0)
            status, body = await get(self._parts.session, address, timeout_s, headers)
            if status != 200:
                raise SignalError(address, f"status {status}")
            items = json.loads(body)["samples"]
            if not isinstance(items, list):
                raise SignalError(address, "samples is no list")
        except (SignalError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = str(error) if isinstance(error, SignalError) else type(error).__name__
            log.warning("no samples for canaries", extra={"address": without_credentials(address), "reason": reason})
            return []
        return [prompt for item in items if (prompt := self._new_prompt(item)) is not None]

    def _new_prompt(self, item: Any) -> Prompt | None:
        """A sample that was not seen before and can be asked again."""
        keys = ("sample_id", "path", "body", "class_id")
        values = [item.get(key) for key in keys] if isinstance(item, dict) else []
        sample_id, *rest = texts = [value for value in values if isinstance(value, str)] or [""]
        if len(texts) < len(keys) or sample_id in self._seen:
            return None
        self._seen.append(sample_id)
        try:
            return from_sample(*rest)
        except ValueError as error:
            log.info("sample not used", extra={"reason": str(error)})
            return None
