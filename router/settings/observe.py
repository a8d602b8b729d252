"""What the router tells of single requests: its access log and its traces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from router.settings.fields import Group


def _check_endpoint(value: str) -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        # Its cause may show a part of a password.
        raise ValueError(f"{value!r} has no usable port; write http://HOST:4318") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value!r} is not the address of a collector; write http://HOST:4318")
    if parts.username or parts.password:
        raise ValueError(
            "the collector's address holds credentials; write them into OTEL_EXPORTER_OTLP_HEADERS instead"
        )
    return value


class AccessLogSettings(Group):
    """One JSON object a line for each request; never a prompt, an answer or a key."""

    path: Path | None = None
    """File the lines are appended to; absent means standard error. A file that is moved away is begun anew."""
    sample_frac: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the requests that are logged. Those that fail always are."""
    client_address: bool = False
    """Whether lines and spans tell the client's network address."""


class TracingSettings(Group):
    """Spans sent to an OpenTelemetry collector; one for each request that is recorded."""

    endpoint: Annotated[str, AfterValidator(_check_endpoint)]
    """The collector's OTLP/HTTP address, e.g. http://127.0.0.1:4318; /v1/traces is added to one without a path. Further
    header fields, such as a key, are taken from the environment variable OTEL_EXPORTER_OTLP_HEADERS; to another machine
    they go over https:// alone."""
    sample_frac: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the requests without a caller's trace that are recorded; others are recorded where the caller's are."""
    service_name: Annotated[str, Field(min_length=1, max_length=128)] = "wattroute-router"
    """What the router is called in traces."""
