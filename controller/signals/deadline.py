"""One reading under a deadline; whatever becomes of it hides no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

log = logging.getLogger(__name__)
Result = TypeVar("Result")


async def read_within(deadline_s: float, name: str, reading: Awaitable[Result]) -> Result | str:
    """The result, or in words why there is none; never raises for the reading."""
    try:
        return await asyncio.wait_for(reading, deadline_s)
    except TimeoutError:
        return f"no result within {deadline_s:g} s"
    except Exception as error:  # a fault in one adapter must not hide the other signals
        log.exception("signal failed", extra={"signal": name})
        return f"{type(error).__name__}: {error}"
