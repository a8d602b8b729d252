"""Work that goes on beside something, until that ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None], what: str) -> AsyncIterator[None]:
    """Run the work meanwhile; it is cancelled at the end, and waited for.

    What it raises is told in the log as soon as it does, and ends nothing else.

    Args:
        work: to run.
        what: it is, for the log.
    """
    task = asyncio.get_running_loop().create_task(work, name=what)
    task.add_done_callback(functools.partial(_tell, what))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell(what: str, task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if isinstance(error, Exception):
        log.error("what ran in the background has failed", extra={"work": what}, exc_info=error)
