"""What a VEN of OpenADR 2.0b is set up from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ven2Spec:
    """One VTN of 2.0b, and who we are to it.

    Attributes:
        name: of the VTN; calls come from source ``openadr:NAME``.
        url: as its operator gives it, up to ``/OpenADR2/Simple/2.0b``.
        ven_id: None where the VTN gives one.
        programmes: names of configured programmes by market context.
        resources: that events may be aimed at.
        certificate_file, key_file: of the VEN; None for a VTN on this machine.
        ca_file: authorities of the VTN.
        fingerprint: of the certificate that its messages are signed with; None does not look.
        power_unit: W per unit of a LOAD_DISPATCH that names none; None refuses those.
        usd_per_unit: of each currency.
        reports: whether power and energy are offered as telemetry.
    """

    name: str
    url: str
    ven_name: str
    programmes: Mapping[str, str]
    ven_id: str | None = None
    resources: tuple[str, ...] = ()
    certificate_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    fingerprint: str | None = None
    power_unit: float | None = None
    usd_per_unit: Mapping[str, float] = field(default_factory=lambda: {"USD": 1.0})
    reports: bool = True

    @property
    def source(self) -> str:
        """What the calls of this VTN name as their source."""
        return f"openadr:{self.name}"
