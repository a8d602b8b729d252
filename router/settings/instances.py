"""Where the instances of a pool are: listed, or found out while the router runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from router.settings.fields import EngineUrl, Group, InstanceName, Seconds
from router.transport.loopback import refuse_readable, without_credentials

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_DNS = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\.?")
_PORT = re.compile(r"[a-z0-9-]*[a-z][a-z0-9-]*")
_HTTP = re.compile(r"https?://[^/?#@\s]+/?")


def _from_text(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


def _check_dns(value: str) -> str:
    if len(value) > 253 or not _DNS.fullmatch(value):
        raise ValueError(
            f"{value!r:.300} is no name of DNS: write up to 63 lower-case letters, digits and '-' between dots"
        )
    return value


def _check_label(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if (slash and not _DNS.fullmatch(prefix)) or len(name) > 63 or not _LABEL.fullmatch(name):
        raise ValueError(f"{value!r:.300} is no key of a label; write NAME or PREFIX/NAME")
    return value


def _check_value(value: str) -> str:
    if value and (len(value) > 63 or not _LABEL.fullmatch(value)):
        raise ValueError(f"{value!r:.300} is no value of a label")
    return value


def _check_port_name(value: str) -> str:
    if len(value) > 63 or not _PORT.fullmatch(value):
        raise ValueError(f"{value!r:.100} is no name of a port: use lower-case letters, digits and '-', or a number")
    return value


def _check_api_url(value: str) -> str:
    if not _HTTP.fullmatch(value):
        raise ValueError(f"{without_credentials(value)!r:.200} is not an API server's address; write https://HOST:PORT")
    return value


DnsName = Annotated[str, AfterValidator(_check_dns)]
LabelKey = Annotated[str, AfterValidator(_check_label)]
LabelValue = Annotated[str, AfterValidator(_check_value)]
PortNumber = Annotated[int, Field(ge=1, le=65535, strict=True)]
PortName = Annotated[str, AfterValidator(_check_port_name)]


class InstanceSettings(Group):
    """One engine."""

    name: InstanceName | None = None
    """What it is called in tables, metrics and logs. Absent: POOL-n by its place in the list."""
    url: EngineUrl
    """http://HOST:PORT, https://HOST:PORT or unix:/PATH."""


Instance = Annotated[InstanceSettings, BeforeValidator(_from_text, json_schema_input_type=EngineUrl | InstanceSettings)]


class KubernetesDiscovery(Group):
    """Instances are the endpoints of a Service, as Kubernetes' EndpointSlices tell of them."""

    kind: Literal["kubernetes"]
    """The Kubernetes API tells of them."""
    service: DnsName | None = None
    """Name of the Service."""
    selector: Annotated[dict[LabelKey, LabelValue], Field(min_length=1, max_length=16)] | None = None
    """Labels of the EndpointSlices, instead of a Service."""
    namespace: DnsName | None = None
    """Where they are. Absent: the namespace of the router's own pod."""
    port: PortNumber | PortName | None = None
    """Name or number of the engines' port. Absent: the only one."""
    scheme: Literal["http", "https"] = "http"
    """What the engines speak."""

    @model_validator(mode="after")
    def _one_way(self) -> KubernetesDiscovery:
        if (self.service is None) == (self.selector is None):
            raise ValueError("write service or selector, one of them: it says which EndpointSlices are meant")
        return self

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the EndpointSlices."""
        return dict(self.selector) if self.selector else {"kubernetes.io/service-name": self.service or ""}


class DnsDiscovery(Group):
    """Instances are the addresses of a name, such as that of a headless Service."""

    kind: Literal["dns"]
    """The system's resolver tells of them."""
    name: DnsName
    """The name to look up."""
    port: PortNumber
    """Where every engine listens."""
    scheme: Literal["http", "https"] = "http"
    """What the engines speak."""
    every_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = 5.0
    """Time between two looks."""


Discovery = Annotated[KubernetesDiscovery | DnsDiscovery, Field(discriminator="kind")]


class KubernetesSettings(Group):
    """How the Kubernetes API is reached. Absent: as from any pod, by its service account."""

    url: Annotated[str, AfterValidator(_check_api_url)] | None = None
    """Address of the API server, where it is not the one of the router's own pod."""
    token_file: Path | None = None
    """Holds the bearer token; read again when it changes. Absent: the pod's."""
    ca_file: Path | None = None
    """Authorities that the API server's certificate is verified by. Absent: the pod's, and else the system's."""
    watch_s: Annotated[Seconds, Field(ge=1, le=3600)] = 240.0
    """A watch is begun anew after about so long. An API server that has frozen is noticed 10 s after that."""

    @model_validator(mode="after")
    def _token_is_safe(self) -> KubernetesSettings:
        if self.url is not None:
            refuse_readable([self.url], "the token of the service account")
        return self
