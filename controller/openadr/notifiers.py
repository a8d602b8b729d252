"""Reads what a VTN says of its MQTT broker: where it is, how to log in, and the topics of our events (3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from controller.errors import MessageError
from controller.openadr.fields import MAX_NAME, Fields, entries, shown, text
from router.transport.loopback import is_loopback

MAX_TOPIC = 1024
MAX_URIS = 16
MAX_PEM = 65_536
PORTS = {"mqtt": 1883, "mqtts": 8883}
OPERATIONS = ("CREATE", "UPDATE", "DELETE")


class Login(StrEnum):
    """How a broker wants to know who connects."""

    ANONYMOUS = "ANONYMOUS"
    TOKEN = "OAUTH2_BEARER_TOKEN"
    CERTIFICATE = "CERTIFICATE"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker as its VTN describes it.

    Attributes:
        addresses: (host, port, whether TLS is spoken), in the VTN's order.
        username: of `Login.TOKEN`; ``{clientID}`` stands for ours.
        ca_pem, certificate_pem, key_pem: of `Login.CERTIFICATE`.
    """

    addresses: tuple[tuple[str, int, bool], ...]
    login: Login
    username: str | None = None
    ca_pem: str | None = None
    certificate_pem: str | None = None
    key_pem: str | None = None

    def __repr__(self) -> str:
        return f"Broker({self.addresses!r}, {self.login!r})"


def read_broker(data: Any) -> Broker | None:
    """The broker of ``GET /notifiers``; None where the VTN has none.

    A broker is spoken to over TLS, or on this machine.

    Raises:
        MessageError: it cannot be used.
    """
    fields = Fields.of(data, "notifiers")
    if not fields.has("MQTT"):
        return None
    mqtt = Fields.of(fields.data["MQTT"], "notifiers.MQTT")
    serialization = mqtt.text("serialization", MAX_NAME) or "JSON"
    if serialization != "JSON":
        raise MessageError(mqtt.at("serialization"), f"{shown(serialization)} is not JSON")
    uris = entries(mqtt.value("URIS"), mqtt.at("URIS"), MAX_URIS)
    addresses = [_address(uri, f"{mqtt.at('URIS')}[{n}]") for n, uri in enumerate(uris)]
    usable = tuple(address for address in addresses if address[2] or is_loopback(address[0]))
    if not usable:
        raise MessageError(mqtt.at("URIS"), "none is mqtts://; a broker elsewhere is spoken to over TLS alone")
    login = Fields.of(mqtt.data.get("authentication") or {"method": "ANONYMOUS"}, mqtt.at("authentication"))
    method = login.name("method")
    if method not in set(Login):
        raise MessageError(login.at("method"), f"{shown(method)} is none of {', '.join(Login)}")
    pems = {}
    if method == Login.CERTIFICATE:
        pems = {key: text(login.value(key), login.at(key), MAX_PEM, 1) for key in ("caCert", "clientCert", "clientKey")}
    return Broker(
        usable,
        Login(method),
        login.text("username", MAX_NAME),
        pems.get("caCert"),
        pems.get("clientCert"),
        pems.get("clientKey"),
    )


def read_topics(data: Any) -> tuple[str, ...]:
    """Topics that tell of all operations: the one for all, else one for each.

    Raises:
        MessageError: there is none, or one cannot be subscribed to.
    """
    topics = Fields.of(Fields.of(data, "topics").value("topics"), "topics.topics")
    keys = ("ALL",) if topics.has("ALL") else tuple(key for key in OPERATIONS if topics.has(key))
    found = tuple(text(topics.value(key), topics.at(key), MAX_TOPIC, 1) for key in keys)
    if not found:
        raise MessageError("topics.topics", "it names no topic")
    for topic in found:
        if "\0" in topic or topic == "#" or topic.startswith("$"):
            raise MessageError("topics.topics", f"{shown(topic)} is no topic of a VTN's events")
    return found


def _address(value: Any, place: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(text(value, place, MAX_TOPIC, 1))
        port = parts.port
    except ValueError as error:
        raise MessageError(place, f"{shown(value)} is no address ({error})") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise MessageError(place, f"{shown(value)} is no address such as mqtts://broker.example:8883")
    return parts.hostname, port or PORTS[parts.scheme], parts.scheme == "mqtts"
