"""Sends spans to an OpenTelemetry collector, from a thread of its own.

Imported only where tracing is configured: it needs the extra ``wattroute[tracing]``.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import Attributes

from router.observe.batches import Batches
from router.observe.served import Served
from router.observe.spans import Span, span_of
from router.observe.trace_context import TraceContext
from router.settings import TracingSettings
from router.version import VERSION

EVERY_S = 1.0
"""Time between two looks for spans to export."""
TIMEOUT_S = 5.0
"""Longest time an export may take, its repetitions included."""
PATH = "/v1/traces"
"""Where a collector takes traces, if the address names no path: https://opentelemetry.io/docs/specs/otlp."""


class Tracer:
    """Queues the requests that are recorded; what becomes of them happens in the thread.

    Args:
        put: takes a record, without waiting.
    """

    def __init__(self, put: Callable[[Served], None]) -> None:
        self._put = put

    def served(self, record: Served) -> None:
        """Note a request that has ended."""
        if record.context is not None and record.context.is_sampled:
            self._put(record)


class Collector:
    """Makes spans of records and exports them.

    Args:
        exporter: sends them.
        service_name: what this router is called in traces.
    """

    def __init__(self, exporter: SpanExporter, service_name: str) -> None:
        self._exporter = exporter
        self._ids = _GivenIds()
        self._ended = _Ended()
        resource = Resource.create(
            {
                "service.name": service_name,
                "service.version": VERSION,
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        )
        provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("wattroute.router", VERSION)

    def write(self, batch: Sequence[Served]) -> None:
        """Export the spans of some requests.

        Raises:
            OSError: the collector did not take them.
        """
        for record in batch:
            if record.context is not None:
                self._record(span_of(record, record.context))
            # Lets the event loop go on between two spans.
            time.sleep(0)
        if self._exporter.export(self._ended.take()) is not SpanExportResult.SUCCESS:
            raise OSError("the collector did not take the spans; see the messages of opentelemetry")

    def close(self) -> None:
        """End the connection."""
        self._exporter.shutdown()

    def _record(self, span: Span) -> None:
        self._ids.give(span.context)
        around = None if span.parent is None else trace.set_span_in_context(NonRecordingSpan(_context(span.parent)))
        recorded = self._tracer.start_span(
            span.name,
            # An empty context, lest the thread's own be taken for the caller's.
            context=around or trace.set_span_in_context(trace.INVALID_SPAN),
            kind=SpanKind.SERVER,
            attributes=_attributes(span.attributes),
            start_time=span.begin_ns,
        )
        for event in span.events:
            recorded.add_event(event.name, _attributes(event.attributes), event.at_ns)
        if span.error is not None:
            recorded.set_status(Status(StatusCode.ERROR, span.error))
        recorded.end(span.end_ns)


def _attributes(attributes: object) -> Attributes:
    return attributes  # type: ignore[return-value]  # one of the several types the library allows


def _context(place: TraceContext) -> SpanContext:
    return SpanContext(
        int(place.trace_id, 16),
        int(place.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(place.flags),
        trace_state=TraceState.from_header([place.state.decode("latin-1")]),
    )


class _GivenIds(IdGenerator):
    """Gives the ids that the engine was told, rather than new ones."""

    def __init__(self) -> None:
        self._trace_id = self._span_id = 0

    def give(self, context: TraceContext) -> None:
        self._trace_id, self._span_id = int(context.trace_id, 16), int(context.span_id, 16)

    def generate_trace_id(self) -> int:
        return self._trace_id

    def generate_span_id(self) -> int:
        return self._span_id


class _Ended(SpanProcessor):
    """Keeps ended spans until they are taken."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def take(self) -> list[ReadableSpan]:
        spans, self._spans = self._spans, []
        return spans


def endpoint_of(settings: TracingSettings) -> str:
    """Where spans are posted."""
    parts = urlsplit(settings.endpoint)
    return settings.endpoint if parts.path.strip("/") else parts._replace(path=PATH).geturl()


def spans_to(settings: TracingSettings) -> Batches[Served]:
    """Where records are put for a collector."""
    exporter = OTLPSpanExporter(endpoint=endpoint_of(settings), timeout=TIMEOUT_S)
    return Batches("spans", Collector(exporter, settings.service_name), every_s=EVERY_S)
