import json
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from controller.commands.capability_command import lines_of, tell
from controller.commands.controller_client import Access, RequestRefused
from controller.dashboard.capability_json import capability_json
from controller.model.capability import Capability, QosCost
from controller.model.derate import Derate
from tests.fakes.answering import answering
from tests.fakes.capabilities import offer, told

NOW = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)


@contextmanager
def telling(told):
    with answering() as controller:
        controller.answers["/v1/capability"] = (200, json.dumps(told).encode())
        yield Access(controller.url)


def test_a_line_for_each_offer_with_its_units():
    lines = lines_of(capability_json(told(NOW.timestamp())), NOW)
    assert lines[0] == "drawn 12.000 kW at 16:30:00; can be shed:"
    assert len(lines) == 14
    assert lines[2].split() == ["30s", "none", "1.000", "11.000", "open", "0s", "any"]
    assert lines[7].split() == ["10m", "quality", "4.500", "7.500", "60m", "2.0h", "8.0"]
    assert lines[9].split()[-2:] == ["unknown", "0.0"]


def test_the_limit_that_is_shown_can_be_called():
    """Rounded up: 8.0004 kW shown as 8.000 kW would be refused."""
    lines = lines_of(capability_json(Capability(0.0, 12e3, (offer(30.0, QosCost.NONE, 8000.4),))), NOW)
    assert lines[2].split()[3] == "8.001"


def test_what_yields_is_told_once():
    costs = {QosCost.WAITING: ("serve:flex",), QosCost.HELD: ("serve:flex", "quality:chat")}
    offers = [offer(lead, cost, 9e3, yields=names) for lead in (30.0, 600.0) for cost, names in costs.items()]
    lines = lines_of(capability_json(Capability(0.0, 12e3, tuple(offers))), NOW)
    assert lines[-2:] == ["  yields at cost waiting: serve:flex", "  yields at cost held: quality:chat, serve:flex"]


def test_what_is_broken_anyway_is_told_once():
    broken = [offer(lead, QosCost.NONE, 9e3, broken=("serve:flex",)) for lead in (30.0, 600.0)]
    lines = lines_of(capability_json(Capability(0.0, 12e3, tuple(broken))), NOW)
    assert [line for line in lines if "serve:flex" in line] == ["  not kept also without a reduction: serve:flex"]


def test_the_controller_is_asked(capsys):
    with telling(capability_json(told())) as access:
        tell(access, {}, NOW, as_json=True)
        assert json.loads(capsys.readouterr().out) == capability_json(told())
        tell(access, {}, NOW, as_json=False)
        assert "down to kW" in capsys.readouterr().out


def test_a_reason_is_printed_where_it_is_not_known(capsys):
    with telling(capability_json(None)) as access:
        tell(access, {}, NOW, as_json=False)
    assert capsys.readouterr().out.startswith("what can be shed is not known: it is not told yet")


def test_who_does_not_answer_is_named():
    with pytest.raises(RequestRefused, match="the controller does not answer"):
        tell(Access("http://127.0.0.1:9"), {}, NOW, as_json=False)


def test_derates_are_told_and_what_could_be_shed_without_them():
    now_s = NOW.timestamp()
    derates = (Derate("fans", 500.0, now_s, now_s + 1800.0, "a fan is out", now_s),)
    lines = lines_of(capability_json(told(now_s).derated(derates, now_s)), NOW)
    assert lines[-2:] == [
        "  derated by fans: active, at most 0.500 kW is offered from 16:30:00 UTC to 17:00:00: a fan is out",
        "  without derates up to 5.500 kW could be shed",
    ]
    later = (Derate("fans", 9e9, now_s + 9e4, now_s + 9.1e4, "a fan is out", now_s),)
    assert lines_of(capability_json(told(now_s).derated(later, now_s)), NOW)[-1].startswith(
        "  derated by fans: pending"
    )
