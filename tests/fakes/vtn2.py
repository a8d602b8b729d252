"""A server of OpenADR 2.0b for tests: openleadr's own, on loopback. What it stands for in a utility is emulated."""

from __future__ import annotations

import contextlib
import socket
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp.web_exceptions import NotAppKeyWarning
from openleadr import OpenADRServer, objects

POWER = {"name": "powerReal", "description": "RealPower", "unit": "W", "scale": "k"}
PRICE = {"name": "currencyPerKWh", "description": "currencyPerKWh", "unit": "USD", "scale": "none"}


class Vtn2:
    """The server.

    Attributes:
        answers: (event, optIn or optOut) as they came.
        told: values of telemetry by the id of their series.
        registers: whether VENs are taken.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/OpenADR2/Simple/2.0b"
        self.answers: list[tuple[str, str]] = []
        self.told: dict[str, list[float]] = {}
        self.offered: list[tuple[str, str, str]] = []
        self.registers = True
        with warnings.catch_warnings():
            # openleadr keeps its server under a plain key of the aiohttp application.
            warnings.simplefilter("ignore", NotAppKeyWarning)
            self.server = OpenADRServer("UTILITY", http_port=port, requested_poll_freq=timedelta(seconds=1))
        self.server.add_handler("on_create_party_registration", self._register)
        self.server.add_handler("on_register_report", self._offered)

    def add(self, event_id: str, name: str, kind: str, *values: float, **options: Any) -> None:
        now = datetime.now(UTC) + options.pop("after", timedelta(0))
        length = options.pop("length", timedelta(minutes=10))
        made = [
            objects.Interval(dtstart=now + n * length, duration=length, signal_payload=value)
            for n, value in enumerate(values)
        ]
        measurement = {"LOAD_DISPATCH": POWER, "ELECTRICITY_PRICE": PRICE}.get(name)
        if measurement is not None:
            attributes = objects.PowerAttributes() if name == "LOAD_DISPATCH" else None
            measurement = objects.Measurement(**measurement, power_attributes=attributes)
        signal = objects.EventSignal(
            intervals=made, signal_name=name, signal_type=kind, signal_id="signal", measurement=measurement
        )
        descriptor = objects.EventDescriptor(
            event_id=event_id,
            modification_number=0,
            market_context=options.pop("context", "http://dr"),
            event_status="far",
        )
        event = objects.Event(
            active_period=objects.ActivePeriod(dtstart=now, duration=length * len(values)),
            event_descriptor=descriptor,
            event_signals=[signal],
            targets=[{"ven_id": "ven-1"}],
            response_required="always",
        )
        self.server.add_raw_event("ven-1", event, callback=self._answered)

    def cancel(self, event_id: str) -> None:
        self.server.cancel_event("ven-1", event_id)

    async def _register(self, info: dict[str, Any]) -> Any:
        return ("ven-1", "registration-1") if self.registers else False

    def _answered(self, ven_id: str, event_id: str, opt_type: str) -> None:
        self.answers.append((event_id, opt_type))
        events = {event.event_descriptor.event_id: event for event in self.server.events.get(ven_id, [])}
        if event_id in events:  # openleadr tells the first answer alone unless it is asked again
            self.server.event_callbacks[event_id] = (events[event_id], self._answered)

    async def _offered(
        self,
        ven_id: str,
        resource_id: str,
        measurement: str,
        unit: str,
        scale: str,
        min_sampling_interval: timedelta,
        max_sampling_interval: timedelta,
    ) -> Any:
        number = str(len(self.offered))
        self.offered.append((resource_id, measurement, unit))

        def take(data: list[tuple[datetime, float]]) -> None:
            self.told.setdefault(number, []).extend(value for _, value in data)

        return take, min_sampling_interval


@contextlib.asynccontextmanager
async def vtn2(port: int | None = None) -> AsyncIterator[Vtn2]:
    """A server on a free port of this machine, or on the given one."""
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    served = Vtn2(port)
    await served.server.run()
    try:
        yield served
    finally:
        await served.server.stop()
