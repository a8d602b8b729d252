from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from controller.commands.meter_cli import Step, meter_app

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
COLUMNS = ["--unit", "kWh", "--time-column", "start", "--value-column", "kWh", "--timezone", "America/Los_Angeles"]


@pytest.fixture
def config(tmp_path):
    document = yaml.safe_load((EXAMPLES / "laptop.yaml").read_text())
    document["controller"]["data_dir"] = str(tmp_path / "data")
    file = tmp_path / "wattroute.yaml"
    file.write_text(yaml.safe_dump(document))
    return ["--config", str(file)]


def ran(*words):
    return CliRunner().invoke(meter_app, [str(word) for word in words])


def test_steps_have_their_length():
    assert [step.seconds for step in Step] == [1.0, 60.0, 300.0, 900.0, 1800.0, 3600.0]


def test_data_go_in_and_out(config):
    assert "30240 min written" in ran("import", EXAMPLES / "meter.csv", *config, *COLUMNS).output
    exported = ran("export", *config, "--from", "2024-08-20", "--until", "2024-08-20T02:00", "--step", "1h").output
    assert len(exported.splitlines()) == 3
    assert "2024-08-21    100.0%" in ran("status", *config).output
    told = ran("baseline", *config, "--at", "2024-08-20T17:00", "--hours", "2").output
    assert told == "baseline 39.141 kW, hour_before, direct\n"


def test_times_may_tell_their_zone(config):
    ran("import", EXAMPLES / "meter.csv", *config, *COLUMNS)
    one = ran("export", *config, "--from", "2024-08-20T02:00+0200", "--until", "2024-08-20T00:15Z").output
    assert one.splitlines()[1].startswith("2024-08-20T00:00:00Z")


def test_a_unit_must_be_said(config):
    result = ran("import", EXAMPLES / "meter.csv", *config)
    assert result.exit_code == 2
    assert "--unit" in result.output
