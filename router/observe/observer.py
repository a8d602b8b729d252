"""Who listens to requests, and what becomes of what they hear."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

from router.errors import SettingsError
from router.observe.access_log import AccessLog, lines_to
from router.observe.batches import Batches
from router.observe.served import Served
from router.observe.trace_context import TRACEPARENT, TRACESTATE, child_of, field_lines, read
from router.settings import RouterSettings, TracingSettings

DROPPED_WHEN_TRACING = frozenset({TRACEPARENT, TRACESTATE})
"""Fields of the client's that do not go on to engines when the router traces: its own take their place."""


class Listener(Protocol):
    """Hears of requests that have ended."""

    def served(self, record: Served) -> None:
        """Take a record; must not wait."""


class Observer:
    """Makes a record for each request, and gives it to the listeners when it is complete.

    Args:
        listeners: who hears of requests.
        tracing: how traces are begun, or None to leave them alone.
        tells_client_address: whether records hold where a client is.
        rng: makes ids and draws lots.
    """

    def __init__(
        self,
        listeners: tuple[Listener, ...],
        *,
        tracing: TracingSettings | None,
        tells_client_address: bool,
        rng: random.Random,
    ) -> None:
        self._listeners = listeners
        self._tracing = tracing
        self._tells_client_address = tells_client_address
        self._rng = rng

    def begin(
        self,
        request: tuple[bytes, bytes],
        fields: Mapping[bytes, bytes],
        *,
        body_bytes: int,
        client_address: str | None,
        received_s: float,
        wall_s: float,
    ) -> Served:
        """A request is complete.

        Args:
            request: method and target.
            fields: of its head, by lower-case name.
            body_bytes: size of its body.
            client_address: where the client is.
            received_s: monotonic clock.
            wall_s: wall clock.
        """
        method, target = request
        request_id = fields.get(b"x-request-id")
        caller = read(fields.get(TRACEPARENT), fields.get(TRACESTATE))
        record = Served(
            method=method.decode("ascii"),
            path=target.partition(b"?")[0].decode("latin-1"),
            arrived_at_s=wall_s,
            received_s=received_s,
            bytes_in=body_bytes,
            client_address=client_address if self._tells_client_address else None,
            request_id=None if request_id is None else request_id.decode("latin-1"),
            caller=caller,
        )
        if self._tracing is not None:
            record.context = child_of(caller, sample_frac=self._tracing.sample_frac, rng=self._rng)
        return record

    def engine_fields(self, record: Served) -> bytes:
        """Field lines that engines get besides the client's, each ended by CRLF."""
        return b"" if record.context is None else field_lines(record.context)

    def ended(self, record: Served, now_s: float) -> None:
        """A request is over; `now_s` is monotonic."""
        record.ended_s = now_s
        for listener in self._listeners:
            listener.served(record)


class Observation:
    """The observer of one worker, with what it writes to.

    Attributes:
        observer: to be told of requests.
    """

    def __init__(self, observer: Observer, outputs: dict[str, Batches[Any]]) -> None:
        self.observer = observer
        self._outputs = outputs

    def counters(self) -> dict[str, int]:
        """What was written and what was lost, by the name of a metric."""
        counts: dict[str, int] = {}
        for name, batches in self._outputs.items():
            counts[f"{name}_written"] = batches.written
            counts[f"{name}_dropped"] = batches.dropped
        return counts

    def close(self) -> None:
        """Write what is left; waits for a few seconds at most."""
        for batches in self._outputs.values():
            batches.close()


def observe(settings: RouterSettings, rng: random.Random) -> Observation | None:
    """What the settings ask for, or None where they ask for nothing.

    Raises:
        SettingsError: tracing is asked for, and what it needs is not installed.
    """
    listeners: list[Listener] = []
    outputs: dict[str, Batches[Any]] = {}
    log, tracing = settings.access_log, settings.tracing
    if log is not None:
        lines = outputs["access_log_lines"] = lines_to(log.path)
        listeners.append(AccessLog(log, rng=rng, put=lines.put))
    if tracing is not None:
        # OpenTelemetry is an extra, and of no use to those who trace nothing.
        try:
            from router.observe.exporter import Tracer, spans_to
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"router.tracing: {error.name} is not installed; pip install 'wattroute[tracing]'"
            ) from error
        spans = outputs["spans"] = spans_to(tracing)
        listeners.append(Tracer(spans.put))
    if not listeners:
        return None
    tells = log is not None and log.client_address
    return Observation(Observer(tuple(listeners), tracing=tracing, tells_client_address=tells, rng=rng), outputs)
