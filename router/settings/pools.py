"""Pools and request classes: what is served, and to whom it is promised."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, model_validator

from router.contract import Precision
from router.settings.fields import Group, Name, Seconds
from router.settings.instances import Discovery, Instance
from router.settings.tls import EngineTlsSettings
from router.transport.addresses import parse_engine

FOUND = "found"
"""Context of a validation of settings that hold what discovery has found, beside where it looks."""


class PoolSettings(Group):
    """Instances that serve the model at one precision on one kind of machine."""

    name: Name
    """Name of the pool, used in tables, metrics and answers' headers."""
    precision: Precision
    """Numeric precision of the pool's weights."""
    instances: Annotated[tuple[Instance, ...], Field(max_length=512, json_schema_extra={"minItems": 1})] = ()
    """The engines, each by its address - http://HOST:PORT, https://HOST:PORT or unix:/PATH - or by name and url. The
    n-th is known as POOL-n, counted from zero, unless it has a name."""
    discovery: Discovery | None = None
    """Where the engines are found, instead of a list."""
    tls: EngineTlsSettings | None = None
    """How the instances at https:// are verified, and who the router is to them. Absent: by the system's
    authorities, and without a certificate of its own."""
    engine_key_file: Path | None = None
    """File with the key the engines want (vLLM's --api-key), sent to them in place of the clients' own. It is read
    again when the configuration is."""
    engine_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] | None = None
    """Name of the environment variable that holds that key, instead of a file."""
    static_weight: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 1.0
    """Share of the traffic while no valid allocation is at hand, relative to the other pools."""
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] = 1024
    """Most requests in flight on one instance where the allocation says nothing; vLLM's default max_num_seqs is 1024
    on large GPUs."""

    @model_validator(mode="after")
    def _has_engines(self, info: ValidationInfo) -> PoolSettings:
        if self.discovery is None and not self.instances:
            raise ValueError(f"pool {self.name!r} has no engines; list instances, or write discovery")
        if self.discovery is not None and self.instances and info.context is not FOUND:
            raise ValueError(f"pool {self.name!r} has instances and discovery; remove one of them")
        return self

    @model_validator(mode="after")
    def _tls_is_used(self) -> PoolSettings:
        if self.tls is not None and not self.has_tls:
            raise ValueError(f"pool {self.name!r} has tls, but no instance at https://; write https:// or remove tls")
        return self

    @model_validator(mode="after")
    def _one_engine_key(self) -> PoolSettings:
        if self.engine_key_file is not None and self.engine_key_env is not None:
            raise ValueError(f"pool {self.name!r} has engine_key_file and engine_key_env; remove one of them")
        return self

    @property
    def has_tls(self) -> bool:
        """Whether an engine speaks TLS; of a pool with discovery whether those that are found will."""
        if self.discovery is not None:
            return self.discovery.scheme == "https"
        return any(parse_engine(each.url).is_tls for each in self.instances)

    def names(self) -> tuple[str, ...]:
        """What each instance is called: its name, or ``POOL-n`` by its place."""
        return tuple(each.name or f"{self.name}-{number}" for number, each in enumerate(self.instances))


MOST_PRIORITY = 100


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
    max_queued_bytes: Annotated[int, Field(ge=0, le=1 << 40)] = 256 << 20
    """Most bytes that the bodies of these waiting requests may have together; further ones are refused with 429."""
    max_wait_s: Seconds = 30.0
    """Longest such wait; then 503 with Retry-After."""
    min_retry_after_s: Seconds = 1.0
    """Least Retry-After of both refusals, and what is told while it is not known how fast the queue goes on."""
    max_retry_after_s: Seconds = 60.0
    """Longest Retry-After by how fast the queue goes on. While a grid event's limit holds, its end takes the place of
    this bound, up to 600 s."""
    priority: Annotated[int, Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY)] = 0
    """Where requests wait, those of classes with a higher number go before those with a lower one. A class below 0 may
    wait: where a grid event's limit leaves too little for all, it is held first."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> ClassSettings:
        if self.min_retry_after_s > self.max_retry_after_s:
            raise ValueError(
                f"class {self.name!r}: min_retry_after_s {self.min_retry_after_s:g} is above max_retry_after_s "
                f"{self.max_retry_after_s:g}; lower the one or raise the other"
            )
        return self
