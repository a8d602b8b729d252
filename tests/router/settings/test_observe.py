"""Access log and tracing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from router.settings import AccessLogSettings, RouterSettings, TracingSettings


def test_neither_is_on_by_itself() -> None:
    assert (RouterSettings().access_log, RouterSettings().tracing) == (None, None)


def test_an_access_log_needs_nothing() -> None:
    settings = RouterSettings.model_validate({"access_log": {}}).access_log
    assert settings == AccessLogSettings(path=None, sample_frac=1.0, client_address=False)


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("collector:4318", "write http://HOST:4318"),
        ("grpc://c:4317", "write http://HOST:4318"),
        ("http://:4318", "write http://HOST:4318"),
        ("http://c:port", "no usable port"),
        ("http://user:secret@c:4318", "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_a_wrong_collector_is_explained(endpoint: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TracingSettings(endpoint=endpoint)
    (error,) = caught.value.errors()
    assert said in error["msg"]
    assert "secret" not in error["msg"]


@pytest.mark.parametrize("frac", [-0.1, 1.1])
def test_a_share_is_a_share(frac: float) -> None:
    with pytest.raises(ValidationError, match="sample_frac"):
        AccessLogSettings(sample_frac=frac)
