"""The meter that adds up machines by Redfish: `signals.meter`, kind redfish."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from controller.settings.power.metering import Metering
from controller.settings.power.source import HttpSource, Text, Url
from controller.signals.power.redfish_meter import MAX_BODY_BYTES, MAX_MACHINES, TOKEN_HEADER, RedfishSpec

_WHOLE = re.compile(r"/(EnvironmentMetrics|Power)$")
"""Two resources of a chassis that both tell all of its power."""


class RedfishMeterSettings(HttpSource, Metering):
    """What machines or PDUs draw, by their own management controllers, added up."""

    kind: Literal["redfish"]
    urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=MAX_MACHINES)]
    """Resources that tell power, each of all machines once; or the machines' addresses, with `path`. A token_file
    without `user` holds the token of a session (X-Auth-Token)."""
    path: Annotated[Text, Field(pattern="^/")] | None = None
    """Path of the resource, behind each address, e.g. /redfish/v1/Chassis/1/EnvironmentMetrics."""
    period_s: Annotated[float, Field(ge=1, le=60)] = 5.0
    """Time from one request to the next, of each machine."""
    timeout_s: Annotated[float, Field(ge=0.5, le=30)] = 5.0
    """Longest wait for an answer; in place of `signals.timeout_s`, as these controllers take seconds."""
    meters: Literal["site", "it"] = "it"
    """it: the machines alone; the site draws `site.pue` times that, and `aux_w`. site: all at the metering point."""
    error_frac: Annotated[float, Field(ge=0, le=0.5)] | None = 0.05
    """Share by which it may be off, with that of `site.pue`: at least that much of a limit is kept free while it is in
    force. ENERGY STAR asks of servers that they know their input within 5 %. null: `plan.meter_error_frac`."""

    @model_validator(mode="after")
    def _names_machines(self) -> RedfishMeterSettings:
        addresses = self.addresses()
        for url in addresses:
            parts = urlsplit(url)
            if parts.fragment or parts.path in ("", "/"):
                what = "a part of a resource; cut it at #" if parts.fragment else "no resource; add path"
                raise ValueError(f"{url!r:.200} names {what}, e.g. /redfish/v1/Chassis/1/EnvironmentMetrics")
        counts = Counter(_WHOLE.sub("", url.rstrip("/")).lower() for url in addresses)
        twins = sorted(url for url, count in counts.items() if count > 1)
        if twins:
            raise ValueError(f"urls: {', '.join(map(repr, twins[:3]))} would be counted twice; name each machine once")
        if self.token_file is not None and self.user is None and len({urlsplit(url).netloc for url in addresses}) > 1:
            raise ValueError("a session's token is that of one machine; write user, and token_file with its password")
        return self

    def addresses(self) -> tuple[str, ...]:
        """Where it is asked."""
        if self.path is None:
            return self.urls
        return tuple(url.rstrip("/") + self.path for url in self.urls)

    @property
    def oldest_s(self) -> float:
        """How old a reading may become while each request is answered in time."""
        return max(self.period_s, self.timeout_s) + self.timeout_s

    def spec(self, timeout_s: float) -> RedfishSpec:
        """What it is opened from; `timeout_s` is for the first look alone."""
        http = replace(self.http(self.timeout_s), token_header=TOKEN_HEADER, max_body_bytes=MAX_BODY_BYTES)
        return RedfishSpec(self.addresses(), http, self.period_s, wait_s=timeout_s, scope=self.scope())
