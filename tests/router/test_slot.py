"""What is known of one instance: whether it may get requests, how it is called, and what survives other settings."""

from __future__ import annotations

import pytest

from router.contract import InstanceId, PoolId, Precision
from router.exchange import InstanceSpec, Outcome
from router.health import Health
from router.pool import Pool
from router.settings import HealthSettings
from router.slot import Slot

SPEC = InstanceSpec(
    InstanceId("bf16-0"), PoolId("bf16"), Precision.BF16, ("127.0.0.1", 9000), "http://127.0.0.1:9000", 8
)


def slot() -> Slot:
    pool = Pool(PoolId("bf16"), Precision.BF16, number=0, static_weight=1.0)
    found = Slot(SPEC, pool, Health(HealthSettings()), 0)
    found.max_in_flight = found.cap = 8
    return found


@pytest.mark.parametrize(
    ("attribute", "value"), [("max_in_flight", 0), ("draining", True), ("sleeping", True), ("withheld", True)]
)
def test_an_instance_is_open_unless_something_closes_it(attribute: str, value: object) -> None:
    found = slot()
    assert found.is_open
    setattr(found, attribute, value)
    assert not found.is_open


def test_an_engine_that_answers_nothing_is_ejected_whether_it_sleeps_or_not() -> None:
    found = slot()
    assert found.state == "up"
    found.sleeping = True
    assert found.state == "asleep"
    for _ in range(10):
        found.health.request_ended(Outcome.RESET)
    assert found.state == "ejected"


def test_what_is_known_of_an_engine_survives_but_not_its_caps() -> None:
    old, new = slot(), slot()
    old.in_flight, old.extra, old.load, old.probed_at_s, old.sleeping, old.proven = 3, 2, 5, 7.0, True, True
    old.draining, old.max_in_flight = True, 1
    old.health.request_ended(Outcome.RESET)
    new.adopt(old)
    assert (new.in_flight, new.extra, new.load, new.probed_at_s) == (3, 2, 5, 7.0)
    assert (new.sleeping, new.proven, new.health.failed_requests) == (True, True, 1)
    assert (new.draining, new.max_in_flight) == (False, 8)
