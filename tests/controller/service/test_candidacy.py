import pytest

from controller.service.candidacy import election_of
from controller.settings.election import ElectionSettings
from controller.settings.process import ControllerSettings


def spec(environment=None, *, host="0.0.0.0", **election):
    own = ControllerSettings(host=host, port=8090, election=ElectionSettings(kind="lease", **election))
    found = election_of(own, environment or {}, "node-7", "ab12")
    assert found is not None
    return found


def test_a_controller_that_is_alone_stands_for_nothing():
    assert election_of(ControllerSettings(), {}, "node-7", "ab12") is None


@pytest.mark.parametrize(
    ("environment", "told", "identity", "address"),
    [
        ({}, {}, "node-7_ab12", "http://node-7:8090"),
        ({"POD_NAME": "c-0", "POD_IP": "10.0.0.7"}, {}, "c-0_ab12", "http://10.0.0.7:8090"),
        ({"POD_IP": "fd00::7"}, {}, "node-7_ab12", "http://[fd00::7]:8090"),
        ({"POD_NAME": "c-0"}, {"identity": "east", "address": "https://e.example"}, "east_ab12", "https://e.example"),
        ({}, {"host": "127.0.0.1"}, "node-7_ab12", "http://127.0.0.1:8090"),
    ],
)
def test_name_and_address_come_from_the_pod_or_the_host_unless_they_are_told(environment, told, identity, address):
    found = spec(environment, **told)
    assert (found.identity, found.address) == (identity, address)


def test_times_and_place_are_those_of_the_settings():
    found = spec(name="east", namespace="llm", lease_s=15, renew_deadline_s=9, renew_every_s=3)
    assert (found.name, found.namespace) == ("east", "llm")
    assert (found.lease_s, found.renew_deadline_s, found.renew_every_s) == (15.0, 9.0, 3.0)
