import asyncio
import contextlib
import json
import random
import ssl

import aiomqtt
import pytest
from prometheus_client import CollectorRegistry

from controller.openadr.http import tls_context
from controller.openadr.metrics import PREFIX
from controller.openadr.mqtt import ABSENT_S, FIRST_S, MAX_PAYLOAD_BYTES, MqttListener, MqttParts
from controller.openadr.notified import Notified, NotifiedMetrics
from tests.fakes.certificates import Authority
from tests.fakes.mosquitto_server import mosquitto
from tests.fakes.vtn.follower import follower
from tests.fakes.vtn.server import fake_vtn, interval

LIMIT = interval(0, "IMPORT_CAPACITY_LIMIT", 12, start="0001-01-01", duration="PT1H")
TOLD = {"objectType": "EVENT", "operation": "CREATE", "object": {"id": "e1", "programID": "p1", "intervals": []}}


class Heard:
    def __init__(self, vtn, site, tls):
        self.vtn, self.site = vtn, site
        self.registry = CollectorRegistry()
        self.woken = asyncio.Event()
        self.notified = Notified(NotifiedMetrics(self.registry), "utility", "mqtt")
        parts = MqttParts(
            "utility",
            site.ven.client,
            "ven-1",
            tls,
            lambda: site.ven.programs,
            lambda: None,
            random.Random(1),
            self.notified,
            self.woken.set,
        )
        self.listener = MqttListener(parts)

    def stands(self):
        return self.registry.get_sample_value(f"{PREFIX}notified", {"vtn": "utility", "way": "mqtt"})

    def count(self, outcome):
        labels = {"vtn": "utility", "way": "mqtt", "outcome": outcome}
        return self.registry.get_sample_value("wattroute_controller_openadr_notifications_total", labels)

    async def wakes(self):
        async with asyncio.timeout(15):
            await self.woken.wait()
        self.woken.clear()

    @contextlib.asynccontextmanager
    async def listening(self):
        task = asyncio.get_running_loop().create_task(self.listener.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def hearing(folder, broker, *, scheme="mqtt", tls=None, **authentication):
    async with fake_vtn() as vtn, follower(vtn, folder) as site:
        program = vtn.add_program()
        await site.poll()
        uris = [f"{scheme}://127.0.0.1:{broker.port}"]
        vtn.notifiers = {"MQTT": {"URIS": uris, "authentication": authentication or {"method": "ANONYMOUS"}}}
        vtn.topics[f"programs/{program}/events"] = {"ALL": f"events/programs/{program}/+"}
        heard = Heard(vtn, site, tls or tls_context(None))
        heard.program, heard.topic = program, f"events/programs/{program}/create"
        yield heard


async def tell(broker, topic, payload, **options):
    async with aiomqtt.Client("127.0.0.1", broker.port, **options) as client:
        await client.publish(topic, payload, qos=1)


async def test_a_message_of_the_broker_makes_us_ask_the_vtn(tmp_path):
    async with mosquitto(tmp_path) as broker, hearing(tmp_path, broker) as heard, heard.listening():
        await heard.wakes()  # connected: what was missed is asked for
        assert heard.stands() == 1
        event = heard.vtn.add_event(heard.program, LIMIT)
        await tell(broker, heard.topic, json.dumps(TOLD))
        await heard.wakes()
        await heard.site.poll(1)
        assert heard.site.live() == {event}
        assert heard.count("taken") == 1


async def test_what_is_no_notification_is_counted_and_passed_over(tmp_path):
    async with mosquitto(tmp_path) as broker, hearing(tmp_path, broker) as heard, heard.listening():
        await heard.wakes()
        await tell(broker, heard.topic, b"\xff{")
        await tell(broker, heard.topic, b" " * (MAX_PAYLOAD_BYTES + 1))
        await tell(broker, heard.topic, json.dumps(TOLD))
        await heard.wakes()
        assert [heard.count(outcome) for outcome in ("malformed", "too_large", "taken")] == [1, 1, 1]


async def test_a_broker_that_is_lost_is_told_and_found_again(tmp_path, caplog):
    async with mosquitto(tmp_path) as broker, hearing(tmp_path, broker) as heard, heard.listening():
        await heard.wakes()
        await broker.stop()
        async with asyncio.timeout(15):
            while heard.stands():
                await asyncio.sleep(0.02)
        event = heard.vtn.add_event(heard.program, LIMIT)
        await heard.site.poll(30)
        assert heard.site.live() == {event}  # by polling
        await broker.start()
        await heard.wakes()
        assert heard.stands() == 1
    assert "followed by polling alone" in caplog.text


# paho-mqtt leaves the socket of a handshake that fails to the garbage collector, which says so.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_tls_is_verified_and_the_vtns_token_is_shown(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("broker")
    trust = tls_context(authority.file)
    async with (
        mosquitto(tmp_path, tls=pair, user=("ven-1", "the-token")) as broker,
        hearing(
            tmp_path, broker, scheme="mqtts", tls=trust, method="OAUTH2_BEARER_TOKEN", username="{clientID}"
        ) as heard,
    ):
        assert await heard.listener.listen() > 0  # another token than the one that the broker wants
        assert heard.stands() == 0
        (token,) = heard.vtn._tokens
        heard.vtn._tokens["the-token"] = heard.vtn._tokens[token]
        object.__setattr__(heard.site.ven.client._tokens._token, "access_token", "the-token")
        async with heard.listening():
            await heard.wakes()
            assert heard.stands() == 1
    async with (
        mosquitto(tmp_path, tls=pair) as broker,
        hearing(tmp_path, broker, scheme="mqtts") as heard,
    ):
        assert await heard.listener.listen() > 0  # its certificate is of an authority that we do not know
        assert heard.stands() == 0


async def test_the_certificate_that_a_vtn_hands_out_is_shown_to_its_broker(tmp_path):
    authority = Authority(tmp_path)
    server, ours = authority.issue("broker"), authority.issue("ven", "ven-1")
    pems = {
        "caCert": authority.file.read_text(),
        "clientCert": ours.certificate_file.read_text(),
        "clientKey": ours.key_file.read_text(),
    }
    async with (
        mosquitto(tmp_path, tls=server, clients_ca=authority.file) as broker,
        hearing(tmp_path, broker, scheme="mqtts", method="CERTIFICATE", **pems) as heard,
        heard.listening(),
    ):
        await heard.wakes()
        assert heard.stands() == 1
        trust = ssl.create_default_context(cafile=str(authority.file))
        trust.load_cert_chain(ours.certificate_file, ours.key_file)
        await tell(broker, heard.topic, json.dumps(TOLD), tls_context=trust)
        await heard.wakes()


@pytest.mark.parametrize("notifiers", [{"WEBHOOK": True}, None])
async def test_a_vtn_without_a_broker_is_asked_again_much_later(tmp_path, notifiers):
    async with fake_vtn() as vtn, follower(vtn, tmp_path) as site:
        heard = Heard(vtn, site, tls_context(None))
        assert await heard.listener.listen() == FIRST_S  # the programmes are not known yet
        vtn.add_program()
        await site.poll()
        if notifiers is None:
            vtn.fail("GET /notifiers", 404)
        else:
            vtn.notifiers = notifiers
        assert await heard.listener.listen() == ABSENT_S
        assert heard.stands() == 0


async def test_tries_grow_apart_while_nothing_listens(tmp_path):
    async with mosquitto(tmp_path) as broker, hearing(tmp_path, broker) as heard:
        await broker.stop()
        pauses = [await heard.listener.listen() for _ in range(7)]
        assert pauses[-1] > 4 * pauses[0]
        assert heard.stands() == 0


async def test_topics_that_are_hidden_from_us_are_told(tmp_path, caplog):
    async with mosquitto(tmp_path) as broker, hearing(tmp_path, broker) as heard:
        heard.vtn.topics.clear()
        await heard.listener.listen()
        assert heard.stands() == 0
    assert "status 404" in " ".join(str(getattr(record, "reason", "")) for record in caplog.records)
