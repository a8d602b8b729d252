import contextlib
import csv
import datetime
import io
import json

import pytest

from controller.commands import meter_command, meter_import
from controller.commands.meter_command import BaselineOptions, ExportOptions
from controller.commands.meter_import import ImportOptions
from controller.errors import ConfigError
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.settings.baselines import BaselineSettings
from controller.store.interval_csv import MeterUnit
from controller.store.meter import FILE_NAME, MeterStore
from tests.fakes.meter_files import HOURS, utility_settings
from tests.fakes.meter_files import import_options as options
from tests.fakes.metered import at

UTC = datetime.UTC


@pytest.fixture
def settings(tmp_path):
    return utility_settings(tmp_path)


def test_an_import_makes_ten_of_ten_work_on_the_first_day(settings, capsys):
    meter_import.import_file(settings, options(event_days=("2024-08-13",)))
    assert "30240 min written, 1 days of events marked" in capsys.readouterr().out
    asked = BaselineOptions("utility", datetime.datetime(2024, 8, 20, 17), 2.0, as_json=False)
    meter_command.baseline(settings, asked)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("baseline 4")
    assert lines[0].endswith("kW, 10_of_10, direct")
    assert sum(line.endswith("used") for line in lines) == 10
    assert "2024-08-13             -  an event" in lines
    # By hand from the file: the hours 17 and 18 of the ten days, times the hours 13 to 15 of the 20th over theirs.
    rows = {row["start"]: float(row["kWh"]) for row in csv.DictReader(io.StringIO(HOURS.read_text()))}
    days = (19, 16, 15, 14, 12, 9, 8, 7, 6, 5)
    mean = sum(rows[f"2024-08-{day:02}T{hour}:00"] for day in days for hour in (17, 18)) / 20
    before = sum(rows[f"2024-08-{day:02}T{hour}:00"] for day in days for hour in (13, 14, 15)) / 30
    today = sum(rows[f"2024-08-20T{hour}:00"] for hour in (13, 14, 15)) / 3
    assert float(lines[0].split()[1]) == pytest.approx(mean * today / before, abs=1e-3)


def with_rule(settings, **rule):
    entry = settings.programmes["utility"]
    changed = entry.model_copy(update={"baseline": BaselineSettings.model_validate(rule)})
    return settings.model_copy(update={"programmes": {"utility": changed}})


def test_high_four_of_five_of_a_utilitys_file_by_hand(settings, capsys):
    """Hours 17 and 18 of the four highest of five days, and what the 20th drew more from 13 to 15 h than those."""
    meter_import.import_file(settings, options(event_days=("2024-08-13",)))
    capsys.readouterr()
    asked = BaselineOptions("utility", datetime.datetime(2024, 8, 20, 17), 2.0, as_json=False)
    meter_command.baseline(with_rule(settings, method="high_4_of_5", adjust_form="additive"), asked)
    lines = capsys.readouterr().out.splitlines()
    rows = {row["start"]: float(row["kWh"]) for row in csv.DictReader(io.StringIO(HOURS.read_text()))}

    def mean(day, hours):
        return sum(rows[f"2024-08-{day:02}T{hour}:00"] for hour in hours) / len(hours)

    used = sorted((19, 16, 15, 14, 12), key=lambda day: mean(day, (17, 18)))[1:]
    more = mean(20, (13, 14, 15)) - sum(mean(day, (13, 14, 15)) for day in used) / 4
    expected = sum(mean(day, (17, 18)) for day in used) / 4 + more
    assert float(lines[0].split()[1]) == pytest.approx(expected, abs=1e-3)
    assert lines[-1] == f"same-day adjustment {more * 1e3:+.3f} W: {more * 1e3:+.3f} W without a cap"


def test_a_regression_is_told_with_its_coefficients(settings, capsys):
    meter_import.import_file(settings, options())
    capsys.readouterr()
    asked = BaselineOptions("utility", datetime.datetime(2024, 8, 20, 17), 2.0, as_json=False)
    meter_command.baseline(with_rule(settings, method="regression"), asked)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("kW, regression, direct")
    assert any(line.startswith("regression of 456 hours, RRMSE") for line in lines)
    assert any(line.split()[:2] == ["hour_of_day", "17"] for line in lines)
    assert any(line.split()[:2] == ["day_of_week", "Tuesday"] for line in lines)


def test_an_export_tells_gaps_quality_and_the_energy_that_was_measured(settings, capsys, tmp_path):
    with contextlib.closing(MeterStore(settings.controller.data_dir / FILE_NAME)) as store:
        for second in range(91):
            store.take(at("2024-08-14T17:00") + second, 6000.0, Quality.ESTIMATED)
    start = datetime.datetime.fromtimestamp(at("2024-08-14T17:00"), UTC)
    out = tmp_path / "out.csv"
    meter_command.export(settings, ExportOptions(start, start + datetime.timedelta(minutes=3), 60.0, out))
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["flag"] for row in rows] == ["", "partial", "gap"]
    assert [row["mean_w"] for row in rows] == ["6000.000", "6000.000", ""]
    assert [row["energy_kwh"] for row in rows] == ["0.100000000", "0.050000000", ""]
    assert [row["quality"] for row in rows] == ["estimated", "estimated", ""]
    assert rows[0]["start"] == "2024-08-15T00:00:00Z"
    meter_command.export(settings, ExportOptions(start, start + datetime.timedelta(seconds=5), 1.0, None))
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_an_export_can_be_imported_again(settings, tmp_path):
    meter_import.import_file(settings, options())
    start = datetime.datetime(2024, 8, 2, tzinfo=UTC)
    out = tmp_path / "out.csv"
    asked = ExportOptions(start, start + datetime.timedelta(days=1), 900.0, out)
    meter_command.export(settings, asked)
    first = out.read_text()
    back = ImportOptions(out, MeterUnit.W, time_column="start", value_column="mean_w")
    meter_import.import_file(settings, back)
    meter_command.export(settings, asked)
    assert out.read_text() == first


def test_times_that_are_none_are_told(settings):
    start = datetime.datetime(2024, 8, 2)
    with pytest.raises(ConfigError, match="is not before --until"):
        meter_command.export(settings, ExportOptions(start, start, 900.0, None))


def test_what_was_never_measured_is_told_and_not_made(settings):
    for ask in (meter_command.status, lambda s: meter_command.export(s, ExportOptions(None, None, 900.0, None))):
        with pytest.raises(ConfigError, match="nothing was measured or imported yet"):
            ask(settings)
    assert not (settings.controller.data_dir / FILE_NAME).exists()


def test_the_status_tells_days_and_events(settings, capsys):
    meter_import.import_file(settings, options(event_days=("2024-08-13",)))
    capsys.readouterr()
    meter_command.status(settings)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("minutes from 2024-08-01T07:00:00Z to 2024-08-22T07:00:00Z")
    assert lines[-1] == "1 events, the last one from 2024-08-13T07:00:00Z"
    assert any(line.startswith("2024-08-21    100.0%") for line in lines)


def test_a_baseline_that_is_not_by_the_rule_is_told(settings, capsys):
    meter_import.import_file(settings, options())
    capsys.readouterr()
    asked = BaselineOptions("utility", datetime.datetime(2024, 8, 8, 17), 1.0, as_json=True)
    meter_command.baseline(settings, asked)
    made = json.loads(capsys.readouterr().out)
    assert (made["asked"], made["method"]) == ("10_of_10", "hour_before")
    assert "5 like days (working) of 10" in made["reason"]


def test_a_programme_that_is_not_configured_is_told(settings):
    meter_import.import_file(settings, options())
    with pytest.raises(ConfigError, match=r"--programme 'x' is not configured; there are operator, utility"):
        meter_command.baseline(settings, BaselineOptions("x", datetime.datetime(2024, 8, 8), 1.0, as_json=False))


def test_a_gap_is_a_row_without_figures():
    assert meter_command.row_of(Mean(0.0, 60.0, None, None, 0.0))[2:] == ("", "", "", "0", "gap")
