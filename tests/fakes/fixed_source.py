"""A source whose answer a test chooses."""

from __future__ import annotations

import asyncio
from typing import Any


class Fixed:
    """A source that answers, fails with an error, or hangs where its answer is `asyncio.sleep`."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def read(self, now_s: float) -> Any:
        if self.answer is asyncio.sleep:
            await asyncio.sleep(30)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
