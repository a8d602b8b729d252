import asyncio
import signal
import subprocess
from dataclasses import replace

import pytest

from controller.errors import ActuationError
from controller.supervise.fleet import NoSuchEngine
from controller.supervise.policy import Phase
from tests.fakes.engine_fleet import RULES, engine_fleet, leave_record, stray_engine, until
from tests.fakes.engine_specs import engine_spec


async def test_two_that_share_a_gpu_never_run_at_once(tmp_path):
    first = engine_spec("a-0", gpu_uuids=("GPU-x", "GPU-y"))
    second = engine_spec("b-0", gpu_uuids=("GPU-y",), is_initially_on=False)
    async with engine_fleet(tmp_path, first, second) as fleet:
        one, other = fleet.engines
        await until(one, Phase.SERVING)
        with pytest.raises(ActuationError, match="b-0: GPU GPU-y is taken by a-0; stop that one first"):
            fleet.order("b-0", wanted=True)
        assert other.life.wanted is False
        fleet.order("a-0", wanted=False)
        await until(one, Phase.OFF)
        fleet.order("b-0", wanted=True)
        await until(other, Phase.SERVING)
        with pytest.raises(ActuationError, match="a-0: GPU GPU-y is taken by b-0"):
            fleet.order("a-0", wanted=True)


async def test_of_two_that_are_to_begin_on_one_gpu_the_first_of_the_configuration_does(tmp_path):
    async def look_long_for_the_first(instance_id, _):
        await asyncio.sleep(0.3 if instance_id == "a-0" else 0.0)

    specs = [engine_spec(name, gpu_uuids=("GPU-x",)) for name in ("a-0", "b-0")]
    async with engine_fleet(tmp_path, *specs, refuse_absent=look_long_for_the_first) as fleet:
        one, other = fleet.engines
        await until(one, Phase.SERVING)
        await until(other, Phase.WAITING)
        assert other.life.fault == "GPU GPU-x is taken by a-0; stop that one first"
        assert other.pid is None


async def test_one_waits_for_an_address_as_long_as_an_own_engine_ends_and_then_begins(tmp_path):
    first = engine_spec("a-0", environment={"FAKE_VLLM": "deaf"})
    second = engine_spec("b-0", url=first.url, argv=first.argv, is_initially_on=False)
    rules = replace(RULES, stop_s=4.0, first_s=0.1, longest_s=0.1)  # were it a crash, it was given up after 0.3 s
    async with engine_fleet(tmp_path, first, second, rules=rules) as fleet:
        one, other = fleet.engines
        await until(one, Phase.SERVING)
        fleet.order("a-0", wanted=False)
        await until(one, Phase.STOPPING)
        other.order(wanted=True)  # as one that the configuration gave the other's address, and that runs at once
        await until(other, Phase.WAITING)
        assert other.fault == f"{first.url} is the address of a-0; stop that one first"
        await until(one, Phase.OFF)
        await until(other, Phase.SERVING)
        assert (other.life.crashes, other.record.restarts, other.fault) == ((), 0, "")


async def test_one_address_is_given_to_one_engine(tmp_path):
    first = engine_spec("a-0")
    second = engine_spec("b-0", url=first.url, argv=first.argv, is_initially_on=False)
    async with engine_fleet(tmp_path, first, second) as fleet:
        await until(fleet.find("a-0"), Phase.SERVING)
        with pytest.raises(ActuationError, match="is the address of a-0"):
            fleet.order("b-0", wanted=True)


async def test_an_unknown_name_is_refused_with_those_there_are(tmp_path):
    async with engine_fleet(tmp_path, engine_spec(is_initially_on=False)) as fleet:
        with pytest.raises(NoSuchEngine, match="c-9: no such engine; there are a-0"):
            fleet.order("c-9", wanted=True)


async def test_an_engine_that_is_not_configured_any_more_can_be_stopped_but_not_started(tmp_path):
    with stray_engine(tmp_path) as stray:
        async with engine_fleet(tmp_path, engine_spec("b-0", is_initially_on=False)) as fleet:
            engine = fleet.find("a-0")
            await until(engine, Phase.SERVING)
            with pytest.raises(ActuationError, match="does not say how it is started any more"):
                fleet.order("a-0", wanted=True)
            fleet.order("a-0", wanted=False)
            await until(engine, Phase.OFF)
            assert stray.wait(10) == -signal.SIGTERM
            assert [engine.spec.instance_id for engine in fleet.engines] == ["b-0"]


async def test_the_record_of_one_that_neither_runs_nor_is_configured_is_dropped(tmp_path):
    gone = subprocess.Popen(["true"], start_new_session=True)
    leave_record(tmp_path, "a-0", gone.pid)
    gone.wait()
    async with engine_fleet(tmp_path, engine_spec("b-0", is_initially_on=False)) as fleet:
        assert [engine.spec.instance_id for engine in fleet.engines] == ["b-0"]
    assert not list(tmp_path.glob("a-0*"))
