"""What a VEN is set up from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controller.model.capability import QosCost
from controller.openadr.auth import Credentials
from controller.openadr.messages import Version


@dataclass(frozen=True, slots=True)
class CallbackSpec:
    """Where a VTN finds us.

    Attributes:
        url: of the callback as the VTN reaches it, https.
        host, port: listened on.
        certificate_file, key_file: of TLS; None behind a proxy that ends it on this machine.
    """

    url: str
    host: str
    port: int
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class VenSpec:
    """One VTN, and who we are to it.

    Attributes:
        name: of the VTN; calls come from source ``openadr:NAME``.
        programmes: names of configured programmes by the VTN's names.
        targets: that objects may carry which are meant for us.
        ven_name: under which the VEN is registered; None does not register.
        resources: names of loads that are registered with it.
        credentials: None for a VTN that asks for none.
        ca_file: authorities in place of the system's.
        alerts: level of each type of alert that is acted upon.
        relative_sheds: whether a relative set-point tells the reduction.
        percent_levels: level by percentage, for CONTROL_LEVEL_OFFSET_PERCENT; None refuses those.
        usd_per_unit: of each currency.
        reports: whether reports that are asked for are made.
        acknowledges: whether events are acknowledged by a report of the operating state.
        shed_cost: most that a reduction may cost those who are served to be told of as available; None takes what the
            programme's precedence allows.
        reservation_w: import capacity to ask for where it is asked about.
        callback: where the VTN tells of changes; None asks for no such calls.
        has_mqtt: whether its broker is listened to, where it has one.
    """

    name: str
    url: str
    programmes: Mapping[str, str]
    targets: tuple[str, ...] = ()
    ven_name: str | None = None
    resources: tuple[str, ...] = ()
    credentials: Credentials | None = None
    version: Version | None = None
    ca_file: Path | None = None
    is_verified: bool = True
    poll_s: float = 30.0
    timeout_s: float = 10.0
    alerts: Mapping[str, int] = field(default_factory=dict)
    relative_sheds: bool = False
    percent_levels: Mapping[int, int] | None = None
    usd_per_unit: Mapping[str, float] = field(default_factory=lambda: {"USD": 1.0})
    reports: bool = True
    acknowledges: bool = True
    shed_cost: QosCost | None = None
    reservation_w: float | None = None
    callback: CallbackSpec | None = None
    has_mqtt: bool = False

    @property
    def source(self) -> str:
        """What the calls of this VTN name as their source."""
        return f"openadr:{self.name}"

    @property
    def own(self) -> frozenset[str]:
        """Targets that are ours."""
        names = () if self.ven_name is None else (self.ven_name,)
        return frozenset((*self.targets, *names, *self.resources, *self.programmes))
