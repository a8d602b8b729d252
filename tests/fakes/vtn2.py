"""A server of OpenADR 2.0b for tests: openleadr's own, on loopback. What it stands for in a utility is emulated."""

from __future__ import annotations

import contextlib
import socket
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp.web_exceptions import NotAppKeyWarning
from openleadr import OpenADRServer, objects
from openleadr.messaging import NONCE_CACHE
from openleadr.service.vtn_service import VTNService
from openleadr.utils import certificate_fingerprint

from tests.fakes.certificates import Authority, Pair

POWER = {"name": "powerReal", "description": "RealPower", "unit": "W", "scale": "k"}
_SHARED = ("_create_message", "ven_lookup", "verify_message_signatures")
PRICE = {"name": "currencyPerKWh", "description": "currencyPerKWh", "unit": "USD", "scale": "none"}


@dataclass(frozen=True)
class Tls:
    """How a server speaks TLS and signs.

    Attributes:
        own: its certificate, by which it also signs.
        clients: issues the certificates of VENs.
        ven: certificate that it knows its VEN by.
        is_signed: whether its messages are signed, and must be.
    """

    own: Pair
    clients: Authority
    ven: Pair
    is_signed: bool = True

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.own)


def fingerprint(pair: Pair) -> str:
    """As OpenADR 2.0b has it."""
    return str(certificate_fingerprint(pair.certificate_file.read_text()))


class Vtn2:
    """The server.

    Attributes:
        answers: (event, optIn or optOut) as they came.
        told: values of telemetry by the id of their series.
        registers: whether VENs are taken.
    """

    def __init__(self, port: int, tls: Tls | None = None) -> None:
        self.url = f"{'http' if tls is None else 'https'}://localhost:{port}/OpenADR2/Simple/2.0b"
        self.answers: list[tuple[str, str]] = []
        self.told: dict[str, list[float]] = {}
        self.offered: list[tuple[str, str, str]] = []
        self.registers = True
        with warnings.catch_warnings():
            # openleadr keeps its server under a plain key of the aiohttp application.
            warnings.simplefilter("ignore", NotAppKeyWarning)
            self.server = OpenADRServer(
                "UTILITY", http_port=port, requested_poll_freq=timedelta(seconds=1), **self._secured(tls)
            )
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

    def _secured(self, tls: Tls | None) -> dict[str, Any]:
        if tls is None:
            return {}
        ven = {
            "ven_id": "ven-1",
            "ven_name": "site-1",
            "fingerprint": fingerprint(tls.ven),
            "registration_id": "registration-1",
        }
        files = (str(tls.own.certificate_file), str(tls.own.key_file))
        signing = dict(zip(("cert", "key"), files, strict=True)) if tls.is_signed else {}
        return signing | {
            "http_cert": files[0],
            "http_key": files[1],
            "http_ca_file": str(tls.clients.file),
            "ven_lookup": lambda ven_id: ven if ven_id == "ven-1" else None,
            "verify_message_signatures": tls.is_signed,
            "show_fingerprint": False,
        }

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
async def vtn2(port: int | None = None, tls: Tls | None = None) -> AsyncIterator[Vtn2]:
    """A server on a free port of this machine, or on the given one."""
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    before = {name: VTNService.__dict__[name] for name in _SHARED if name in VTNService.__dict__}
    served = Vtn2(port, tls)
    await served.server.run()
    try:
        yield served
    finally:
        await served.server.stop()
        NONCE_CACHE.clear()
        for name in _SHARED:  # openleadr keeps a server's settings at the class of all servers
            if name in before:
                setattr(VTNService, name, before[name])
            elif name in VTNService.__dict__:
                delattr(VTNService, name)
