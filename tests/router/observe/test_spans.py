"""Spans say what the conventions ask for, and no more than is known."""

from __future__ import annotations

import pytest

from router.observe.spans import span_of
from tests.fakes.records import ARRIVED_AT_S, CALLER, ROUTER, attempt, record

BEGIN_NS = round(ARRIVED_AT_S * 1e9)


def test_a_stream_that_ended_well() -> None:
    span = span_of(record(), ROUTER)
    assert (span.name, span.context, span.parent, span.error) == ("chat qwen", ROUTER, CALLER, None)
    assert (span.begin_ns, span.end_ns) == (BEGIN_NS, pytest.approx(BEGIN_NS + 1_500_000_000, abs=1000))
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "qwen",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 50,
        "http.request.method": "POST",
        "http.request.body.size": 321,
        "http.response.body.size": 4567,
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "server.address": "10.0.0.7",
        "server.port": 8000,
        "wattroute.class": "standard",
        "wattroute.tenant": "team-a",
        "wattroute.pool": "fp8",
        "wattroute.instance": "fp8-0",
        "wattroute.precision": "fp8",
        "wattroute.degraded": True,
        "wattroute.sequence": 12,
        "wattroute.attempts": 2,
        "wattroute.overhead_s": pytest.approx(0.002),
    }


def test_attempts_and_the_first_token_are_events_in_their_time() -> None:
    first, second, token = span_of(record(), ROUTER).events
    assert (first.name, first.attributes["wattroute.instance"], first.attributes["wattroute.outcome"]) == (
        *("attempt", "fp8-1", "reset"),
    )
    assert first.attributes["wattroute.duration_s"] == pytest.approx(0.5)
    assert second.at_ns - first.at_ns == pytest.approx(500_000, abs=1000)
    assert (token.name, token.at_ns - BEGIN_NS) == ("first_token", pytest.approx(125_000_000, abs=1000))


def test_a_request_that_no_engine_saw() -> None:
    refused = record(
        status=503, outcome="refused", reason="no_instance", attempts=[], sent_s=None, ttft_s=None, caller=None
    )
    span = span_of(refused, ROUTER)
    assert (span.parent, span.error, span.events) == (None, "no_instance", ())
    assert span.attributes["error.type"] == "no_instance"
    assert "server.address" not in span.attributes
    assert "wattroute.overhead_s" not in span.attributes


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ({"status": 400, "outcome": "client_error"}, None),
        ({"status": 401, "outcome": "refused", "reason": "bad_key"}, None),
        ({"status": 200, "outcome": "client_gone"}, None),
        ({"status": 200, "outcome": "timed_out"}, "timed_out"),
        ({"status": 502, "outcome": "refused", "reason": "engine_error"}, "engine_error"),
    ],
)
def test_the_clients_fault_is_no_error_of_the_span(over: dict, error: str | None) -> None:
    span = span_of(record(**over), ROUTER)
    assert span.error == error
    assert span.attributes["error.type"] == over.get("reason", over["outcome"])


def test_other_paths_are_named_by_their_method_alone() -> None:
    assert span_of(record(path="/tokenize", model=None), ROUTER).name == "POST"
    assert span_of(record(path="/v1/embeddings", model=None), ROUTER).name == "embeddings"


def test_what_a_client_writes_is_cut_short() -> None:
    span = span_of(record(model="m" * 9000, path="/" + "p" * 9000), ROUTER)
    assert all(len(value) <= 256 for value in span.attributes.values() if isinstance(value, str))
    assert len(span.name) < 300


def test_an_engine_at_a_socket_has_a_path_for_an_address() -> None:
    unix = attempt()
    unix.address = "unix:/run/vllm.sock"
    span = span_of(record(attempts=[unix]), ROUTER)
    assert span.attributes["server.address"] == "/run/vllm.sock"
    assert "server.port" not in span.attributes
