"""The calls that the events of one VTN come to, as they are handed to the book."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

from controller.errors import ControllerError, StoreError
from controller.model.call import Call

log = logging.getLogger(__name__)


class Calls(Protocol):
    """The book of calls, as far as it is written to."""

    def submit(self, call: Call, now_s: float, *, raw: str = "") -> Call:
        """Take in a call, or a change of one."""

    def cancel(
        self, source: str, call_id: str, now_s: float, *, modified_s: float | None = None, reason: str = ""
    ) -> Call | None:
        """End a call."""


class SourceCalls:
    """The calls of one source."""

    def __init__(self, source: str, book: Calls) -> None:
        self._source = source
        self._book = book

    def submit(self, call: Call, raw: str, now_s: float) -> ControllerError | None:
        """Hand a call to the book; returns why it was not taken."""
        try:
            self._book.submit(call, now_s, raw=raw)
        except ControllerError as error:
            return error
        return None

    def cancel(self, call_ids: Iterable[str], now_s: float, modified_s: float | None, reason: str) -> bool:
        """End calls; returns whether all could be recorded."""
        is_done = True
        for call_id in call_ids:
            try:
                self._book.cancel(self._source, call_id, now_s, modified_s=modified_s, reason=reason)
            except StoreError as error:
                is_done = False
                log.error("call not cancelled", extra={"call_id": call_id, "reason": str(error)})
        return is_done
