"""The data plane's half of the configuration file, validated once.

The same file serves router and controller. The router checks its own sections and leaves ``CONTROLLER_SECTIONS`` to
the controller, so it needs none of the controller's dependencies. Durations are seconds, sizes bytes, shares 0..1.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from router.contract import Precision

CONTROLLER_SECTIONS = ("site", "plan", "signals", "controller", "emulator")
"""Top-level sections that only the controller reads."""

MAX_NAME = 63
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def _check_name(value: str) -> str:
    if len(value) > MAX_NAME or not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name: use 1 to {MAX_NAME} lower-case letters, digits, '.', '_' and '-', "
            "beginning and ending with a letter or digit"
        )
    return value


def _check_engine_url(value: str) -> str:
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{value!r} has no usable port ({error}); write http://HOST:PORT") from error
    if parts.scheme != "http" or not parts.hostname or port is None:
        raise ValueError(f"{value!r} is not an engine's address; write http://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{value!r} has more than host and port; write http://HOST:PORT")
    return value.rstrip("/")


def _check_table_url(value: str) -> str:
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise ValueError(f"{value!r} is not the address of a table; write http://HOST:PORT/v1/allocation")
    return value


def _check_redis_url(value: str) -> str:
    if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        # The value is not shown: it may hold a password.
        raise ValueError("this is not the address of a Redis; write redis://HOST:PORT/DB")
    return value


Name = Annotated[str, AfterValidator(_check_name)]
EngineUrl = Annotated[str, AfterValidator(_check_engine_url)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Group(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PoolSettings(Group):
    """Instances that serve the model at one precision on one kind of machine."""

    name: Name
    """Name of the pool, used in tables, metrics and answers' headers."""
    precision: Precision
    """Numeric precision of the pool's weights."""
    instances: Annotated[tuple[EngineUrl, ...], Field(min_length=1, max_length=512)]
    """Addresses of the engines. The n-th is known as NAME-n, counted from zero."""
    static_weight: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 1.0
    """Share of the traffic while no valid allocation is at hand, relative to the other pools."""
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] = 1024
    """Most requests in flight on one instance where the allocation says nothing; vLLM's default max_num_seqs is 1024
    on large GPUs."""


class ClassSettings(Group):
    """A class of requests that share a promise."""

    name: Name
    """Name of the class, as sent in the header x-wattroute-class."""
    precisions: tuple[Precision, ...] = ()
    """Precisions the class may be served at; empty allows all."""
    service_tiers: tuple[Annotated[str, Field(min_length=1, max_length=32)], ...] = ()
    """Values of OpenAI's service_tier that select this class."""
    pin_allowed: bool = True
    """Whether a request may pin its precision with x-wattroute-precision or MODEL@PRECISION."""
    expected_output_tokens: Annotated[float, Field(gt=0, le=1e6)] = 256.0
    """Output tokens expected of a request before any was seen; corrected from usage as answers end."""
    max_queued: Annotated[int, Field(ge=0, le=100_000)] = 1024
    """Most requests of this class that wait in one worker for a free in-flight slot; further ones are refused with
    429."""
    max_wait_s: Seconds = 30.0
    """Longest such wait; then 503 with Retry-After."""


class TimeoutSettings(Group):
    """Deadlines of the data path."""

    connect_s: Seconds = 2.0
    """TCP connect to an engine. An engine on the same network answers in milliseconds."""
    first_byte_s: Seconds = 600.0
    """From the request sent to the first byte of the answer; a non-streaming answer arrives only when complete."""
    inter_chunk_s: Seconds = 60.0
    """Longest silence within an answer. vLLM can go silent without closing when it is stopped mid-stream."""
    head_s: Seconds = 15.0
    """From a connection's or request's first byte to the end of its head; then 408."""
    body_s: Seconds = 120.0
    """Longest silence while a client sends its body; then 408."""
    keep_alive_s: Seconds = 75.0
    """Idle time after which a client's connection is closed."""
    engine_keep_alive_s: Seconds = 4.0
    """Idle time after which a pooled engine connection is not reused; uvicorn closes its own after 5 s."""
    drain_s: Seconds = 120.0
    """On shutdown, how long requests in flight may go on."""


class LimitSettings(Group):
    """Bounds on what a client may make the router hold."""

    max_head_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 65_536
    """Largest request head; then 431."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 64 << 20
    """Largest request body; then 413. Long prompts of a million tokens take about 5 MB."""
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Client connections of one worker; further ones are closed at once."""
    write_buffer_bytes: Annotated[int, Field(ge=4096, le=1 << 26)] = 65_536
    """Bytes held for a peer that reads slowly before the other side is paused."""


class HealthSettings(Group):
    """When an instance counts as usable."""

    probe_interval_s: Seconds = 2.0
    """Time between two probes of an engine's /health and /metrics."""
    probe_timeout_s: Seconds = 1.5
    """Longest wait for such a probe."""
    suspect_after: Annotated[int, Field(ge=1, le=100)] = 1
    """Failures in a row after which an instance is chosen only when no other is up."""
    eject_after: Annotated[int, Field(ge=1, le=100)] = 3
    """Failures in a row after which an instance is not chosen."""
    recover_after: Annotated[int, Field(ge=1, le=100)] = 2
    """Successful probes in a row after which an ejected instance is up again."""
    metrics_stale_s: Seconds = 10.0
    """Age at which an engine's own load figures are disregarded."""


class RetrySettings(Group):
    """How often a request may be tried elsewhere, always before its first answer byte."""

    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Attempts a request may have in all."""
    budget_frac: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Retries allowed as a share of recent requests, so that retrying never doubles an overload."""
    budget_min_per_s: Annotated[float, Field(ge=0, le=1000)] = 5.0
    """Retries always allowed per second, so that a quiet router can still fail over."""


class RouterSettings(Group):
    """The router process."""

    host: str = "127.0.0.1"
    """Address of the public port. Use 0.0.0.0 in a container."""
    port: Port = 8080
    """The public, OpenAI-compatible port."""
    admin_host: str = "127.0.0.1"
    """Address of the admin port."""
    admin_port: Port = 8081
    """Metrics, health, state and drain; never the public port."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that share the public port by SO_REUSEPORT."""
    timeouts: TimeoutSettings = TimeoutSettings()
    limits: LimitSettings = LimitSettings()
    health: HealthSettings = HealthSettings()
    retry: RetrySettings = RetrySettings()


class TableSettings(Group):
    """Where the allocation table comes from. With neither set the static weights are used."""

    url: Annotated[str, AfterValidator(_check_table_url)] | None = None
    """The controller's table, e.g. http://127.0.0.1:8090/v1/allocation."""
    redis_url: Annotated[str, AfterValidator(_check_redis_url)] | None = None
    """Redis that holds the table, e.g. redis://127.0.0.1:6379/0. Write the password into REDIS_PASSWORD, not here."""
    redis_key: str = "wattroute:allocation"
    """Key of the table in Redis; announcements come on the channel of the same name."""
    poll_interval_s: Seconds = 1.0
    """Time between two looks at the source."""
    max_ttl_s: Seconds = 3600.0
    """Tables that claim to be valid for longer than this from now are cut to it."""

    @model_validator(mode="after")
    def _one_source(self) -> TableSettings:
        if self.url and self.redis_url:
            raise ValueError("url and redis_url are both set; the table comes from one source, remove one of them")
        return self


class RouterFile(Group):
    """The sections of the configuration file that the router reads."""

    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Name of the model, as clients send it. Absent: any model name is passed on."""
    pools: Annotated[tuple[PoolSettings, ...], Field(min_length=1, max_length=64)]
    """The pools that serve the model."""
    classes: Annotated[tuple[ClassSettings, ...], Field(min_length=1, max_length=64)] = (
        ClassSettings(name="standard"),
    )
    """Request classes."""
    default_class: Name | None = None
    """Class of a request that names none; absent means the first one."""
    router: RouterSettings = RouterSettings()
    table: TableSettings = TableSettings()

    @model_validator(mode="after")
    def _consistent(self) -> RouterFile:
        _refuse_twins("pools", [pool.name for pool in self.pools])
        _refuse_twins("classes", [cls.name for cls in self.classes])
        _refuse_twins("instances", [url for pool in self.pools for url in pool.instances])
        _refuse_twins("service_tiers", [tier for cls in self.classes for tier in cls.service_tiers])
        if self.default_class is not None and self.default_class not in {cls.name for cls in self.classes}:
            raise ValueError(f"default_class {self.default_class!r} is not one of the classes")
        if not any(pool.static_weight > 0 for pool in self.pools):
            raise ValueError("every pool has static_weight 0: nothing could be served without an allocation")
        offered = {pool.precision for pool in self.pools}
        for cls in self.classes:
            if cls.precisions and not offered & set(cls.precisions):
                raise ValueError(
                    f"class {cls.name!r} allows {[*cls.precisions]}, no pool offers one of them; "
                    "add a pool or widen the class"
                )
        return self


def _refuse_twins(what: str, names: list[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"{what}: {', '.join(map(repr, twins))} appears more than once")
