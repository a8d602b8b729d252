"""Sources of power, opened from their specifications or from a short text such as ``dcgm=http://10.0.0.7:9400/metrics``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import assert_never
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp

from controller.background import Works
from controller.clock import Clock
from controller.errors import ConfigError
from controller.signals.power.agent_stream import AgentSource
from controller.signals.power.csv_replay import CsvGpuSource, CsvMeter, ReplayTimes
from controller.signals.power.dcgm import DcgmNames, DcgmSource
from controller.signals.power.event_stream import StreamParts
from controller.signals.power.http_access import HttpAccess, HttpOptions
from controller.signals.power.modbus_meter import ModbusMap, open_modbus
from controller.signals.power.nvml_source import NvmlSource
from controller.signals.power.prometheus import Prometheus
from controller.signals.power.promql import GpuQueries, PromqlSource
from controller.signals.power.promql_meter import PromqlMeter
from controller.signals.power.reader import PowerSources
from controller.signals.power.redfish_meter import RedfishMeter, RedfishSpec
from controller.signals.power.source import GpuSource, MeterSource, NamedGpus, NamedMeter
from controller.signals.power.specs import (
    AgentSpec,
    CsvMeterSpec,
    CsvSpec,
    DcgmSpec,
    GpuSpec,
    MeterSpec,
    NvmlSpec,
    PowerSpecs,
    PromqlMeterSpec,
    PromqlSpec,
    ZeusdSpec,
    rung_of,
)
from controller.signals.power.zeusd import ZeusdSource
from router.transport.loopback import refuse_readable

FORMS = (
    "nvml",
    "agent=http://HOST:9410",
    "zeusd=http://HOST:4938?gpu_uuids=GPU-A,GPU-B",
    "dcgm=http://HOST:9400/metrics",
    "promql=http://HOST:9090",
    "csv=FILE",
)
"""What the short text may look like."""
_HTTP_KEYS = ("token_file", "user", "ca_file", "certificate_file", "key_file")


@contextlib.asynccontextmanager
async def open_source(text: str, clock: Clock, works: Works, *, timeout_s: float = 1.5) -> AsyncIterator[GpuSource]:
    """Open the source that a short text names; it is closed at the end.

    Options follow the address as in a URL: ``dcgm=https://HOST:9400/metrics?token_file=/run/token``.

    Raises:
        ConfigError: the text names no source, or a file of the source cannot be used.
    """
    spec = parse_source(text, timeout_s=timeout_s)
    async with (
        aiohttp.ClientSession() as session,
        open_spec(spec, session, clock, works) as source,
    ):
        yield source


@contextlib.asynccontextmanager
async def open_spec(
    spec: GpuSpec, session: aiohttp.ClientSession, clock: Clock, works: Works
) -> AsyncIterator[GpuSource]:
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
        case NvmlSpec():
            with _nvml(spec, clock) as nvml:
                yield nvml
        case AgentSpec():
            agents = AgentSource(HttpAccess(session, spec.http), spec.urls, StreamParts(clock, Random(), works))
            async with agents.open() as source:
                yield source
        case ZeusdSpec():
            async with _zeusd(spec, session, StreamParts(clock, Random(), works)) as source:
                yield source
        case _:
            assert_never(spec)


@contextlib.asynccontextmanager
async def open_meter(
    spec: MeterSpec, session: aiohttp.ClientSession, clock: Clock, works: Works
) -> AsyncIterator[MeterSource]:
    """Open a meter; it is closed at the end.

    Raises:
        ConfigError: a file of the meter cannot be used, or a package is not installed.
    """
    match spec:
        case PromqlMeterSpec():
            yield PromqlMeter(Prometheus(HttpAccess(session, spec.http), spec.url), spec.url, spec.queries)
        case ModbusMap():
            async with open_modbus(spec, clock) as meter:
                yield meter
        case RedfishSpec():
            async with RedfishMeter(HttpAccess(session, spec.http), spec, clock).open(works) as machines:
                yield machines
        case CsvMeterSpec():
            yield CsvMeter(spec.path, spec.times, clock.wall_s())
        case _:
            assert_never(spec)


@contextlib.asynccontextmanager
async def open_power(
    specs: PowerSpecs, session: aiohttp.ClientSession, clock: Clock, works: Works
) -> AsyncIterator[PowerSources]:
    """Open all sources of a site; they are closed at the end.

    Raises:
        ConfigError: one of them cannot be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        gpus = [
            NamedGpus(name, rung_of(spec), await stack.enter_async_context(open_spec(spec, session, clock, works)))
            for name, spec in specs.gpus
        ]
        meters = [
            NamedMeter(name, await stack.enter_async_context(open_meter(spec, session, clock, works)), spec.scope)
            for name, spec in specs.meters
        ]
        yield PowerSources(tuple(gpus), tuple(meters), specs.rules)


@contextlib.contextmanager
def _nvml(spec: NvmlSpec, clock: Clock) -> Iterator[NvmlSource]:
    source = NvmlSource(clock, interval_s=spec.interval_s)
    source.start()
    try:
        yield source
    finally:
        source.close()


@contextlib.asynccontextmanager
async def _zeusd(spec: ZeusdSpec, session: aiohttp.ClientSession, parts: StreamParts) -> AsyncIterator[ZeusdSource]:
    """A zeusd on TCP by the common session, one on a socket by its own."""
    async with contextlib.AsyncExitStack() as stack:
        url = spec.url
        if url.startswith("unix:"):
            connector = aiohttp.UnixConnector(path=url.removeprefix("unix:"))
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            url = "http://localhost"
        zeusd = ZeusdSource(HttpAccess(session, spec.http), url, spec.gpu_uuids, parts)
        yield await stack.enter_async_context(zeusd.open())


def parse_source(text: str, *, timeout_s: float = 1.5) -> GpuSpec:
    """The specification that a short text stands for.

    Raises:
        ConfigError: what is wrong with it, and the forms there are.
    """
    kind, _, address = text.partition("=")
    if text == "nvml":
        return NvmlSpec()
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
    return DcgmSpec((url,), names, _http(text, url, options, timeout_s))


def _promql(text: str, address: str, timeout_s: float) -> GpuSpec:
    url, options = _url(text, address, (*_HTTP_KEYS, "power", "energy", "time", "label"))
    queries = GpuQueries()
    if "label" in options:
        queries = replace(queries, uuid_labels=(options["label"],))
    if "power" in options or "energy" in options:
        queries = replace(queries, power=options.get("power"), energy=options.get("energy"), time=options.get("time"))
    return PromqlSpec(url, queries, _http(text, url, options, timeout_s))


def _csv(_: str, address: str, __: float) -> GpuSpec:
    return CsvSpec(Path(address), ReplayTimes())


def _agent(text: str, address: str, timeout_s: float) -> GpuSpec:
    url, options = _url(text, address, _HTTP_KEYS)
    return AgentSpec((url,), _http(text, url, options, timeout_s))


def _zeusd_spec(text: str, address: str, timeout_s: float) -> GpuSpec:
    keys = (*_HTTP_KEYS, "gpu_uuids")
    if address.startswith("unix:"):
        path, _, query = address.partition("?")
        url, options = path, {key: value for key, value in parse_qsl(query) if key in keys}
    else:
        url, options = _url(text, address, keys)
    uuids = tuple(uuid for uuid in options.get("gpu_uuids", "").split(",") if uuid)
    if not uuids:
        raise ConfigError(
            f"power source {text!r}: zeusd knows GPUs by index alone; add ?gpu_uuids=GPU-A,GPU-B, in the order of "
            "nvidia-smi -L"
        )
    return ZeusdSpec(url, uuids, _http(text, url, options, timeout_s))


_BUILDERS: Mapping[str, Callable[[str, str, float], GpuSpec]] = {
    "dcgm": _dcgm,
    "promql": _promql,
    "csv": _csv,
    "agent": _agent,
    "zeusd": _zeusd_spec,
}


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


def _http(text: str, url: str, options: Mapping[str, str], timeout_s: float) -> HttpOptions:
    if "token_file" in options:
        try:
            refuse_readable((url,), "token_file")
        except ValueError as error:
            raise ConfigError(f"power source {text!r}: {error}") from error
    files = {key: Path(options[key]) for key in _HTTP_KEYS if key != "user" and key in options}
    return HttpOptions(
        token_file=files.get("token_file"),
        user=options.get("user"),
        ca_file=files.get("ca_file"),
        certificate_file=files.get("certificate_file"),
        key_file=files.get("key_file"),
        timeout_s=timeout_s,
    )
