import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from controller.errors import ActuationError, StoreError
from controller.supervise.engine import POLL_S
from controller.supervise.engine_process import UNKNOWN_ENDING, EngineProcess
from controller.supervise.launching import NotYet
from controller.supervise.policy import Phase
from controller.supervise.proc_table import Mark
from tests.fakes.engine_fleet import RULES, engine_fleet, leave_record, stray_engine, until
from tests.fakes.engine_specs import engine_spec


async def test_one_that_crashes_while_it_serves_is_started_again(tmp_path):
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        before = engine.pid
        os.kill(before, signal.SIGKILL)
        await until(engine, Phase.SERVING, lambda: engine.pid not in (None, before))
        assert (engine.record.restarts, engine.record.last_exit) == (1, "signal SIGKILL")


async def test_an_engine_whose_log_cannot_be_opened_runs_all_the_same_and_that_is_told(tmp_path):
    (tmp_path / "a-0.log").mkdir()
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        assert "a-0.log: Is a directory; its output is not kept" in engine.log_fault


async def test_a_fault_of_a_log_is_told_until_a_copy_is_kept_and_logged_as_it_begins_and_ends(
    tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO")

    def full(*_):
        raise OSError(28, "No space left on device")

    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        with monkeypatch.context() as during:
            during.setattr(shutil, "copyfile", full)
            os.truncate(engine.log.path, 2 << 20)
            await until(engine, Phase.SERVING, lambda: engine.log_fault != "")
            await asyncio.sleep(3 * POLL_S)
            assert "cannot be kept: No space left on device" in engine.log_fault
        os.truncate(engine.log.path, 2 << 20)
        await until(engine, Phase.SERVING, lambda: engine.log_fault == "")
        assert (tmp_path / "a-0.log.1").exists()
    told = [record.message for record in caplog.records if record.message.startswith("log of an engine")]
    assert told == ["log of an engine is not kept", "log of an engine is kept again"]


async def test_a_log_that_was_removed_is_told_until_the_engine_is_started_again(tmp_path):
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        engine.log.path.unlink()
        await until(engine, Phase.SERVING, lambda: "was moved or removed" in engine.log_fault)
        before = engine.pid
        os.kill(before, signal.SIGKILL)
        await until(engine, Phase.SERVING, lambda: engine.pid not in (None, before))
        await asyncio.sleep(2 * POLL_S)
        assert engine.log_fault == ""


async def test_an_engine_that_is_off_has_no_fault_of_its_log(tmp_path):
    (tmp_path / "a-0.log").mkdir()
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING, lambda: engine.log_fault != "")
        engine.order(wanted=False)
        await until(engine, Phase.OFF)
        assert engine.log_fault == ""


async def test_an_engine_that_no_later_supervisor_could_find_is_not_left_running(tmp_path):
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        written = []

        def full(record):
            written.append(record)
            raise StoreError("the disk is full; free some space")

        whole, engine._tools.records.write = engine._tools.records.write, full
        await until(engine, Phase.WAITING, lambda: len(written) > 5)
        assert (engine.fault, engine.pid) == ("the disk is full; free some space", None)
        (mark,) = [record.mark for record in written if record.mark is not None]  # none was started in vain after it
        assert not _runs(mark)
        engine._tools.records.write = whole
        await until(engine, Phase.SERVING)
        assert (engine.fault, engine.record.restarts) == ("", 0)


async def test_a_crashed_one_waits_for_its_record_and_is_not_given_up(tmp_path):
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        with no_room(tmp_path):
            os.kill(engine.pid, signal.SIGKILL)
            await until(engine, Phase.WAITING)
            assert "a-0.engine.json: cannot be written" in engine.fault
            assert len(engine.life.crashes) == 1
        await until(engine, Phase.SERVING)


async def test_a_stop_that_could_not_be_written_is_written_once_there_is_room(tmp_path, caplog):
    path = tmp_path / "a-0.engine.json"
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        with no_room(tmp_path):
            engine.order(wanted=False)
            assert "a-0.engine.json: cannot be written" in engine.fault
            assert "a later supervisor does not know what was ordered last" in engine.fault
            await until(engine, Phase.OFF)
            assert engine.fault
            assert json.loads(path.read_text())["wanted"] is True
        await until(engine, Phase.OFF, lambda: not engine.fault)
        assert json.loads(path.read_text())["wanted"] is False
    told = [record.message for record in caplog.records if record.message.startswith("record of an engine")]
    assert told.count("record of an engine not written") == 1


@contextlib.contextmanager
def no_room(folder: Path) -> Iterator[None]:
    """The record of `a-0` cannot be written."""
    (folder / "a-0.engine.json.new").mkdir()
    try:
        yield
    finally:
        (folder / "a-0.engine.json.new").rmdir()


async def test_one_waits_for_what_is_left_of_the_one_before(tmp_path):
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        whole, engine.process.begin = engine.process.begin, _left
        os.kill(engine.pid, signal.SIGKILL)
        await until(engine, Phase.WAITING)
        assert engine.fault == "processes of the one before have not ended yet: 7"
        assert len(engine.life.crashes) == 1
        engine.process.begin = whole
        await until(engine, Phase.SERVING)


def _left(*_):
    raise NotYet("a-0", "processes of the one before have not ended yet: 7")


def _runs(mark: Mark) -> bool:
    try:
        os.kill(mark.pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_one_whose_gpu_is_not_there_is_not_started(tmp_path):
    async def absent(instance_id, gpu_uuids):
        raise ActuationError(instance_id, f"GPU {gpu_uuids[0]} is not in this machine")

    async with engine_fleet(tmp_path, engine_spec(), refuse_absent=absent) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.FAILED)
        assert "GPU GPU-a-0 is not in this machine" in engine.life.fault
        assert not (tmp_path / "a-0.log").exists()


async def test_a_stop_that_comes_while_gpus_are_looked_for_is_obeyed(tmp_path):
    looking, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_):
        looking.set()
        await go_on.wait()

    async with engine_fleet(tmp_path, engine_spec(), refuse_absent=slow) as fleet:
        (engine,) = fleet.engines
        await looking.wait()
        engine.order(wanted=False)
        go_on.set()
        await until(engine, Phase.OFF)
        assert engine.pid is None
        assert not (tmp_path / "a-0.log").exists()


async def test_one_that_hangs_is_started_again_where_that_is_asked_for(tmp_path):
    async with engine_fleet(tmp_path, engine_spec(), rules=replace(RULES, hung_s=0.1)) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        before = engine.pid
        os.kill(before, signal.SIGSTOP)
        await until(engine, Phase.STOPPING)
        assert "/health failed for" in engine.life.ends_for
        os.kill(before, signal.SIGCONT)
        await until(engine, Phase.SERVING, lambda: engine.pid not in (None, before))


async def test_a_fault_of_the_watch_is_told_and_does_not_end_it(tmp_path, caplog):
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        await until(engine, Phase.SERVING)
        whole, engine.log.bound = engine.log.bound, None
        await until(engine, Phase.SERVING, lambda: "TypeError" in engine.life.fault)
        engine.log.bound = whole
        await until(engine, Phase.SERVING, lambda: engine.life.fault == "")
        os.kill(engine.pid, signal.SIGKILL)
        await until(engine, Phase.CRASHED)
    assert "watching an engine failed" in caplog.text


async def test_a_fault_at_the_first_look_is_told_and_that_look_is_done_again(tmp_path, monkeypatch):
    def not_allowed(*_):
        raise PermissionError(1, "Operation not permitted")

    gone = subprocess.Popen(["true"], start_new_session=True)
    leave_record(tmp_path, "a-0", gone.pid)
    gone.wait()
    with monkeypatch.context() as during:
        during.setattr(EngineProcess, "kill", not_allowed)
        async with engine_fleet(tmp_path, engine_spec()) as fleet:
            (engine,) = fleet.engines
            await until(engine, Phase.OFF, lambda: "PermissionError" in engine.fault)
            during.undo()
            await until(engine, Phase.SERVING)
            assert engine.record.last_exit == UNKNOWN_ENDING


async def test_one_that_is_not_configured_and_ends_by_itself_is_not_started_again(tmp_path):
    with stray_engine(tmp_path) as stray:
        async with engine_fleet(tmp_path, engine_spec("b-0", is_initially_on=False)) as fleet:
            engine = fleet.find("a-0")
            await until(engine, Phase.SERVING)
            stray.kill()
            stray.wait(10)
            await until(engine, Phase.OFF)
            assert engine.pid is None
        assert not list(tmp_path.glob("a-0*"))
