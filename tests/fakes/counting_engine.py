"""An engine's script that knows how many requests it has at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.fakes.fake_engine import Request, Wire, behave

Script = Callable[[Request, Wire], Awaitable[None]]


class Gauge:
    """Counts completions, each of which takes a while.

    Args:
        work_s: what each takes.
        answers: what it does else, and after that.

    Attributes:
        now, most: completions at present, and at the most.
        served: those that were let go on to their answer.
    """

    def __init__(self, work_s: float, answers: Script = behave) -> None:
        self.work_s = work_s
        self._answers = answers
        self.now = 0
        self.most = 0
        self.served = 0

    async def __call__(self, request: Request, wire: Wire) -> None:
        if request.target != "/v1/chat/completions":
            await self._answers(request, wire)
            return
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.work_s)
        finally:
            # Before it answers: the router may send the next one as soon as it has the answer.
            self.now -= 1
        self.served += 1
        await self._answers(request, wire)
