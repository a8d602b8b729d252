import asyncio
import os
import signal
from dataclasses import replace

from controller.errors import ActuationError, StoreError
from controller.supervise.policy import Phase
from controller.supervise.proc_table import Mark
from tests.fakes.engine_fleet import RULES, engine_fleet, stray_engine, until
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


async def test_an_engine_that_no_later_supervisor_could_find_is_not_left_running(tmp_path):
    async with engine_fleet(tmp_path, engine_spec()) as fleet:
        (engine,) = fleet.engines
        written = []

        def full(record):
            written.append(record)
            raise StoreError("the disk is full; free some space")

        engine._tools.records.write = full
        await until(engine, Phase.FAILED)
        assert "the disk is full; free some space" in engine.life.fault
        assert engine.pid is None
        started = [record.mark for record in written if record.mark is not None]
        assert len(started) == 3
        assert not any(_runs(mark) for mark in started)


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
