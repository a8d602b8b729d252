import contextlib
import datetime
import io
from pathlib import Path

import pytest

from controller.commands import meter_import
from controller.errors import ConfigError
from controller.store.meter import FILE_NAME, MeterStore
from tests.fakes.meter_files import HOURS, utility_settings
from tests.fakes.meter_files import import_options as options
from tests.fakes.metered import at

UTC = datetime.UTC


@pytest.fixture
def settings(tmp_path):
    return utility_settings(tmp_path)


def test_a_dry_run_writes_nothing(settings, capsys):
    meter_import.import_file(settings, options(is_dry=True))
    out = capsys.readouterr().out
    assert "504 intervals of 60 min from 2024-08-01T07:00:00Z" in out
    assert "nothing was written" in out
    assert not (settings.controller.data_dir / FILE_NAME).exists()


def test_an_import_tells_gaps_and_what_was_measured_here(settings, capsys, tmp_path):
    with contextlib.closing(MeterStore(settings.controller.data_dir / FILE_NAME)) as store:
        for second in range(60):
            store.take(at("2024-08-14T17:00") + second, 1000.0)
    file = tmp_path / "two.csv"
    file.write_text("start,kWh\n2024-08-14T17:00,1\n2024-08-14T17:15,\n2024-08-14T17:30,1\n")
    meter_import.import_file(settings, options(file, interval_s=900.0))
    out = capsys.readouterr().out
    assert "33.3% of that time is missing: 1 rows blank" in out
    assert "29 min written, 0 days of events marked; 1 min that were measured here stay" in out


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"file": Path("absent.csv")}, "absent.csv: cannot be read: No such file"),
        ({"timezone": "Mars/Olympus"}, "--timezone 'Mars/Olympus' is not known"),
        ({"event_days": ("13.8.2024",)}, "--event-day '13.8.2024' is no date"),
        ({"value_column": "kW"}, "meter.csv: no column is called 'kW'"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(settings, more, told):
    with pytest.raises(ConfigError, match=told):
        meter_import.import_file(settings, options(**more))
    assert not (settings.controller.data_dir / FILE_NAME).exists()


def test_the_standard_input_is_read_and_files_that_are_too_large_are_refused(settings, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(HOURS.read_text()))
    meter_import.import_file(settings, options(Path("-")))
    assert "30240 min written" in capsys.readouterr().out
    monkeypatch.setattr(meter_import, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ConfigError, match="import a part at a time"):
        meter_import.import_file(settings, options())
    monkeypatch.setattr("sys.stdin", io.StringIO(HOURS.read_text()))
    with pytest.raises(ConfigError, match="import a part at a time"):
        meter_import.import_file(settings, options(Path("-")))


def test_a_file_that_is_no_text_is_told(settings, tmp_path):
    file = tmp_path / "sheet.xls"
    file.write_bytes(b"start,kWh\n\xff\xfe\x00")
    with pytest.raises(ConfigError, match="save it as CSV in UTF-8"):
        meter_import.import_file(settings, options(file))
