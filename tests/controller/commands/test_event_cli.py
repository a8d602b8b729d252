import types

import pytest
from typer.testing import CliRunner

from controller.commands import event_cli
from controller.commands.controller_client import Access
from controller.commands.curtail_request import CurtailOptions, watts


@pytest.fixture
def asked(monkeypatch):
    calls = []
    module = types.SimpleNamespace(
        Access=Access,
        CurtailOptions=CurtailOptions,
        watts=watts,
        curtail=lambda access, options, environment, now: calls.append((access, options)),
        events=lambda access, environment, now, as_json: calls.append((access, as_json)),
        change=lambda access, environment, now, request: calls.append((access, request)),
    )
    monkeypatch.setattr(event_cli, "load", lambda name: module)

    def run(*arguments):
        result = CliRunner().invoke(event_cli.event_app, list(arguments))
        assert result.exit_code == 0, result.output
        return calls.pop()

    return run


def test_curtail_passes_on_what_was_written(asked):
    line = "curtail --site s --by 25% --for 30m --at 17:00 --ramp 5m --test --dry-run --id e --programme dr"
    access, options = asked(*line.split())
    assert access == Access(None, None, "s")
    assert options == CurtailOptions(
        None, "25%", None, "30m", "17:00", "5m", "dr", "e", is_test=True, dry_run=True, as_json=False
    )


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("cancel e", ("DELETE", "/v1/events/e", None)),
        ("cancel ../x", ("DELETE", "/v1/events/..%2Fx", None)),
        ("opt-out e --reason launch", ("POST", "/v1/events/e/opt-out", {"reason": "launch"})),
        ("opt-out e --reason x --source o:a", ("POST", "/v1/events/e/opt-out?source=o%3Aa", {"reason": "x"})),
        ("opt-in e", ("POST", "/v1/events/e/opt-in", {})),
    ],
)  # fmt: skip
def test_changes_name_the_event(asked, line, request_):
    assert asked(*line.split())[1] == request_


def test_events_may_be_asked_of_another_controller(asked):
    access, as_json = asked("events", "--json", "--controller", "http://10.0.0.6:8090")
    assert (access.url, as_json) == ("http://10.0.0.6:8090", True)


def test_an_opt_out_in_part_names_its_power_with_its_unit(asked):
    assert asked(*["opt-out", "e", "--reason", "x", "--down-to", "30kW"])[1][2] == {
        "reason": "x",
        "down_to_w": 30_000.0,
    }
