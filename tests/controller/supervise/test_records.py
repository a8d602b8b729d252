import json

import pytest

from controller.errors import ConfigError, StoreError
from controller.supervise.proc_table import Mark
from controller.supervise.records import Record, Records

RECORD = Record("a-0", True, "http://127.0.0.1:9", ("GPU-0",), Mark(7, 8, "boot"), "f", 3, "exit code 1")


@pytest.fixture
def records(tmp_path):
    opened = Records(tmp_path / "engines")
    yield opened
    opened.close()


def test_a_record_comes_back_as_it_was_written(records):
    idle = Record("b-0", False, "http://127.0.0.1:10", ())
    for record in (RECORD, idle):
        records.write(record)
    assert list(records.read()) == [RECORD, idle]
    records.drop("a-0")
    records.drop("a-0")
    assert list(records.read()) == [idle]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "0", '"x"', "null", "true", '{"version": 9}', '{"version": 1, "mark": {}}', "\x00"]
)
def test_one_that_cannot_be_understood_is_moved_aside_and_told(records, tmp_path, caplog, text):
    records.write(RECORD)
    path = tmp_path / "engines" / "b-0.engine.json"
    path.write_text(text)
    assert list(records.read()) == [RECORD]
    assert not path.exists()
    assert path.with_name("b-0.engine.json.unreadable").read_text() == text
    assert "record of an engine is not readable" in caplog.text


def test_a_record_that_cannot_be_written_is_told_and_the_old_one_stays(records, tmp_path):
    records.write(RECORD)
    (tmp_path / "engines" / "a-0.engine.json.new").mkdir()
    with pytest.raises(StoreError, match=r"a-0\.engine\.json: cannot be written"):
        records.write(Record("a-0", False, "", ()))
    assert json.loads((tmp_path / "engines" / "a-0.engine.json").read_text())["wanted"] is True


def test_a_folder_is_held_by_one_supervisor_at_a_time(tmp_path):
    first = Records(tmp_path)
    with pytest.raises(ConfigError, match="another supervisor has it"):
        Records(tmp_path)
    first.close()
    Records(tmp_path).close()


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"state_dir .*file: cannot be used"):
        Records(tmp_path / "file")
