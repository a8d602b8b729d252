import json
from datetime import UTC, datetime

import pytest

from controller.commands.controller_client import Access
from controller.commands.derate_command import DerateOptions, derate, derates, end, line_of, request_of
from controller.errors import ConfigError
from tests.fakes.answering import answering

NOW = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)
OPTIONS = DerateOptions("20kW", "4h", "a chiller is out")
TOLD = {
    "derate_id": "chiller", "state": "active", "shed_w": 2e4, "start_s": NOW.timestamp(),
    "end_s": NOW.timestamp() + 14_400, "reason": "a chiller is out", "made_s": NOW.timestamp(), "source": "operator",
}  # fmt: skip
LINE = "chiller: active, at most 20.000 kW is offered from 16:30:00 UTC to 20:30:00: a chiller is out"


@pytest.fixture
def controller():
    with answering() as told:
        yield told


def test_the_body_has_watts_and_seconds():
    assert request_of(OPTIONS, NOW) == {"shed_w": 2e4, "duration_s": 14_400.0, "reason": "a chiller is out"}
    named = DerateOptions("0kW", "90m", "an audit", "17:00", "audit")
    assert request_of(named, NOW) == {
        "shed_w": 0.0,
        "duration_s": 5400.0,
        "reason": "an audit",
        "start": "2026-07-14T17:00:00+00:00",
        "derate_id": "audit",
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (DerateOptions("20", "4h", "x"), "--shed '20' is no power"),
        (DerateOptions("20kW", "4", "x"), "--for '4' is no duration"),
        (DerateOptions("20kW", "4h", "x", "noon"), "--at 'noon' is no time"),
    ],
)
def test_what_has_no_unit_is_refused(options, says):
    with pytest.raises(ConfigError, match=says):
        request_of(options, NOW)


def test_it_is_a_line(controller):
    assert line_of(TOLD, NOW) == LINE
    assert "nothing is offered from" in line_of({**TOLD, "shed_w": 0.0}, NOW)


def test_the_controller_is_asked(controller, capsys):
    access = Access(controller.url)
    controller.answers["/v1/derates"] = (201, json.dumps(TOLD).encode())
    derate(access, OPTIONS, {}, NOW)
    assert capsys.readouterr().out == f"{LINE}\n"
    controller.answers["/v1/derates"] = (200, json.dumps({"derates": [TOLD]}).encode())
    derates(access, {}, NOW, as_json=False)
    assert capsys.readouterr().out == f"{LINE}\n"
    derates(access, {}, NOW, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"derates": [TOLD]}
    controller.answers["/v1/derates"] = (200, b'{"derates": []}')
    derates(access, {}, NOW, as_json=False)
    assert "all that can be shed is offered" in capsys.readouterr().out
    controller.answers["/v1/derates/a%2Fb"] = (200, json.dumps({**TOLD, "state": "ended"}).encode())
    end(access, "a/b", {}, NOW)
    assert capsys.readouterr().out.startswith("chiller: ended, at most 20.000 kW was offered from")
