"""Tenants: who may use the router, as which class, and how much of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from router.contract import Precision
from router.settings.fields import Group, Name
from router.tenants.counts import RESERVED_NAMES
from router.tenants.keys import read_digest

MAX_TENANTS = 10_000


def _check_digest(value: str) -> str:
    read_digest(value)
    return value.lower()


def _check_tenant_name(value: str) -> str:
    if value in RESERVED_NAMES:
        raise ValueError(f"{value!r} stands for requests of no or of many tenants in metrics; choose another name")
    return value


class KeySettings(Group):
    """One API key of a tenant."""

    digest: Annotated[str, AfterValidator(_check_digest)]
    """SHA-256 of the key, as `wattroute-router hash-key` prints it: sha256: and 64 hex digits. Never the key."""
    not_after: AwareDatetime | None = None
    """When the key ends, with its time zone, e.g. 2027-01-31T00:00:00Z."""


def _spell_out(value: object) -> object:
    """A digest alone is a key without an end."""
    return {"digest": value} if isinstance(value, str) else value


TenantKey = Annotated[KeySettings, BeforeValidator(_spell_out, json_schema_input_type=KeySettings | str)]


class TenantSettings(Group):
    """Who shares one allowance."""

    name: Annotated[Name, AfterValidator(_check_tenant_name)]
    """Name of the tenant, used in metrics."""
    keys: Annotated[tuple[TenantKey, ...], Field(min_length=1, max_length=16)]
    """Keys that are valid now, as digests; more than one while they are being replaced."""
    default_class: Name | None = None
    """Class of its requests that name none; absent means the router's default."""
    classes: tuple[Name, ...] = ()
    """Classes it may name besides, by header or service tier; empty allows all."""
    pin_allowed: bool = True
    """Whether its requests may pin a precision where their class allows it."""
    pin_precisions: tuple[Precision, ...] = ()
    """Precisions it may pin; empty allows all that the class may have."""
    requests_per_minute: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = None
    """Requests admitted in the long run; absent is no limit."""
    burst: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Requests admitted at once after a pause; absent means one minute's."""
    tokens_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = None
    """Input and output tokens in the long run, and at once after a pause; absent is no limit."""
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests waiting or served at once; absent is no limit."""

    @model_validator(mode="after")
    def _burst_has_a_rate(self) -> TenantSettings:
        if self.burst is not None and self.requests_per_minute is None:
            raise ValueError("burst is set without requests_per_minute; set both, or max_in_flight")
        return self


class TenantsSettings(Group):
    """Who may use the router. Without this section everyone may who can reach the port."""

    tenants_file: Path | None = None
    """File with further tenants: a YAML list, or one JSON object a line. It is read again when it changes."""
    max_tenant_labels: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Tenants that metrics tell apart, the first of the list and then of the file; the rest are counted as other."""
    list: Annotated[tuple[TenantSettings, ...], Field(max_length=MAX_TENANTS)] = ()
    """Tenants written here; a few only, a file of their own is for many."""

    @model_validator(mode="after")
    def _names_any(self) -> TenantsSettings:
        if self.tenants_file is None and not self.list:
            raise ValueError("no tenant is named, so that nobody could use the router; write list or tenants_file")
        return self
