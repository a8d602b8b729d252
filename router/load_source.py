"""Engines' states and loads from the controller over HTTP, and what they and those from Redis have in common.

How old a document is nobody tells: it counts from the moment at which it was seen to be another than the one before.
So the first that a router sees does not count, as it may have been there for long; and of a controller that is frozen,
or was cut off, nothing counts after a few seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from router.contract_loads import MAX_LOADS_BYTES, Loads, LoadsError, decode_loads
from router.poller import Document, Followed, Poller
from router.rate_source import beside_table

log = logging.getLogger(__name__)

READ_EVERY_S = 2.0
"""How often loads are asked for, or at the table's own pace where that is slower: as often as one router probes."""
FRESH_S = 6.0
"""How long loads are gone by, or for `FRESH_READS` where they are read more seldom."""
FRESH_READS = 3.0
_LOADS_PATH = "/v1/engine-loads"


class LoadSink(Protocol):
    """What takes the loads; `router.probes.Prober` does."""

    def heard(self, loads: Loads) -> None:
        """Go by these, as the controller has just told them."""


def read_every_s(poll_interval_s: float) -> float:
    """How often loads are read where the table is read at this interval."""
    return max(READ_EVERY_S, poll_interval_s)


def fresh_s(poll_interval_s: float) -> float:
    """How long loads are gone by after they were told."""
    return max(FRESH_S, FRESH_READS * poll_interval_s)


class LoadReporter:
    """Hands on loads that are new, and logs a change of the source's state once.

    Args:
        source: for the log.
        sink: takes loads that are new.
        hear_routers: takes how many routers the controller hears of, from every document: unlike the loads, a number
            that may have been there for a while is better than none.

    Attributes:
        refused: documents that could not be used.
    """

    def __init__(self, source: str, sink: LoadSink, hear_routers: Callable[[int], None] = lambda routers: None) -> None:
        self._source = source
        self._sink = sink
        self._hear_routers = hear_routers
        self._trouble: str | None = None
        self._sequence: int | None = None
        self.refused = 0

    def deliver(self, raw: bytes) -> bool:
        """Decode loads and hand them on where they are others than before; malformed ones are refused: False."""
        try:
            loads = decode_loads(raw)
        except LoadsError as error:
            self.refuse(str(error))
            return False
        if self._trouble is not None:
            log.info("engines' loads are told again", extra={"source": self._source})
            self._trouble = None
        self._hear_routers(loads.routers)
        before, self._sequence = self._sequence, loads.sequence
        if before is not None and before != loads.sequence:
            self._sink.heard(loads)
        return True

    def refuse(self, reason: str) -> None:
        """Note a document that cannot be used."""
        self.refused += 1
        self.failed(reason)

    def failed(self, reason: str) -> None:
        """Note that there are no loads; the same trouble is logged once."""
        if reason != self._trouble:
            log.info("engines' loads not told", extra={"source": self._source, "reason": reason})
            self._trouble = reason


def loads_url(table_url: str) -> str | None:
    """Where the controller that serves a table serves the loads; None where the table's address is another's."""
    return beside_table(table_url, _LOADS_PATH)


def http_loads(poller: Poller, reporter: LoadReporter) -> Followed:
    """Loads from a controller."""
    document = Document("engines' loads", _LOADS_PATH, MAX_LOADS_BYTES)
    return Followed(poller, document, deliver=reporter.deliver, failed=reporter.failed)
