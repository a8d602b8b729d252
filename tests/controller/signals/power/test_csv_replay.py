import pytest

from controller.errors import ConfigError
from controller.model.observation import Missing, Quality
from controller.signals.power.csv_replay import CsvGpuSource, CsvMeter, ReplayTimes

START_S = 5000.0


def written(folder, *rows: str, heading: str = "time,uuid,power_w,energy_j"):
    file = folder / "power.csv"
    file.write_text("\n".join((heading, *rows)) + "\n")
    return file


async def test_rows_come_when_their_time_comes_in_any_order_of_the_file(tmp_path):
    file = written(tmp_path, "110,A,320,3200", "100,A,300,0", "100,B,200,")
    source = CsvGpuSource(file, ReplayTimes(), START_S)
    first, errors = await source.read(START_S)
    assert errors == ()
    assert (first["A"].value_w, first["A"].energy_j, first["A"].observed_at_s) == (300.0, 0.0, START_S)
    assert first["B"].energy_j is None
    assert first["A"].quality is Quality.EMULATED
    later = (await source.read(START_S + 12))[0]
    assert (later["A"].value_w, later["A"].observed_at_s) == (320.0, START_S + 10)
    assert later["B"].observed_at_s == START_S  # B's last row grows old, as a source that stopped


async def test_a_replay_may_begin_later_and_run_faster(tmp_path):
    file = written(tmp_path, "2026-03-01T12:00:00Z,A,300,", "2026-03-01T12:01:00Z,A,400,", "2026-03-01T12:01:30Z,B,9,")
    source = CsvGpuSource(file, ReplayTimes(1772366430.0, speed=10.0), START_S)
    readings, _ = await source.read(START_S + 3)
    assert (readings["A"].value_w, readings["A"].observed_at_s) == (400.0, START_S + 3)
    assert isinstance(readings["B"], Missing)
    assert "begins later than 2026-03-01T12:01:00Z" in readings["B"].reason


async def test_a_meter_has_no_uuid_and_may_export(tmp_path):
    file = written(tmp_path, "100,41000", "105,-500", heading="time,power_w")
    meter = CsvMeter(file, ReplayTimes(), START_S)
    assert (await meter.read(START_S + 1)).value_w == 41000.0
    assert (await meter.read(START_S + 6)).value_w == -500.0


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ((), "no rows"),
        (("100,A,437,5,9",), r"power\.csv:2: more cells than the heading's 4; write 437\.5 with a point"),
        (("100,A,300,0", "x,A,300,0"), r"power\.csv:3: time 'x' is neither"),
        (("1e99,A,300,0",), r"power\.csv:2: time '1e99' is not in seconds"),
        (("100,A,three,0",), r"power\.csv:2: power_w 'three' is not a finite number"),
        (("100,A,nan,0",), r"power\.csv:2: power_w 'nan'"),
        (("100,A,-3,0",), r"power\.csv:2: power_w -3 is negative"),
        (("100,A,300,many",), r"power\.csv:2: energy_j 'many'"),
        (("100, ,300,0",), r"power\.csv:2: no uuid"),
        (("100",), r"power\.csv:2: no uuid"),
    ],
)
def test_bad_rows_are_told_by_file_and_line(tmp_path, rows, told):
    with pytest.raises(ConfigError, match=told):
        CsvGpuSource(written(tmp_path, *rows), ReplayTimes(), START_S)


def test_a_file_that_cannot_be_replayed_is_told(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        CsvMeter(tmp_path / "absent.csv", ReplayTimes(), START_S)
    with pytest.raises(ConfigError, match="there is no column 'uuid'; the file has 'time', 'power_w'"):
        CsvGpuSource(written(tmp_path, "1,2", heading="time,power_w"), ReplayTimes(), START_S)
    with pytest.raises(ConfigError, match="holds nothing at data_start"):
        CsvGpuSource(written(tmp_path, "100,A,300,0"), ReplayTimes(9000.0), START_S)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as CSV"):
        CsvMeter(tmp_path / "binary.csv", ReplayTimes(), START_S)


async def test_a_file_of_a_spreadsheet_is_read(tmp_path):
    file = tmp_path / "meter.csv"
    file.write_bytes("\ufefftime,power_w\r\n100,41000\r\n".encode())
    assert (await CsvMeter(file, ReplayTimes(), START_S).read(START_S)).value_w == 41000.0


def test_an_empty_file_is_told(tmp_path):
    file = tmp_path / "power.csv"
    file.write_text("")
    with pytest.raises(ConfigError, match=r"power\.csv: the file is empty; its first line names the columns"):
        CsvGpuSource(file, ReplayTimes(), START_S)
