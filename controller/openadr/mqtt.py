"""Listens to the broker of a VTN (OpenADR 3.1, MQTT notifier): each message is a reason to ask the VTN, no more.

What was missed while the broker was away is had by polling, which goes on beside this and is done at once whenever the
connection stands anew.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt

from controller.errors import MessageError, SignalError, VtnError
from controller.openadr.client import VtnClient
from controller.openadr.messages import Program
from controller.openadr.notified import Notified
from controller.openadr.notifiers import Broker, Login, read_broker, read_topics
from controller.openadr.pace import Chance, wait_s
from controller.openadr.registration_read import read_notification

log = logging.getLogger(__name__)

FIRST_S = 2.0
ABSENT_S = 900.0
"""Time after which a VTN without a broker is asked again."""
BACK_OFF_S = 2.0
KEEPALIVE_S = 30
CONNECT_S = 10.0
MAX_PAYLOAD_BYTES = 1 << 20
MAX_QUEUED = 256
MAX_TOPICS = 96
_ABSENT = frozenset((404, 405, 501))
_HIDDEN = _ABSENT | {401, 403}


@dataclass(frozen=True, slots=True)
class MqttParts:
    """What a listener works with.

    Attributes:
        vtn: its name, for the log.
        client_id: ours at the VTN; None of a public one.
        tls: that believes the VTN's authorities.
        programs: the VTN's programmes that are followed now, by its names.
        ven_id: ours at the VTN; None before it is registered.
        on_change: told of each message, and whenever the connection stands anew.
    """

    vtn: str
    client: VtnClient
    client_id: str | None
    tls: ssl.SSLContext
    programs: Callable[[], Mapping[str, Program]]
    ven_id: Callable[[], str | None]
    chance: Chance
    notified: Notified
    on_change: Callable[[], None]


class MqttListener:
    """Listens to one VTN's broker."""

    def __init__(self, parts: MqttParts) -> None:
        self._parts = parts
        self._failures = 0
        self._turn = 0

    async def run(self) -> None:
        """Listen until cancelled; a broker that is lost is looked for again, later each time."""
        while True:
            pause_s = await self.listen()
            await asyncio.sleep(pause_s)

    async def listen(self) -> float:
        """Listen until the connection is lost; returns the time until the next try."""
        parts = self._parts
        if not parts.programs():
            return FIRST_S
        try:
            broker = await self._broker()
            if broker is None:
                parts.notified.lost("the VTN offers no MQTT")
                return ABSENT_S
            await self._follow(broker, await self._topics())
        except VtnError as error:
            return self._failed(str(error), error.retry_after_s)
        except (SignalError, aiomqtt.MqttError, OSError, ValueError) as error:
            return self._failed(str(error)[:500] or type(error).__name__)
        return self._failed("the broker ended the connection")

    def _failed(self, reason: str, retry_after_s: float | None = None) -> float:
        self._failures += 1
        self._turn += 1
        self._parts.notified.lost(reason)
        return wait_s(BACK_OFF_S, self._failures, self._parts.chance.uniform(0.0, 1.0), retry_after_s)

    async def _broker(self) -> Broker | None:
        """The VTN's broker; None where it has none, or knows nothing of notifiers (3.0.1)."""
        try:
            return read_broker(await self._parts.client.get("/notifiers"))
        except VtnError as error:
            if error.status not in _ABSENT:
                raise
            return None

    async def _topics(self) -> tuple[str, ...]:
        """Topics of the followed programmes' events, and of those that are for us alone; some may be hidden from us."""
        parts = self._parts
        ven_id = parts.ven_id()
        paths = [f"programs/{program.program_id}/events" for program in parts.programs().values()]
        paths += [] if ven_id is None else [f"vens/{ven_id}/events"]
        found: list[str] = []
        hidden: SignalError | None = None
        for path in paths:
            try:
                found += read_topics(await parts.client.get(f"/notifiers/mqtt/topics/{path}"))
            except VtnError as error:
                if error.status not in _HIDDEN:
                    raise
                hidden = error
        if not found:
            raise hidden or SignalError("/notifiers", "the VTN names no topics")
        return tuple(dict.fromkeys(found))[:MAX_TOPICS]

    async def _follow(self, broker: Broker, topics: tuple[str, ...]) -> None:
        parts = self._parts
        async with self._connection(broker) as client:
            for topic in topics:
                await client.subscribe(topic, qos=1)
            self._failures = 0
            parts.notified.stands()
            parts.on_change()
            async for message in client.messages:
                self._take(message.payload)

    def _take(self, payload: object) -> None:
        body = payload if isinstance(payload, bytes | bytearray) else b""
        if len(body) > MAX_PAYLOAD_BYTES:
            self._parts.notified.count("too_large")
            log.warning("notification refused", extra={"vtn": self._parts.vtn, "reason": f"{len(body)} bytes"})
            return
        try:
            notification = read_notification(bytes(body))
        except MessageError as error:
            self._parts.notified.count("malformed")
            log.warning("notification refused", extra={"vtn": self._parts.vtn, "reason": str(error)})
            return
        self._parts.notified.count("taken")
        operation = notification.operation.value
        extra = {"vtn": self._parts.vtn, "object": notification.object_type, "operation": operation}
        log.info("notification received", extra=extra)
        self._parts.on_change()

    @asynccontextmanager
    async def _connection(self, broker: Broker) -> AsyncIterator[aiomqtt.Client]:
        parts = self._parts
        host, port, is_tls = broker.addresses[self._turn % len(broker.addresses)]
        username, password = None, None
        if broker.login is Login.TOKEN:
            token = await parts.client.token()
            password = None if token is None else token.access_token
            username = (broker.username or "{clientID}").replace("{clientID}", parts.client_id or "")
        async with aiomqtt.Client(
            host,
            port,
            username=username,
            password=password,
            tls_context=self._tls(broker) if is_tls else None,
            keepalive=KEEPALIVE_S,
            timeout=CONNECT_S,
            max_queued_incoming_messages=MAX_QUEUED,
        ) as client:
            yield client

    def _tls(self, broker: Broker) -> ssl.SSLContext:
        """As for the VTN; with the certificate that it hands out where its broker wants one."""
        if broker.login is not Login.CERTIFICATE:
            return self._parts.tls
        context = ssl.create_default_context(cadata=broker.ca_pem)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.TemporaryDirectory(prefix="wattroute-mqtt-") as folder:  # 0700; ssl reads files alone
            certificate, key = Path(folder) / "client.pem", Path(folder) / "client.key"
            certificate.write_text(broker.certificate_pem or "")
            key.touch(mode=0o600)
            key.write_text(broker.key_pem or "")
            context.load_cert_chain(certificate, key)
        return context
