"""What Redis refuses: said once, asked for again later and later."""

from __future__ import annotations

import logging

import pytest

from router import redis_rights
from router.redis_rights import FIRST_S, LONGEST_S, MEANWHILE, Part, Rights

CHANNEL = RuntimeError("No permissions to access a channel")
COMMAND = RuntimeError(
    "Command # 1 (GET k) of pipeline caused error: User r has no permissions to run the 'get' command"
)


@pytest.fixture
def rights(caplog: pytest.LogCaptureFixture) -> Rights:
    caplog.set_level(logging.INFO, redis_rights.__name__)
    return Rights("redis://r/0", lambda: 1.0)


def test_a_right_that_is_missing_is_said_once_and_once_more_when_it_is_had(
    rights: Rights, caplog: pytest.LogCaptureFixture
) -> None:
    for now_s in range(5):
        rights.refused(Part.ANNOUNCEMENTS, "&k", CHANNEL, float(now_s))
    assert rights.missing == {"announcements": "&k"}
    rights.granted(Part.ANNOUNCEMENTS)
    rights.granted(Part.ANNOUNCEMENTS)
    assert rights.missing == {}
    said, unsaid = caplog.records
    assert (said.levelno, unsaid.levelno) == (logging.WARNING, logging.INFO)
    told = {key: said.__dict__[key] for key in ("source", "part", "right", "meanwhile")}
    assert told == {
        "source": "redis://r/0",
        "part": "announcements",
        "right": "&k",
        "meanwhile": MEANWHILE[Part.ANNOUNCEMENTS],
    }


def test_where_the_command_is_refused_that_is_the_right_to_add(rights: Rights) -> None:
    rights.refused(Part.ENERGY, "%R~k:energy", COMMAND, 0.0)
    assert rights.missing == {"energy": "+get"}


def test_another_right_that_is_missing_is_said_too(rights: Rights, caplog: pytest.LogCaptureFixture) -> None:
    rights.refused(Part.ENERGY, "%R~k:energy", COMMAND, 0.0)
    rights.refused(Part.ENERGY, "%R~k:energy", CHANNEL, 1.0)
    assert [record.__dict__["right"] for record in caplog.records] == ["+get", "%R~k:energy"]
    assert rights.missing == {"energy": "%R~k:energy"}


def test_what_was_refused_is_asked_for_later_and_later_up_to_a_bound(rights: Rights) -> None:
    assert rights.may_ask(Part.LOADS, 0.0)
    waits_s = []
    for _ in range(6):
        rights.refused(Part.LOADS, "%R~k:loads", CHANNEL, 100.0)
        waits_s.append(rights.wait_s(Part.LOADS, 100.0))
        assert not rights.may_ask(Part.LOADS, 100.0 + waits_s[-1] - 0.1)
        assert rights.may_ask(Part.LOADS, 100.0 + waits_s[-1])
    assert waits_s == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S, LONGEST_S, LONGEST_S]
    assert rights.may_ask(Part.ENERGY, 100.0), "one part waits for no other"
    rights.granted(Part.LOADS)
    assert rights.may_ask(Part.LOADS, 100.0)
    assert rights.wait_s(Part.LOADS, 100.0) == 0.0


def test_of_every_part_it_is_said_what_holds_without_it() -> None:
    assert set(MEANWHILE) == set(Part)
