import logging

import pytest

from controller.errors import StoreError
from controller.loop.faults import Fault, Faults


@pytest.fixture
def counted():
    return []


@pytest.fixture
def faults(counted):
    times_s = iter(range(100, 200))
    return Faults(counted.append, lambda: float(next(times_s)))


def test_a_failure_is_counted_each_time_and_logged_where_its_reason_is_another(faults, counted, caplog):
    caplog.set_level(logging.INFO)
    for reason in ("gone", "gone", "late"):
        faults.fail("read", reason)
    assert counted == ["read"] * 3
    assert [record.reason for record in caplog.records] == ["gone", "late"]
    assert faults.in_force == (Fault("read", "late", 100.0),)
    assert "read" in faults


def test_what_works_again_is_said_once(faults, caplog):
    faults.fail("tick", ValueError("no"))
    assert faults.in_force[0].reason == "ValueError: no"
    caplog.set_level(logging.INFO)
    caplog.clear()
    for _ in range(2):
        faults.recover("tick")
    assert caplog.messages == ["loop step works again"]
    assert faults.in_force == ()


@pytest.mark.parametrize(
    ("reason", "is_traced"), [(ValueError("no"), True), (StoreError("full"), False), ("no", False)]
)
def test_a_fault_of_the_program_is_logged_with_its_trace(faults, caplog, reason, is_traced):
    faults.fail("tick", reason)
    assert bool(caplog.records[0].exc_info) is is_traced


def test_what_was_told_elsewhere_is_shown_until_it_is_settled(faults, counted, caplog):
    faults.stand(Fault("actuate a", "wake: timed out", 5.0))
    assert ([fault.step for fault in faults.in_force], counted, caplog.records) == (["actuate a"], [], [])
    assert [faults.settle("actuate a"), faults.settle("actuate a")] == [True, False]
