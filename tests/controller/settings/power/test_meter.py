from pathlib import Path

import pytest

from controller.signals.power.modbus_meter import Register
from tests.fakes.power_settings import refusal, signals


def test_every_kind_of_meter_with_its_unit_and_sign():
    meters = dict(
        signals(
            """
            meter:
              - kind: modbus
                host: 10.0.0.9
                unit_id: 3
                power: {address: 100, type: int32, word_order: little, scale: 0.1}
                unit: kW
                positive: export
                energy: {address: 200, type: uint64}
                energy_unit: kWh
              - {kind: promql, url: "http://p:9090", power_query: "m[1m]", unit: MW}
              - {kind: csv, path: m.csv}
            """
        )
        .power_specs()
        .meters
    )
    assert meters["modbus"].power == Register(100, "holding", "int32", "little", -100.0)
    assert meters["modbus"].energy.scale == 3.6e6
    assert (meters["promql"].queries.w_per_unit, meters["promql"].queries.j_per_unit) == (1e6, 3.6e6)
    assert meters["csv"].path == Path("m.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{meter: [{kind: promql, url: 'http://p', power_query: 'm[1m]'}]}", "unit"),
        ("{meter: [{kind: promql, url: 'http://p', power_query: 'm', unit: kW}]}", "time of the query"),
        ("{meter: [{kind: modbus, host: m, unit: kW, power: {address: 70000}}]}", "65535"),
        ("{meter: [{kind: modbus, host: m, unit: kW, power: {address: 7, scale: -1}}]}", "greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, told):
    assert told in refusal(text)
