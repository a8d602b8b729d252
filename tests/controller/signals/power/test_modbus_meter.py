import asyncio
import struct
import sys

import pytest

from controller.clock import SystemClock, VirtualClock
from controller.errors import ConfigError
from controller.model.observation import Missing, Quality
from controller.signals.power.modbus_meter import ModbusMap, Register, number_of, open_modbus
from tests.fakes.http_stub import closed_url
from tests.fakes.modbus_server import modbus_server, registers

CODES = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q"}
CODES |= {"float32": "f", "float64": "d"}


def words(kind: str, value: float, order: str = "big") -> list[int]:
    raw = struct.pack(f">{CODES[kind]}", value)
    out = [int.from_bytes(raw[n : n + 2], "big") for n in range(0, len(raw), 2)]
    return out if order == "big" else out[::-1]


async def test_a_real_server_tells_power_and_energy_in_their_unit_and_sign():
    power = Register(100, "holding", "int32", "little", -100.0)
    energy = Register(300, "input", "uint64", "big", 3.6e6)
    blocks = (registers(100, *words("int32", -415, "little")), registers(300, *words("uint64", 1200)))
    async with modbus_server(*blocks, unit_id=7) as port:
        where = ModbusMap("127.0.0.1", power, port=port, unit_id=7, energy=energy)
        async with open_modbus(where, VirtualClock(1000.0)) as meter:
            reading = await meter.read(999.0)
    assert (reading.value_w, reading.energy_j, reading.observed_at_s) == (41_500.0, 1200 * 3.6e6, 1000.0)
    assert reading.quality is Quality.DIRECT


async def test_a_register_that_is_not_there_or_blank_is_told():
    async with modbus_server(registers(100, 0x7FC0, 0)) as port:
        absent = ModbusMap("127.0.0.1", Register(500), port=port)
        async with open_modbus(absent, SystemClock()) as meter:
            told = await meter.read(0.0)
            assert "holding register 500 of unit 1 cannot be read" in told.reason
            assert "see the meter's manual" in told.reason
        async with open_modbus(ModbusMap("127.0.0.1", Register(100), port=port), SystemClock()) as meter:
            assert (await meter.read(0.0)).reason == "register 100 holds no value"
        other_unit = ModbusMap("127.0.0.1", Register(100), port=port, unit_id=9, timeout_s=0.3)
        async with open_modbus(other_unit, SystemClock()) as meter:
            assert isinstance(await meter.read(0.0), Missing)


async def test_a_meter_that_comes_back_is_read_again():
    register = Register(100, type="float32")
    async with modbus_server(registers(100, *words("float32", 5000.0))) as port:
        where = ModbusMap("127.0.0.1", register, port=port, timeout_s=0.5)
        async with open_modbus(where, SystemClock()) as meter:
            assert (await meter.read(0.0)).value_w == 5000.0
            meter._client.close()  # as by a gateway that restarts
            assert (await meter.read(0.0)).value_w == 5000.0


async def test_a_meter_that_cannot_be_reached_is_missing():
    port = int(closed_url().rpartition(":")[2])
    async with open_modbus(ModbusMap("127.0.0.1", Register(1), port=port, timeout_s=0.3), SystemClock()) as meter:
        assert (await meter.read(0.0)).reason == "cannot connect"


async def test_without_pymodbus_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymodbus.client", None)
    with pytest.raises(ConfigError, match=r"pip install 'wattroute\[modbus\]'"):
        async with open_modbus(ModbusMap("127.0.0.1", Register(1)), SystemClock()):
            raise AssertionError("nothing is opened")


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("kind", sorted(CODES))
def test_numbers_of_each_type_and_order(kind, order):
    register = Register(0, type=kind, word_order=order, scale=10.0)
    assert number_of(words(kind, 1234, order), register) == 12_340.0
    assert register.count == len(words(kind, 1234))


@pytest.mark.parametrize(
    ("kind", "blank"),
    [
        ("int16", [0x8000]),
        ("uint16", [0xFFFF]),
        ("int32", [0x8000, 0]),
        ("uint32", [0xFFFF, 0xFFFF]),
        ("float32", [0x7FC0, 0]),
        ("float32", [0x7F80, 0]),
    ],
)
def test_what_meters_write_for_not_available_is_no_value(kind, blank):
    assert number_of(blank, Register(0, type=kind)) is None


async def test_a_meter_that_hangs_is_told_in_our_words_and_floods_no_log(caplog):
    connections = []

    async def say_nothing(reader, writer):
        connections.append(asyncio.current_task())
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        hung = ModbusMap("127.0.0.1", Register(100), port=port, unit_id=9, timeout_s=0.1)
        async with open_modbus(hung, SystemClock()) as meter:
            told = {(await meter.read(0.0)).reason for _ in range(6)}
        await asyncio.gather(*connections)
    assert told == {"no answer within 0.1 s from unit 9; see whether it runs"}
    assert [record.message for record in caplog.records if record.name.startswith("pymodbus")] == []
