"""The site's meter over Modbus TCP, through pymodbus."""

from __future__ import annotations

import contextlib
import logging
import math
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from controller.clock import Clock
from controller.errors import ConfigError
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.meter_scope import MeterScope

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient

RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
_CODES: dict[str, str] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}


@dataclass(frozen=True, slots=True)
class Register:
    """Where a number stands in the meter and what it means.

    Attributes:
        address: of the first register, counted from 0; manuals that count from 1, or write 40001, mean one less.
        kind: holding registers are read by function 3, input registers by function 4.
        type: of the number.
        word_order: whether the first register holds the most (big) or the least (little) significant word.
        scale: what a 1 stands for, in W or J; negative where export is counted as positive.
    """

    address: int
    kind: Literal["holding", "input"] = "holding"
    type: RegisterType = "float32"
    word_order: Literal["big", "little"] = "big"
    scale: float = 1.0

    @property
    def count(self) -> int:
        """Registers of 16 bit that the number takes."""
        return struct.calcsize(f">{_CODES[self.type]}") // 2


@dataclass(frozen=True, slots=True)
class ModbusMap:
    """How a meter is asked.

    Attributes:
        unit_id: of the device behind a gateway; meters with an own address answer to any, or to 1 or 255.
        power: where its power stands.
        energy: where its counter of imported energy stands; None where there is none.
        scope: what it sees of the site.
    """

    host: str
    power: Register
    port: int = 502
    unit_id: int = 1
    energy: Register | None = None
    timeout_s: float = 1.5
    scope: MeterScope = field(default_factory=MeterScope)


class ModbusMeter:
    """The meter's power, positive where the site draws from the grid."""

    def __init__(self, client: AsyncModbusTcpClient, where: ModbusMap, clock: Clock) -> None:
        self._client = client
        self._map = where
        self._clock = clock
        self._source = f"meter at {where.host}:{where.port}"

    async def read(self, now_s: float) -> Reading | Missing:
        """Ask the meter; the connection is made anew where it was lost."""
        from pymodbus.exceptions import ModbusException, ModbusIOException  # only where the extra is installed

        try:
            if not self._client.connected and not await self._client.connect():
                return Missing(self._source, "cannot connect", now_s)
            power_w = await self._number(self._map.power)
            energy_j = None if self._map.energy is None else await self._number(self._map.energy)
        except ModbusIOException:
            reason = f"no answer within {self._map.timeout_s:g} s from unit {self._map.unit_id}; see whether it runs"
            return Missing(self._source, reason, now_s)
        except (ModbusException, OSError, ValueError) as error:
            return Missing(self._source, str(error), now_s)
        if power_w is None:
            return Missing(self._source, f"register {self._map.power.address} holds no value", now_s)
        return Reading(power_w, energy_j, self._clock.wall_s(), self._source, Quality.DIRECT)

    async def _number(self, register: Register) -> float | None:
        ask = self._client.read_holding_registers if register.kind == "holding" else self._client.read_input_registers
        answer = await ask(register.address, count=register.count, device_id=self._map.unit_id)
        if answer.isError() or len(answer.registers) != register.count:
            raise ValueError(
                f"{register.kind} register {register.address} of unit {self._map.unit_id} cannot be read ({answer}); "
                "see the meter's manual for address, kind and unit"
            )
        return number_of(answer.registers, register)


@contextlib.asynccontextmanager
async def open_modbus(where: ModbusMap, clock: Clock) -> AsyncIterator[ModbusMeter]:
    """A meter; its connection is closed at the end.

    Raises:
        ConfigError: pymodbus is not installed.
    """
    try:
        from pymodbus.client import AsyncModbusTcpClient
    except ModuleNotFoundError as error:
        raise ConfigError(
            "a meter of kind modbus needs the package pymodbus, which is not installed; run: "
            "pip install 'wattroute[modbus]'"
        ) from error
    # It logs each request that fails, frames and all; here an outage is told once, by the state of the source.
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    client = AsyncModbusTcpClient(
        where.host, port=where.port, timeout=where.timeout_s, retries=0, reconnect_delay=0, name="site meter"
    )
    try:
        yield ModbusMeter(client, where, clock)
    finally:
        client.close()


def number_of(registers: Sequence[int], register: Register) -> float | None:
    """The scaled number in registers; None for NaN and for what SunSpec and most meters write for "not available".

    Those are the most negative signed number, and the largest unsigned one.
    """
    words = list(registers) if register.word_order == "big" else list(reversed(registers))
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    (value,) = struct.unpack(f">{_CODES[register.type]}", raw)
    blanks = {"u": b"\xff" * len(raw), "i": b"\x80" + b"\x00" * (len(raw) - 1)}
    if raw == blanks.get(register.type[0]) or not math.isfinite(value):
        return None
    return float(value) * register.scale
