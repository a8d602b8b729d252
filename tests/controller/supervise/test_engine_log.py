import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

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

    log = EngineLog(path, 10, 2)
    descriptor = log.open()
    os.write(descriptor, b"12345678901")
    with monkeypatch.context() as during:
        during.setattr(shutil, "copyfile", full)
        told = log.bound()
        assert "cannot be kept: No space left on device; what it held is lost" in told
        assert path.read_bytes() == b""
        assert not path.with_name("a-0.log.1").exists()
        assert log.bound() == told
    os.write(descriptor, b"123456789")
    assert log.bound() == told  # there is room again, but nobody has seen that yet
    os.write(descriptor, b"01")
    assert log.bound() is None
    assert log.bound() is None
    assert path.with_name("a-0.log.1").read_bytes() == b"12345678901"
    os.close(descriptor)


def test_a_folder_where_nothing_can_be_removed_is_told_and_no_fault_of_the_watch(path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    log = EngineLog(path, 10, 2)
    written(log, b"12345678901")
    monkeypatch.setattr(Path, "unlink", read_only)
    assert "cannot be kept: Read-only file system" in log.bound()


def test_an_engine_that_is_started_again_begins_without_the_faults_of_its_log(path, monkeypatch):
    monkeypatch.setattr(shutil, "copyfile", lambda *_: Path("/no/such/folder/file").touch())
    log = EngineLog(path, 10, 2)
    written(log, b"12345678901")
    assert log.bound() is not None
    written(log, b"1")
    assert log.bound() is None


def test_the_tail_is_bounded_in_lines_and_in_their_length(path):
    log = EngineLog(path, 1 << 20, 1)
    assert log.tail() == ()
    written(log, b"".join(b"line %d \xff\n" % n for n in range(100)) + b"x" * 2000 + b"\n")
    tail = log.tail()
    assert len(tail) == TAIL_LINES
    assert tail[-2] == "line 99 \ufffd"
    assert len(tail[-1]) == 500


@contextlib.contextmanager
def writer(log, words="exec sleep 600"):
    """A process whose output goes to the log, once it is what it is to be."""
    descriptor = log.open()
    with subprocess.Popen(["sh", "-c", words], stdout=descriptor) as process:
        os.close(descriptor)
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_log_that_was_moved_away_is_told(path, is_made_again):
    log = EngineLog(path, 10, 2)
    with writer(log) as pid:
        assert log.lost(pid) is None
        path.rename(path.with_name("elsewhere"))
        if is_made_again:
            path.touch()
        assert "a-0.log: was moved or removed, the engine writes on where nothing bounds it" in log.lost(pid)
    assert log.lost(pid) is None


def test_a_log_that_was_removed_before_this_supervisor_began_is_told(path):
    with writer(EngineLog(path, 10, 2)) as pid:
        path.unlink()
        assert "was moved or removed" in EngineLog(path, 10, 2).lost(pid)


def test_an_engine_that_writes_elsewhere_by_itself_has_lost_nothing(path, tmp_path):
    own = tmp_path / "own"
    log = EngineLog(path, 10, 2)
    with writer(log, f"exec >{own}; echo; exec sleep 600") as pid:
        while not own.exists() or not own.stat().st_size:
            time.sleep(0.02)
        assert log.lost(pid) is None
    with subprocess.Popen(["true"], stdout=subprocess.DEVNULL) as process:
        assert log.lost(process.pid) is None
