import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.openadr import registration_read as read
from controller.openadr.messages import Operation, Target
from tests.controller.openadr.test_messages_read import EVENT, anything


def test_a_ven_and_its_resource_are_read_whole():
    attributes = [{"type": "LOCATION", "values": ["hall 3"]}]
    ven = read.read_ven({"id": "v", "venName": "site-1", "clientID": "c", "attributes": attributes, "targets": ["g"]})
    assert (ven.ven_id, ven.name, ven.client_id, ven.targets) == ("v", "site-1", "c", (Target("g"),))
    assert ven.attributes[0].values == ("hall 3",)
    resource = read.read_resource({"id": "r", "resourceName": "hall", "venID": "v"})
    assert (resource.resource_id, resource.name, resource.ven_id, resource.attributes) == ("r", "hall", "v", ())


def test_a_subscription_tells_what_it_calls_for_and_where():
    operations = [
        {"objects": ["EVENT"], "operations": ["POST", "UPDATE"], "callbackUrl": "https://x", "bearerToken": "t"}
    ]
    read_one = read.read_subscription({"id": "s", "clientName": "site-1", "objectOperations": operations})
    (wanted,) = read_one.operations
    assert (wanted.objects, wanted.operations) == (("EVENT",), (Operation.CREATE, Operation.UPDATE))
    assert (wanted.callback_url, wanted.bearer_token) == ("https://x", "t")
    with pytest.raises(MessageError, match=r"subscription\.objectOperations"):
        read.read_subscription({"id": "s", "clientName": "site-1"})


@pytest.mark.parametrize(("told", "meant"), [("POST", Operation.CREATE), ("DELETE", Operation.DELETE)])
def test_notifications_of_both_versions_and_of_the_reference_server_are_read(told, meant):
    body = {"objectType": "EVENT", "operation": told, "object": EVENT}
    assert read.read_notification(json.dumps(body)).operation is meant
    snake = {"object_type": "EVENT", "operation": meant.value, "object": EVENT}
    assert read.read_notification(json.dumps(snake)).event.event_id == "e-1"


def test_a_notification_of_something_unheard_of_is_refused():
    with pytest.raises(MessageError, match=r"notification\.operation: 'PATCH' is none of"):
        read.read_notification(json.dumps({"objectType": "EVENT", "operation": "PATCH", "object": EVENT}))


@given(anything)
def test_any_json_in_place_of_a_message_raises_its_own_error_alone(value):
    for reader in (read.read_ven, read.read_resource, read.read_subscription):
        with pytest.raises(MessageError):
            reader(value)


@given(st.binary(max_size=200))
def test_any_bytes_in_place_of_a_notification_raise_its_own_error_alone(body):
    with pytest.raises(MessageError):
        read.read_notification(body)
