"""The router process: ports, deadlines, bounds, health and retries."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from router.settings.canary import SampleSettings
from router.settings.fields import Group, Host, Mode, Port, Seconds, UnixAddress
from router.settings.observe import AccessLogSettings, TracingSettings
from router.settings.tls import ServerTlsSettings

LONGEST_DRAIN_S = 3600.0
"""A drain is waited for by whoever ends the process: hooks, service managers and Kubernetes' grace period."""
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})


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
    drain_s: Annotated[Seconds, Field(le=LONGEST_DRAIN_S)] = 120.0
    """On shutdown, how long requests in flight may go on, an hour at most. What still runs after that is broken off."""


class LimitSettings(Group):
    """Bounds on what a client may make the router hold."""

    max_head_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 65_536
    """Largest request head; then 431."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 64 << 20
    """Largest request body; then 413. Long prompts of a million tokens take about 5 MB."""
    max_held_body_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 512 << 20
    """Bytes of request bodies that one worker holds at once, those that came in one piece (up to a few hundred kB)
    aside; a request beyond is refused with 503 before its body is read."""
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
    """Engines that a request may be sent to. One to which there is no connection gets nothing and does not count, up to
    ten of them."""
    budget_frac: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Retries allowed as a share of recent requests, so that retrying never doubles an overload."""
    budget_min_per_s: Annotated[float, Field(ge=0, le=1000)] = 5.0
    """Retries always allowed per second, so that a quiet router can still fail over."""


class Affinity(StrEnum):
    """Which requests are sent to one instance as long as its load allows."""

    NONE = "none"
    """Every request goes to the instance with the least load, and sessions are not told apart."""
    SESSION = "session"
    """Requests of one session stay together, at one precision."""
    PREFIX = "prefix"
    """So do they, and requests without a session whose prompts begin alike."""


class RouterSettings(Group):
    """The router process."""

    host: Host = "127.0.0.1"
    """Address of the public port. Use 0.0.0.0 in a container, or :: to listen for IPv6 and IPv4."""
    port: Port = 8080
    """The public, OpenAI-compatible port."""
    listen: UnixAddress | None = None
    """unix:/PATH of a socket that takes the place of `host` and `port`."""
    listen_mode: Mode = "0660"
    """Mode of that socket's file: who may connect."""
    tls: ServerTlsSettings | None = None
    """TLS on the public port. Absent: plain HTTP."""
    admin_host: Host = "127.0.0.1"
    """Address of the admin port."""
    admin_port: Port = 8081
    """Metrics, health, state and drain; never the public port. Whoever reaches it can read the addresses of the fleet:
    expose it to the operators' network only."""
    admin_token_file: Path | None = None
    """File with the token that POST requests to the admin port, and those for canaries' samples, must bear
    (Authorization: Bearer TOKEN)."""
    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[!-~]+$")] | None = None
    """What this router is called where several tell of themselves; no two may have one name. Absent:
    HOSTNAME:ADMIN_PORT, with the pod's name in Kubernetes."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that share the public port, by SO_REUSEPORT or by one Unix socket; in-flight caps and tenants' limits
    hold for all of them together. Several need Linux."""
    timeouts: TimeoutSettings = TimeoutSettings()
    limits: LimitSettings = LimitSettings()
    health: HealthSettings = HealthSettings()
    retry: RetrySettings = RetrySettings()
    affinity: Affinity = Affinity.PREFIX
    """none, session or prefix: which requests go to one instance, where the engine still has their KV cache, as long as
    that has at most 1.25 times the mean load."""
    access_log: AccessLogSettings | None = None
    """A line for each request. Absent: none."""
    tracing: TracingSettings | None = None
    """Spans for an OpenTelemetry collector. Absent: a caller's traceparent goes on to the engine as it is."""
    canary_samples: SampleSettings | None = None
    """A few deterministic requests kept for canaries; see docs/how-to/quality.md. Absent: none is looked at for it."""
    tell_energy: bool = True
    """Whether clients that send ``x-wattroute-energy: 1`` are told what their request cost in energy."""
    reload: bool = False
    """Whether a change of the configuration file is obeyed when it is seen, within a second. SIGHUP always is."""

    @model_validator(mode="after")
    def _two_ports(self) -> RouterSettings:
        overlap = self.host == self.admin_host or {self.host, self.admin_host} & _EVERY_ADDRESS
        if self.listen is None and self.port == self.admin_port != 0 and overlap:
            raise ValueError(f"port and admin_port are both {self.port}; give the admin port another one")
        return self
