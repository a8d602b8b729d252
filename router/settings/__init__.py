"""The data plane's half of the configuration file, validated once.

The same file serves router and controller. The router checks its own sections and leaves ``CONTROLLER_SECTIONS`` to
the controller, so it needs none of the controller's dependencies. Durations are seconds, sizes bytes, shares 0..1.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from router.settings.fields import Group, Host, Name, Port, Seconds, refuse_twins
from router.settings.instances import DnsDiscovery, InstanceSettings, KubernetesDiscovery, KubernetesSettings
from router.settings.observe import AccessLogSettings, TracingSettings
from router.settings.pools import FOUND, MOST_PRIORITY, ClassSettings, PoolSettings
from router.settings.process import (
    Affinity,
    HealthSettings,
    LimitSettings,
    RetrySettings,
    RouterSettings,
    TimeoutSettings,
)
from router.settings.table import TableSettings
from router.settings.tenants import TenantSettings, TenantsSettings
from router.settings.tls import ClientTlsSettings, EngineTlsSettings, ServerTlsSettings
from router.transport.addresses import parse_engine, shown

__all__ = [
    "CONTROLLER_SECTIONS",
    "FOUND",
    "MOST_PRIORITY",
    "AccessLogSettings",
    "Affinity",
    "ClassSettings",
    "ClientTlsSettings",
    "DnsDiscovery",
    "EngineTlsSettings",
    "Group",
    "HealthSettings",
    "Host",
    "InstanceSettings",
    "KubernetesDiscovery",
    "KubernetesSettings",
    "LimitSettings",
    "Name",
    "PoolSettings",
    "Port",
    "RetrySettings",
    "RouterFile",
    "RouterSettings",
    "Seconds",
    "ServerTlsSettings",
    "TableSettings",
    "TenantSettings",
    "TenantsSettings",
    "TimeoutSettings",
    "TracingSettings",
]

CONTROLLER_SECTIONS = (
    "site",
    "plan",
    "clock",
    "forecast",
    "signals",
    "controller",
    "supervisor",
    "energy",
    "emulator",
    "quality",
    "load_target",
    "openadr",
    "openadr2",
    "programmes",
)
"""Top-level sections that only the controller reads."""


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
    tenants: TenantsSettings | None = None
    """Who may use the router; absent, everyone may who can reach the port."""
    kubernetes: KubernetesSettings = KubernetesSettings()

    @model_validator(mode="after")
    def _consistent(self) -> RouterFile:
        refuse_twins("pools", [pool.name for pool in self.pools])
        refuse_twins("classes", [cls.name for cls in self.classes])
        every = [each for pool in self.pools for each in pool.instances]
        refuse_twins("instances", [shown(*parse_engine(each.url).address) for each in every])
        refuse_twins("names of instances", [name for pool in self.pools for name in pool.names()])
        refuse_twins("service_tiers", [tier for cls in self.classes for tier in cls.service_tiers])
        if self.default_class is not None and self.default_class not in {cls.name for cls in self.classes}:
            raise ValueError(f"default_class {self.default_class!r} is not one of the classes")
        if not any(pool.static_weight > 0 for pool in self.pools):
            raise ValueError("every pool has static_weight 0: nothing could be served without an allocation")
        offered = {pool.precision for pool in self.pools}
        for cls in self.classes:
            if cls.precisions and not offered & set(cls.precisions):
                allowed = [precision.value for precision in cls.precisions]
                raise ValueError(
                    f"class {cls.name!r} allows {allowed}, no pool offers one of them; add a pool or widen the class"
                )
        return self
