"""One source of GPU power, opened from its specification or from a short text such as ``dcgm=http://10.0.0.7:9400/metrics``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import assert_never
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp

from controller.clock import Clock
from controller.errors import ConfigError
from controller.signals.power.csv_replay import CsvGpuSource, ReplayTimes
from controller.signals.power.dcgm import DcgmNames, DcgmSource
from controller.signals.power.http_access import HttpAccess, HttpOptions
from controller.signals.power.prometheus import Prometheus
from controller.signals.power.promql import GpuQueries, PromqlSource
from controller.signals.power.source import GpuSource
from controller.signals.power.specs import CsvSpec, DcgmSpec, GpuSpec, PromqlSpec

FORMS = (
    "dcgm=http://HOST:9400/metrics",
    "promql=http://HOST:9090",
    "csv=FILE",
)
"""What the short text may look like."""
_HTTP_KEYS = ("token_file", "user", "ca_file", "certificate_file", "key_file")


@contextlib.asynccontextmanager
async def open_source(text: str, clock: Clock, *, timeout_s: float = 1.5) -> AsyncIterator[GpuSource]:
    """Open the source that a short text names; it is closed at the end.

    Options follow the address as in a URL: ``dcgm=https://HOST:9400/metrics?token_file=/run/token``.

    Raises:
        ConfigError: the text names no source, or a file of the source cannot be used.
    """
    spec = parse_source(text, timeout_s=timeout_s)
    async with (
        aiohttp.ClientSession() as session,
        open_spec(spec, session, clock) as source,
    ):
        yield source


@contextlib.asynccontextmanager
async def open_spec(spec: GpuSpec, session: aiohttp.ClientSession, clock: Clock) -> AsyncIterator[GpuSource]:
    """Open the source of a specification; it is closed at the end.

    Raises:
        ConfigError: a file of the source cannot be used.
    """
    match spec:
        case DcgmSpec():
            yield DcgmSource(HttpAccess(session, spec.http), spec.urls, spec.names)
        case PromqlSpec():
            yield PromqlSource(Prometheus(HttpAccess(session, spec.http), spec.url), spec.url, spec.queries)
        case CsvSpec():
            yield CsvGpuSource(spec.path, spec.times, clock.wall_s())
        case _:
            assert_never(spec)


def parse_source(text: str, *, timeout_s: float = 1.5) -> GpuSpec:
    """The specification that a short text stands for.

    Raises:
        ConfigError: what is wrong with it, and the forms there are.
    """
    kind, _, address = text.partition("=")
    build = _BUILDERS.get(kind)
    if build is None or not address:
        raise ConfigError(f"power source {text!r}: write one of {', '.join(FORMS)}")
    return build(text, address, timeout_s)


def _dcgm(text: str, address: str, timeout_s: float) -> GpuSpec:
    url, options = _url(text, address, (*_HTTP_KEYS, "power", "energy", "label"))
    names = DcgmNames()
    if "label" in options:
        names = replace(names, uuid_labels=(options["label"],))
    names = replace(names, power=options.get("power", names.power), energy=options.get("energy", names.energy))
    return DcgmSpec((url,), names, _http(options, timeout_s))


def _promql(text: str, address: str, timeout_s: float) -> GpuSpec:
    url, options = _url(text, address, (*_HTTP_KEYS, "power", "energy", "time", "label"))
    queries = GpuQueries()
    if "label" in options:
        queries = replace(queries, uuid_labels=(options["label"],))
    if "power" in options or "energy" in options:
        queries = replace(queries, power=options.get("power"), energy=options.get("energy"), time=options.get("time"))
    return PromqlSpec(url, queries, _http(options, timeout_s))


def _csv(_: str, address: str, __: float) -> GpuSpec:
    return CsvSpec(Path(address), ReplayTimes())


_BUILDERS: Mapping[str, Callable[[str, str, float], GpuSpec]] = {"dcgm": _dcgm, "promql": _promql, "csv": _csv}


def _url(text: str, address: str, keys: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The address without our options, and those; what else stands behind the question mark stays with the address."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"power source {text!r}: {address!r} is no address; write http://HOST:PORT")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("power source: no password belongs into an address; write user and token_file as options")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    own = {key: value for key, value in pairs if key in keys}
    rest = urlencode([(key, value) for key, value in pairs if key not in keys])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, rest, "")), own


def _http(options: Mapping[str, str], timeout_s: float) -> HttpOptions:
    files = {key: Path(options[key]) for key in _HTTP_KEYS if key != "user" and key in options}
    return HttpOptions(**files, user=options.get("user"), timeout_s=timeout_s)
