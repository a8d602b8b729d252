"""The site's meter: `signals.meter`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.settings.power.metering import Metering
from controller.settings.power.redfish_meter import RedfishMeterSettings
from controller.settings.power.source import HttpSource, Recording, Source, Text, Url, refuse_lost_times
from controller.signals.power.modbus_meter import ModbusMap, Register, RegisterType
from controller.signals.power.promql_meter import MeterQueries
from controller.signals.power.specs import CsvMeterSpec, MeterSpec, PromqlMeterSpec
from router.settings import Group, Port

_W_PER_UNIT = {"W": 1.0, "kW": 1e3, "MW": 1e6}
_J_PER_UNIT = {"J": 1.0, "Wh": 3.6e3, "kWh": 3.6e6, "MWh": 3.6e9}
PowerUnit = Literal["W", "kW", "MW"]
EnergyUnit = Literal["J", "Wh", "kWh", "MWh"]


class PromqlMeterSettings(HttpSource, Metering):
    """The site's meter, scraped by a Prometheus."""

    kind: Literal["promql"]
    url: Url
    """Its address, e.g. http://prometheus:9090."""
    power_query: Text
    """Power at the metering point: one series, e.g. site_power_kw{meter="main"}[1m]."""
    unit: PowerUnit
    """Unit of that power; a meter that counts kW is off by a thousand otherwise."""
    positive: Literal["import", "export"] = "import"
    """Which direction the meter counts as positive."""
    time_query: Text | None = None
    """Time of its last sample, s since the epoch; needed where `power_query` is no range selector."""
    energy_query: Text | None = None
    """Counter of the energy imported."""
    energy_unit: EnergyUnit = "kWh"
    """Unit of that counter."""

    @model_validator(mode="after")
    def _timed(self) -> PromqlMeterSettings:
        refuse_lost_times([self.power_query], self.time_query)
        return self

    def addresses(self) -> tuple[str, ...]:
        """Where it is asked."""
        return (self.url,)

    def spec(self, timeout_s: float) -> MeterSpec:
        """What it is opened from."""
        queries = MeterQueries(
            power=self.power_query,
            energy=self.energy_query,
            time=self.time_query,
            w_per_unit=_signed(self.unit, self.positive),
            j_per_unit=_J_PER_UNIT[self.energy_unit],
        )
        return PromqlMeterSpec(self.url, queries, self.http(timeout_s), self.scope())


class RegisterSettings(Group):
    """Where a number stands in a Modbus device."""

    address: Annotated[int, Field(ge=0, le=65_535)]
    """Address of its first register, counted from 0: where a manual writes 40001 or counts from 1, write one less."""
    register_kind: Literal["holding", "input"] = "holding"
    """Function 3 reads holding registers, function 4 input registers."""
    type: RegisterType = "float32"
    """Type of the number."""
    word_order: Literal["big", "little"] = "big"
    """big: the first register is the most significant one."""
    scale: Annotated[float, Field(gt=0, le=1e9)] = 1.0
    """What a 1 in the register stands for, in the unit of the number: 0.1 where the meter counts tenths."""

    def register(self, per_unit: float) -> Register:
        """The same, with the factor to W or J."""
        return Register(self.address, self.register_kind, self.type, self.word_order, self.scale * per_unit)


class ModbusMeterSettings(Source, Metering):
    """The site's meter over Modbus TCP (extra `modbus`)."""

    kind: Literal["modbus"]
    host: Annotated[str, Field(min_length=1, max_length=253)]
    """Address of the meter or of its gateway."""
    port: Port = 502
    """Its port."""
    unit_id: Annotated[int, Field(ge=0, le=255)] = 1
    """Number of the device behind the gateway."""
    power: RegisterSettings
    """Where its power stands."""
    unit: PowerUnit
    """Unit of that power."""
    positive: Literal["import", "export"] = "import"
    """Which direction the meter counts as positive."""
    energy: RegisterSettings | None = None
    """Where its counter of imported energy stands."""
    energy_unit: EnergyUnit = "kWh"
    """Unit of that counter."""

    def spec(self, timeout_s: float) -> MeterSpec:
        """What it is opened from."""
        return ModbusMap(
            host=self.host,
            power=self.power.register(_signed(self.unit, self.positive)),
            port=self.port,
            unit_id=self.unit_id,
            energy=None if self.energy is None else self.energy.register(_J_PER_UNIT[self.energy_unit]),
            timeout_s=timeout_s,
            scope=self.scope(),
        )


class CsvMeterSettings(Recording, Metering):
    """A recording of the site's meter."""

    kind: Literal["csv"]

    def spec(self, timeout_s: float) -> MeterSpec:
        """What it is opened from."""
        return CsvMeterSpec(self.path, self.times(), self.scope())


MeterSettings = Annotated[
    PromqlMeterSettings | ModbusMeterSettings | RedfishMeterSettings | CsvMeterSettings,
    Field(discriminator="kind"),
]


def _signed(unit: str, positive: str) -> float:
    return _W_PER_UNIT[unit] if positive == "import" else -_W_PER_UNIT[unit]
