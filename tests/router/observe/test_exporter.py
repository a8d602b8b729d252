"""Spans reach a collector as OTLP, and a collector that is away costs nothing but its spans."""

from __future__ import annotations

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from router.observe.exporter import Tracer, endpoint_of, spans_to
from router.observe.served import Served
from router.observe.trace_context import TraceContext
from router.settings import TracingSettings
from router.version import VERSION
from tests.fakes.collector import attributes, collecting
from tests.fakes.records import ARRIVED_AT_S, CALLER, ROUTER, record


def settings(url: str) -> TracingSettings:
    return TracingSettings(endpoint=url, service_name="front-door")


def test_a_span_arrives_as_it_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret%201")
    with collecting() as collector:
        out = spans_to(settings(collector.url))
        out.put(record())
        out.close()
    assert (out.written, out.dropped) == (1, 0)
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert collector.headers[0]["x-key"] == "secret 1"
    resource = collector.requests[0].resource_spans[0]
    assert attributes(resource.resource)["service.name"] == "front-door"
    assert attributes(resource.resource)["service.version"] == VERSION
    assert resource.scope_spans[0].scope.name == "wattroute.router"
    (span,) = collector.spans()
    assert span.trace_id.hex() == ROUTER.trace_id
    assert span.span_id.hex() == ROUTER.span_id
    assert span.parent_span_id.hex() == CALLER.span_id
    assert span.trace_state == "vendor=1"
    assert (span.name, span.kind) == ("chat qwen", Span.SPAN_KIND_SERVER)
    assert span.start_time_unix_nano == round(ARRIVED_AT_S * 1e9)
    assert span.end_time_unix_nano > span.start_time_unix_nano
    assert attributes(span)["gen_ai.usage.output_tokens"] == 50
    assert attributes(span)["wattroute.degraded"] is True
    assert [event.name for event in span.events] == ["attempt", "attempt", "first_token"]
    assert attributes(span.events[0])["wattroute.outcome"] == "reset"
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_a_failure_and_the_first_span_of_a_trace() -> None:
    context = TraceContext("a" * 32, "b" * 16, 1)
    with collecting() as collector:
        out = spans_to(settings(collector.url))
        out.put(record(caller=None, context=context, status=502, outcome="refused", reason="engine_error"))
        out.put(record())
        out.close()
    first, second = collector.spans()
    assert (first.trace_id.hex(), first.span_id.hex(), first.parent_span_id) == ("a" * 32, "b" * 16, b"")
    assert (first.status.code, first.status.message) == (Status.STATUS_CODE_ERROR, "engine_error")
    assert second.parent_span_id.hex() == CALLER.span_id


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_collector_that_does_not_want_them_costs_the_spans() -> None:
    with collecting() as collector:
        collector.status = 400
        out = spans_to(settings(collector.url))
        out.put(record())
        out.close()
    assert (out.written, out.dropped) == (0, 1)


def test_only_what_is_recorded_is_queued() -> None:
    queued: list[Served] = []
    tracer = Tracer(queued.append)
    tracer.served(record())
    tracer.served(record(context=TraceContext("a" * 32, "b" * 16, 0)))
    tracer.served(record(context=None))
    assert len(queued) == 1


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("https://c/", "https://c/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
    ],
)
def test_the_usual_path_is_added_where_none_is_given(url: str, endpoint: str) -> None:
    assert endpoint_of(settings(url)) == endpoint
