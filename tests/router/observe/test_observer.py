"""The observer makes records and hands them on; it is there only where something is configured."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from router.errors import SettingsError
from router.observe.observer import Observer, observe
from router.observe.served import Served
from router.settings import AccessLogSettings, RouterSettings, TracingSettings
from tests.fakes.records import CALLER, TRACING, Heard

TRACEPARENT = f"00-{CALLER.trace_id}-{CALLER.span_id}-01".encode()


def observer(*listeners: Heard, tracing: TracingSettings | None = None, tells: bool = False) -> Observer:
    return Observer(listeners, tracing=tracing, tells_client_address=tells, rng=random.Random(1))


def begin(by: Observer, target: bytes = b"/v1/models?key=secret", **fields: bytes) -> Served:
    return by.begin(
        (b"GET", target),
        {name.replace("_", "-").encode(): value for name, value in fields.items()},
        body_bytes=7,
        client_address="10.0.0.1",
        received_s=5.0,
        wall_s=1e9,
    )


def test_a_record_holds_neither_query_nor_address_nor_key() -> None:
    record = begin(observer(), authorization=b"Bearer sk-secret", x_request_id=b"r-1")
    assert (record.method, record.path, record.bytes_in, record.request_id) == ("GET", "/v1/models", 7, "r-1")
    assert record.client_address is None
    assert "secret" not in repr(record)


def test_an_address_is_told_where_that_is_wanted() -> None:
    assert begin(observer(tells=True)).client_address == "10.0.0.1"


def test_without_tracing_engines_are_told_nothing_new() -> None:
    by = observer()
    record = begin(by, traceparent=TRACEPARENT)
    assert record.context is None
    assert record.caller is not None
    assert by.engine_fields(record) == b""


def test_with_tracing_engines_see_the_routers_span_as_their_parent() -> None:
    by = observer(tracing=TRACING)
    record = begin(by, traceparent=TRACEPARENT, tracestate=b"v=1")
    assert record.caller is not None
    assert record.context is not None
    assert record.context.trace_id == record.caller.trace_id
    told = by.engine_fields(record).decode()
    assert f"-{record.context.span_id}-01\r\n" in told
    assert "tracestate: v=1\r\n" in told
    assert record.caller.span_id not in told


def test_every_listener_hears_of_the_end() -> None:
    one, two = Heard(), Heard()
    by = observer(one, two)
    record = begin(by)
    by.ended(record, 6.5)
    assert one.records == two.records == [record]
    assert record.ended_s == 6.5


def test_nothing_is_there_where_nothing_is_configured() -> None:
    assert observe(RouterSettings(), random.Random()) is None


def test_an_access_log_is_written_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    settings = RouterSettings(access_log=AccessLogSettings(path=path, client_address=True))
    observation = observe(settings, random.Random())
    assert observation is not None
    record = begin(observation.observer)
    observation.observer.ended(record, 6.0)
    observation.close()
    assert json.loads(path.read_text())["client"] == "10.0.0.1"
    assert observation.counters() == {"access_log_lines_written": 1, "access_log_lines_dropped": 0}


def test_tracing_without_its_extra_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "router.observe.exporter", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'wattroute\[tracing\]'"):
        observe(RouterSettings(tracing=TRACING), random.Random())
