import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.openadr.notifiers import Login, read_broker, read_topics


def offered(*uris: object, **authentication: str) -> dict[str, object]:
    mqtt = {"URIS": list(uris), "authentication": authentication or {"method": "ANONYMOUS"}, "serialization": "JSON"}
    return {"WEBHOOK": True, "MQTT": mqtt}


def test_a_vtn_without_a_broker_has_none() -> None:
    assert read_broker({"WEBHOOK": True}) is None


def test_addresses_have_the_ports_of_their_schemes() -> None:
    broker = read_broker(offered("mqtts://b.example", "mqtts://c.example:8884", "mqtt://127.0.0.1"))
    assert broker is not None
    assert broker.addresses == (("b.example", 8883, True), ("c.example", 8884, True), ("127.0.0.1", 1883, False))
    assert broker.login is Login.ANONYMOUS


def test_plain_mqtt_is_for_this_machine_alone() -> None:
    broker = read_broker(offered("mqtt://b.example", "mqtts://b.example"))
    assert broker is not None
    assert broker.addresses == (("b.example", 8883, True),)
    with pytest.raises(MessageError, match="TLS alone"):
        read_broker(offered("mqtt://b.example"))


def test_the_key_that_a_vtn_hands_out_is_not_shown() -> None:
    pems = {"caCert": "ca", "clientCert": "certificate", "clientKey": "the-key"}
    broker = read_broker(offered("mqtts://b", method="CERTIFICATE", **pems))
    assert broker is not None
    assert broker.key_pem == "the-key"
    assert "the-key" not in repr(broker)


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"MQTT": True},
        {"MQTT": {}},
        offered(),
        offered("http://b"),
        offered("mqtts://b:99999"),
        offered(7),
        offered("mqtts://b", method="KERBEROS"),
        offered("mqtts://b", method="CERTIFICATE"),
        {"MQTT": {"URIS": ["mqtts://b"], "serialization": "XML"}},
    ],
)
def test_a_broker_that_cannot_be_used_is_refused(data: object) -> None:
    with pytest.raises(MessageError):
        read_broker(data)


def test_the_topic_of_all_operations_is_taken_else_one_for_each() -> None:
    each = {"CREATE": "e/create", "UPDATE": "e/update", "DELETE": "e/delete"}
    assert read_topics({"topics": {**each, "ALL": "e/+"}}) == ("e/+",)
    assert read_topics({"topics": each}) == ("e/create", "e/update", "e/delete")


@pytest.mark.parametrize("topics", [{}, {"ALL": "#"}, {"ALL": "$SYS/broker"}, {"ALL": "a\0b"}, {"ALL": "x" * 2000}, 3])
def test_topics_that_are_none_are_refused(topics: object) -> None:
    with pytest.raises(MessageError):
        read_topics({"topics": topics})


KEYS = st.sampled_from(["MQTT", "URIS", "authentication", "method", "topics", "ALL"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda children: st.lists(children) | st.dictionaries(KEYS, children))


@given(JSON)
def test_nothing_but_a_message_error_comes_of_nonsense(data: object) -> None:
    for read in (read_broker, read_topics):
        try:
            read(data)
        except MessageError:
            continue
