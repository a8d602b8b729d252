"""Parts of the router that should go on for ever: one that fails is told and begun again, ever later."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from router.backoff import backoff_s

log = logging.getLogger(__name__)

FIRST_S = 1.0
LONGEST_S = 60.0
"""Waits before a part that has failed is begun again; one that had run for longer than the longest has not failed
before."""

Begin = Callable[[], Awaitable[None]]


async def keep_up(name: str, begin: Begin) -> None:
    """Run a part until cancelled; whatever it fails of is told, and it is begun again.

    Args:
        name: of the part, for the log.
        begin: runs it; called each time.
    """
    loop, rng, failures = asyncio.get_running_loop(), random.Random(), 0
    while True:
        began_s = loop.time()
        try:
            await begin()
        except Exception as error:  # whatever it is, the part must not stay dead
            tell_failed(name, error)
        else:
            return
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return
        failures = 1 if loop.time() - began_s > LONGEST_S else failures + 1
        await asyncio.sleep(backoff_s(failures, rng.random(), first_s=FIRST_S, longest_s=LONGEST_S))


def kept_up(name: str, begin: Begin) -> asyncio.Task[None]:
    """A task that keeps a part up."""
    return asyncio.get_running_loop().create_task(keep_up(name, begin), name=name)


def report_end(task: asyncio.Task[None]) -> None:
    """Log the fault that ended a task which should go on for ever."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        tell_failed(task.get_name(), error)


def tell_failed(part: str, error: BaseException) -> None:
    """Log what a part has failed of."""
    log.critical("a part of the router has failed", extra={"part": part}, exc_info=error)
