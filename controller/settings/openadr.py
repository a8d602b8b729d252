"""The section `openadr`: servers of OpenADR 3 (VTNs), and who we are to each one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from controller.model.capability import QosCost
from controller.openadr.auth import Credentials
from controller.openadr.messages import Version
from controller.openadr.specs import CallbackSpec, VenSpec
from controller.settings.fields import Positive
from controller.settings.programmes import OPERATOR
from router.settings import Group, Name, Seconds
from router.transport.loopback import is_loopback

_VERSIONS = {"3.0": Version.V3_0, "3.0.1": Version.V3_0, "3.1": Version.V3_1, "3.1.0": Version.V3_1}


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_address = bool(parts.hostname) and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        is_address = False
    if not is_address or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ValueError(f"{value!r:.200} is not the address of a VTN; write https://HOST/PATH")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(
            f"{value!r:.200}: OpenADR is spoken over TLS; write https://, or give an address of this machine"
        )
    return value.rstrip("/")


VtnUrl = Annotated[str, AfterValidator(_check_url)]
Label = Annotated[str, Field(min_length=1, max_length=128)]
Alert = Annotated[str, Field(pattern="^ALERT_[A-Z0-9_]{1,100}$")]
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]


Percent = Annotated[int, Field(ge=-100, le=100)]


class CallbackSettings(Group):
    """Where a VTN may tell us of changes, so that they need not wait for the next poll."""

    url: Annotated[str, Field(pattern="^https://[^/?#@ ]+/openadr/notifications$", max_length=1024)]
    """Address by which the VTN reaches this listener, https://HOST[:PORT]/openadr/notifications."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)]
    """Port to listen on; a port of its own, since it is open to the VTN."""
    certificate_file: Path | None = None
    """PEM file. Absent: a proxy on this machine speaks TLS."""
    key_file: Path | None = None

    @model_validator(mode="after")
    def _is_protected(self) -> CallbackSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together; write both, or neither behind a proxy")
        if self.certificate_file is None and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r:.200}: without certificate_file and key_file it listens on this machine alone"
            )
        return self

    def spec(self) -> CallbackSpec:
        """What the listener is set up from."""
        return CallbackSpec(self.url, self.host, self.port, self.certificate_file, self.key_file)


class VtnSettings(Group):
    """One VTN."""

    name: Name
    """Its calls come from the source openadr:NAME."""
    url: VtnUrl
    """Base address, as the programme's operator gives it, e.g. https://vtn.example/openadr3/3.1.0."""
    version: Literal["3.0", "3.0.1", "3.1", "3.1.0"] | None = None
    """Version of the protocol. Absent: told by the address or by how the VTN behaves."""
    programmes: Annotated[dict[Label, Name], Field(min_length=1, max_length=32)]
    """Which of `programmes` holds the terms of each of the VTN's programmes, e.g. {ResShed: dr}. Events of other
    programmes are not followed."""
    ven_name: Label | None = None
    """Name to register this VEN by. Absent: it is not registered."""
    resources: Annotated[tuple[Label, ...], Field(max_length=64)] = ()
    """Names of loads to register with it."""
    targets: Annotated[tuple[Label, ...], Field(max_length=64)] = ()
    """Targets of events that are for us, such as groups; the names above and of the programmes are too."""
    client_id: Label | None = None
    """Absent: a public VTN, which asks for no token."""
    client_secret_file: Path | None = None
    """File with the secret, read anew for each token."""
    client_secret_env: Variable | None = None
    """Variable of the environment with it, instead of a file."""
    scope: Annotated[str, Field(max_length=1024)] | None = None
    """Scopes to ask for. Absent: none are named."""
    token_url: VtnUrl | None = None
    """Where tokens are had. Absent: as the VTN says (3.1), else its /auth/token."""
    ca_file: Path | None = None
    """PEM file with the authorities that may have issued the VTN's certificate. Absent: those of the system."""
    verify_tls: bool = True
    """Whether the VTN must prove who it is; without, anybody on the way may command this site."""
    poll_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """Time between two looks for events, less or more by a tenth; longer after failures."""
    timeout_s: Seconds = 10.0
    """Longest wait for an answer."""
    alerts: Annotated[dict[Alert, Annotated[int, Field(ge=1, le=100)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Level of the programme that an alert calls for, e.g. {ALERT_GRID_EMERGENCY: 3}. Others are told, and not
    followed."""
    relative_setpoint: Literal["change", "reduction"] = "change"
    """What DISPATCH_SETPOINT_RELATIVE tells. change: of consumption, as the specification has it; less than 0 asks for
    less. reduction: how much less."""
    percent_levels: Annotated[dict[Percent, Annotated[int, Field(ge=1, le=100)]], Field(max_length=64)] | None = None
    """Level of the programme that each percentage of CONTROL_LEVEL_OFFSET_PERCENT calls for, e.g. {10: 1, 25: 2}; one
    between two is taken for the further one. Percentages below 0 where those ask for less. Absent: events with one are
    refused. {}: it is passed over."""
    usd_per_unit: Annotated[dict[Annotated[str, Field(pattern="^[A-Z]{3}$")], Positive], Field(max_length=32)] = Field(
        default_factory=lambda: {"USD": 1.0}
    )
    """How many USD a unit of each currency of PRICE is."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    """Currency of prices that name none. Absent: these are refused."""

    reports: bool = True
    """Whether the reports are sent that its events ask for."""
    acknowledge: bool = True
    """Whether each event that calls for something is acknowledged by a report of the operating state, unasked."""
    shed_cost: QosCost | None = None
    """Most that what LOAD_SHED_DELTA_AVAILABLE tells may cost those who are served: none; quality: what their quality
    budgets have saved; waiting: besides, classes that may wait do; held: besides, quality budgets are exceeded.
    Absent: held for programmes of precedence contract_over_qos, quality for the others."""
    reservation_kw: Annotated[float, Field(ge=0, le=1e7)] | None = None
    """Import capacity to ask for beyond the subscribed one, where IMPORT_RESERVATION_CAPACITY is asked about."""
    callback: CallbackSettings | None = None
    """Absent: no subscriptions; the VTN is polled."""
    mqtt: bool = False
    """Whether to listen to the VTN's MQTT broker, where it offers one (3.1); needs the extra mqtt."""

    @model_validator(mode="after")
    def _is_whole(self) -> VtnSettings:
        secrets = [self.client_secret_file, self.client_secret_env]
        if self.client_id is not None and sum(secret is not None for secret in secrets) != 1:
            raise ValueError("client_id needs its secret: write one of client_secret_file and client_secret_env")
        if self.client_id is None and any((*secrets, self.scope, self.token_url)):
            raise ValueError(
                "a secret, scope or token_url is of use with a client_id alone; write it, or leave them out"
            )
        if self.resources and self.ven_name is None:
            raise ValueError("resources are registered with a VEN; write ven_name")
        percents = tuple(self.percent_levels or ())
        if not (all(percent > 0 for percent in percents) or all(percent < 0 for percent in percents)):
            raise ValueError(
                f"percent_levels {list(percents)}: one sign asks for less and the other for more; write "
                "the percentages that ask for less, all above 0 or all below"
            )
        if self.currency is not None and self.currency not in self.usd_per_unit:
            raise ValueError(f"usd_per_unit has no rate for currency {self.currency}; add it")
        return self

    def spec(self) -> VenSpec:
        """What the VEN is set up from."""
        rates = self.usd_per_unit | ({} if self.currency is None else {"": self.usd_per_unit[self.currency]})
        credentials = None
        if self.client_id is not None:
            credentials = Credentials(
                self.client_id, self.client_secret_file, self.client_secret_env, self.scope, self.token_url
            )
        return VenSpec(
            name=self.name,
            url=self.url,
            programmes=self.programmes,
            targets=self.targets,
            ven_name=self.ven_name,
            resources=self.resources,
            credentials=credentials,
            version=None if self.version is None else _VERSIONS[self.version],
            ca_file=self.ca_file,
            is_verified=self.verify_tls,
            poll_s=self.poll_s,
            timeout_s=self.timeout_s,
            alerts=self.alerts,
            relative_sheds=self.relative_setpoint == "reduction",
            percent_levels=self.percent_levels,
            usd_per_unit=rates,
            reports=self.reports,
            acknowledges=self.acknowledge,
            shed_cost=self.shed_cost,
            reservation_w=None if self.reservation_kw is None else self.reservation_kw * 1e3,
            callback=None if self.callback is None else self.callback.spec(),
            has_mqtt=self.mqtt,
        )


OpenAdr = Annotated[tuple[VtnSettings, ...], Field(max_length=8)]


class NamedVtn(Protocol):
    """A server of either version."""

    @property
    def name(self) -> str:
        """Its own among all."""

    @property
    def programmes(self) -> Mapping[str, str]:
        """Names of configured programmes, by its own."""


def refuse_vtns(vtns: Sequence[NamedVtn], programmes: set[str], feeds: list[str]) -> None:
    """Check what must hold between the VTNs and the rest of the file.

    Raises:
        ValueError: two have one name, or a programme or the VTN of a feed is not configured.
    """
    names = [vtn.name for vtn in vtns]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"openadr: two VTNs are called {twins[0]!r}; give each its own name")
    for vtn in vtns:
        strangers = sorted(set(vtn.programmes.values()) - programmes - {OPERATOR})
        if strangers:
            raise ValueError(
                f"openadr.{vtn.name}.programmes: {strangers[0]!r} is not in programmes; add its terms there"
            )
    absent = sorted(set(feeds) - set(names))
    if absent:
        raise ValueError(f"signals: no entry of openadr is called {absent[0]!r}")
