"""Clients behind a balancer that sends to routers that are ready, and what became of each of their requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from tests.bench.troubles.cluster import FAULTS
from tests.bench.troubles.part import LOOK_S
from tests.bench.troubles.site import MODEL, ROUTERS, Site

FEW, MANY = 4, 14
HIGH_TIDE_S = 30.0
"""So long many ask, and as long a few."""
PAUSE_S = 0.1
STREAMED_FRAC = 0.25
TOKENS = 20
PATIENCE_S = 60.0
WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; times are the loop's.

    Attributes:
        has_begun: whether the head of a stream had come.
        outcome: WHOLE, or what came instead.
    """

    router: str
    at_s: float
    end_s: float
    has_begun: bool
    outcome: str


@dataclass
class Crowd:
    """See the module."""

    site: Site
    session: aiohttp.ClientSession
    chance: random.Random
    ready: list[str] = field(default_factory=lambda: list(ROUTERS))
    asked: list[Asked] = field(default_factory=list)
    is_over: bool = False

    async def balance_forever(self) -> None:
        """Look which routers are ready."""
        while True:
            found = await asyncio.gather(*(self._is_ready(name) for name in ROUTERS))
            self.ready = [name for name, is_ready in zip(ROUTERS, found, strict=True) if is_ready]
            await asyncio.sleep(LOOK_S)

    async def ask_until_over(self, number: int) -> None:
        """One client; a request that is under way is waited for."""
        loop = asyncio.get_running_loop()
        while not self.is_over:
            if number >= FEW and int(loop.time() / HIGH_TIDE_S) % 2:
                await asyncio.sleep(PAUSE_S)
                continue
            name = self.chance.choice(self.ready or ROUTERS)
            at_s, begun = loop.time(), [False]
            try:
                outcome = await self._ask(name, begun, is_streamed=self.chance.random() < STREAMED_FRAC)
            except FAULTS as error:
                outcome = type(error).__name__
            self.asked.append(Asked(name, at_s, loop.time(), begun[0], outcome))
            await asyncio.sleep(PAUSE_S)

    async def _ask(self, name: str, begun: list[bool], *, is_streamed: bool) -> str:
        message = {"role": "user", "content": "one two three"}
        body = {"model": MODEL, "messages": [message], "max_tokens": TOKENS, "ignore_eos": True}
        url = f"{self.site.address(name)}/v1/chat/completions"
        async with self.session.post(url, json=body | {"stream": is_streamed}) as answer:
            begun[0] = is_streamed and answer.status == 200
            text = await answer.text()
            if answer.status != 200:
                return f"{answer.status} {answer.headers.get('x-wattroute-reason', '')}".strip()
        is_whole = text.endswith("data: [DONE]\n\n") if is_streamed else len(json.loads(text)["choices"]) == 1
        return WHOLE if is_whole else "cut off"

    async def _is_ready(self, name: str) -> bool:
        with contextlib.suppress(*FAULTS):
            async with self.site.session.get(f"{self.site.address(name, is_admin=True)}/readyz") as answer:
                return answer.status == 200
        return False


@contextlib.asynccontextmanager
async def crowding(site: Site, chance: random.Random) -> AsyncIterator[Crowd]:
    """Clients that ask until the end, whose last requests are waited for."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session:
        crowd = Crowd(site, session, chance)
        balancing = asyncio.create_task(crowd.balance_forever())
        clients = [asyncio.create_task(crowd.ask_until_over(number)) for number in range(MANY)]
        try:
            yield crowd
            crowd.is_over = True
            await asyncio.gather(*clients)
        finally:
            for task in (balancing, *clients):
                task.cancel()
            await asyncio.gather(balancing, *clients, return_exceptions=True)
