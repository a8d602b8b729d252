"""The section `openadr2`: servers of OpenADR 2.0b (VTNs), and who we are to each one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from controller.openadr2.specs import Ven2Spec
from controller.settings.fields import Positive
from controller.settings.openadr import Label, VtnUrl
from router.settings import Group, Name
from router.transport.loopback import is_loopback

_UNITS = {"W": 1.0, "kW": 1e3, "MW": 1e6}


class Vtn2Settings(Group):
    """One VTN of 2.0b; needs the extra openadr2."""

    name: Name
    """Its calls come from the source openadr:NAME."""
    url: VtnUrl
    """As its operator gives it, e.g. https://vtn.example/OpenADR2/Simple/2.0b."""
    ven_name: Label
    ven_id: Label | None = None
    """Absent: as the VTN gives it at registration."""
    programmes: Annotated[dict[Annotated[str, Field(min_length=1, max_length=1024)], Name], Field(min_length=1)]
    """Which of `programmes` holds the terms of each market context, e.g. {"http://utility.example/dr": dr}."""
    resources: Annotated[tuple[Label, ...], Field(max_length=64)] = ()
    """Ids of loads that events may be aimed at, and that telemetry is offered of. Absent: the VEN's name."""
    certificate_file: Path | None = None
    """PEM file of the VEN's certificate; a VTN elsewhere asks for one."""
    key_file: Path | None = None
    ca_file: Path | None = None
    """PEM file with the authorities that may have issued the VTN's certificate."""
    vtn_fingerprint: Annotated[str, Field(pattern="^([0-9A-F]{2}:){9}[0-9A-F]{2}$")] | None = None
    """Fingerprint of the certificate that the VTN signs with. Absent: messages are not signed, TLS alone protects."""
    power_unit: Literal["W", "kW", "MW"] | None = None
    """Unit of a LOAD_DISPATCH that names none. Absent: these are refused."""
    usd_per_unit: Annotated[dict[Annotated[str, Field(pattern="^[A-Z]{3}$")], Positive], Field(max_length=32)] = Field(
        default_factory=lambda: {"USD": 1.0}
    )
    """How many USD a unit of each currency of ELECTRICITY_PRICE is."""
    reports: bool = True
    """Whether power and energy are offered as telemetry."""

    @model_validator(mode="after")
    def _is_protected(self) -> Vtn2Settings:
        files = (self.certificate_file, self.key_file, self.ca_file)
        if any(files) != all(files):
            raise ValueError("certificate_file, key_file and ca_file belong together; write all three")
        if not any(files) and not is_loopback(urlsplit(self.url).hostname):
            raise ValueError("a VTN elsewhere is spoken to with certificate_file, key_file and ca_file; write them")
        return self

    def spec(self) -> Ven2Spec:
        """What the VEN is set up from."""
        return Ven2Spec(
            name=self.name,
            url=self.url,
            ven_name=self.ven_name,
            programmes=self.programmes,
            ven_id=self.ven_id,
            resources=self.resources,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
            ca_file=self.ca_file,
            fingerprint=self.vtn_fingerprint,
            power_unit=None if self.power_unit is None else _UNITS[self.power_unit],
            usd_per_unit=self.usd_per_unit,
            reports=self.reports,
        )


OpenAdr2 = Annotated[tuple[Vtn2Settings, ...], Field(max_length=8)]
