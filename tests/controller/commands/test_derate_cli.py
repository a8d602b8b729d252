import types

import pytest
from typer.testing import CliRunner

from controller.commands import derate_cli
from controller.commands.controller_client import Access
from controller.commands.derate_command import DerateOptions


@pytest.fixture
def asked(monkeypatch):
    calls = []
    module = types.SimpleNamespace(
        Access=Access,
        DerateOptions=DerateOptions,
        derate=lambda access, options, environment, now: calls.append((access, options)),
        derates=lambda access, environment, now, as_json: calls.append((access, as_json)),
        end=lambda access, derate_id, environment, now: calls.append((access, derate_id)),
    )
    monkeypatch.setattr(derate_cli, "load", lambda name: module)

    def run(line):
        result = CliRunner().invoke(derate_cli.derate_app, line.split())
        assert result.exit_code == 0, result.output
        return calls.pop()

    return run


def test_what_was_written_is_passed_on(asked):
    access, options = asked("derate --site s --shed 20kW --for 4h --at 17:00 --reason fans --id f")
    assert access == Access(None, None, "s")
    assert options == DerateOptions("20kW", "4h", "fans", "17:00", "f")
    assert asked("derates --json --controller http://10.0.0.6:8090") == (Access("http://10.0.0.6:8090"), True)
    assert asked("derate-end f") == (Access(), "f")


@pytest.mark.parametrize("line", ["derate --for 4h --reason x", "derate --shed 1kW --reason x", "derate --shed 1kW"])
def test_how_much_how_long_and_why_must_be_said(line):
    assert CliRunner().invoke(derate_cli.derate_app, line.split()).exit_code == 2
