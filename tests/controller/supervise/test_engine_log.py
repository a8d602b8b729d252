import os
import shutil

import pytest

from controller.supervise.engine_log import TAIL_LINES, EngineLog


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a-0.log"


def written(log, text):
    descriptor = log.open()
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)


def test_a_log_below_its_bound_is_left_alone(path):
    log = EngineLog(path, 10, 2)
    assert log.bound() is None
    written(log, b"123456789")
    assert log.bound() is None
    assert path.read_bytes() == b"123456789"


def test_older_logs_are_kept_up_to_their_number_and_the_writer_goes_on(path):
    log = EngineLog(path, 10, 2)
    descriptor = log.open()
    for text in (b"1st 1st 1st", b"2nd 2nd 2nd", b"3rd 3rd 3rd"):
        os.write(descriptor, text)
        assert log.bound() is None
        assert path.read_bytes() == b""
    os.write(descriptor, b"4th")
    os.close(descriptor)
    assert path.read_bytes() == b"4th"  # at the begin, not behind a hole
    assert path.with_name("a-0.log.1").read_bytes() == b"3rd 3rd 3rd"
    assert path.with_name("a-0.log.2").read_bytes() == b"2nd 2nd 2nd"
    assert len(list(path.parent.iterdir())) == 3


def test_none_older_are_kept_where_that_is_asked_for(path):
    log = EngineLog(path, 10, 0)
    written(log, b"12345678901")
    assert log.bound() is None
    assert [found.name for found in path.parent.iterdir()] == ["a-0.log"]


def test_on_a_full_disk_the_log_is_emptied_and_that_is_told(path, monkeypatch):
    def full(*_):
        path.with_name("a-0.log.1").write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    log = EngineLog(path, 10, 2)
    written(log, b"12345678901")
    assert "cannot be kept: No space left on device; what it held is lost" in log.bound()
    assert path.read_bytes() == b""
    assert not path.with_name("a-0.log.1").exists()


def test_the_tail_is_bounded_in_lines_and_in_their_length(path):
    log = EngineLog(path, 1 << 20, 1)
    assert log.tail() == ()
    written(log, b"".join(b"line %d \xff\n" % n for n in range(100)) + b"x" * 2000 + b"\n")
    tail = log.tail()
    assert len(tail) == TAIL_LINES
    assert tail[-2] == "line 99 \ufffd"
    assert len(tail[-1]) == 500
