"""The source as the controller and the agent use it: on emulated GPUs (stub.c), and on real ones where there are."""

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from controller.clock import SystemClock, VirtualClock
from controller.errors import ConfigError
from controller.model.observation import Missing, Reading
from controller.signals.power.nvml_source import HANG_S, NvmlSource
from tests.fakes.nvml import stub as nvml
from tests.fakes.nvml.cost import measured
from tests.fakes.nvml.stub import needs_a_compiler

T = 1_763_750_000.0
ENOUGH_S = 20.0


@pytest.fixture
def stub(tmp_path):
    with nvml.loaded(tmp_path) as loaded:
        yield loaded


class Polled:
    """A source whose polls a test can wait for."""

    def __init__(self, clock, **options):
        self.source = NvmlSource(clock, **options)
        self._done = threading.Semaphore(0)
        self.source.on_poll(self._done.release)

    def __enter__(self):
        self.source.start()
        return self

    def __exit__(self, *_):
        self.source.close()

    def wait(self, polls=1):
        for _ in range(polls):
            assert self._done.acquire(timeout=ENOUGH_S)


@needs_a_compiler
async def test_readings_come_by_uuid_from_a_thread(stub):
    stub.add(uuid="GPU-a", energy=1_000_000, power=400_000)
    with Polled(VirtualClock(T), interval_s=0.1) as polled:
        polled.wait()
        readings, errors = await polled.source.read(T)
    assert errors == ()
    assert readings["GPU-a"] == Reading(400.0, 1000.0, T, "nvml power usage", "direct")
    board = polled.source.boards()["GPU-a"]
    assert board.name
    assert board.driver


@needs_a_compiler
async def test_the_counter_is_followed_in_real_time(stub):
    """The stub's counter grows by 400 W of the machine's clock."""
    stub.add(uuid="GPU-a", draw=400_000)
    with Polled(SystemClock(), interval_s=0.1) as polled:
        polled.wait(25)
        while polled.source.latest().gpus[0].reading.source != "nvml energy counter":
            polled.wait()
        readings, _ = await polled.source.read(time.time())
    assert readings["GPU-a"].value_w == pytest.approx(400.0, rel=0.2)


async def test_before_the_first_poll_nothing_is_known():
    readings, (error,) = await NvmlSource(VirtualClock(T)).read(T)
    assert readings == {}
    assert "not read yet" in str(error)


@needs_a_compiler
async def test_a_call_that_hangs_is_a_state_that_names_it_and_the_reader_does_not_wait(stub):
    stub.add(uuid="GPU-a")
    clock = VirtualClock(T)
    with Polled(clock, interval_s=0.1) as polled:
        polled.wait(2)
        stub.set(hang_ms=3000)
        while not (doing := polled.source._library.doing) or time.sleep(0.3) or polled.source._library.doing != doing:
            time.sleep(0.01)
        clock.advance(HANG_S + 1)
        readings, errors = await polled.source.read(T + HANG_S + 1)
        assert isinstance(readings["GPU-a"], Missing)
        assert readings["GPU-a"].since_s == pytest.approx(T, abs=1)
        assert f"6 s: {doing} hangs" in str(errors[0])
        assert "of GPU-a" in doing
        stub.set(hang_ms=None)
        polled.wait(2)
        readings, errors = await polled.source.read(T + HANG_S + 1)
        assert isinstance(readings["GPU-a"], Reading)
        assert errors == ()


@needs_a_compiler
async def test_a_missing_library_or_driver_is_a_state(stub):
    stub.set(init=nvml.NOT_LOADED)
    with Polled(VirtualClock(T), interval_s=0.1) as polled:
        polled.wait()
        readings, (error,) = await polled.source.read(T)
    assert readings == {}
    assert "not loaded" in str(error)


async def test_a_fault_of_its_own_does_not_end_the_thread(monkeypatch):
    polled = Polled(VirtualClock(T), interval_s=0.1)
    monkeypatch.setattr(polled.source._reader, "poll", lambda now: 1 / 0)
    with polled:
        polled.wait(3)
        _, (error,) = await polled.source.read(T)
    assert "ZeroDivisionError" in str(error)


@pytest.mark.parametrize("interval_s", [0.05, 1.5, float("nan")])
def test_a_pace_that_wears_the_driver_or_is_too_slow_is_refused(interval_s):
    with pytest.raises(ConfigError, match=r"every 0\.1 to 1 s"):
        NvmlSource(VirtualClock(T), interval_s=interval_s)


@needs_a_compiler
def test_eight_gpus_at_five_hertz_cost_less_than_a_hundredth_of_a_core(tmp_path):
    """Processor time of the process, so that other work on the machine does not count; without the driver's own."""
    stub = nvml.NvmlStub(tmp_path)
    for _ in range(8):
        stub.add(draw=400_000)
    result = measured(0.2, 5.0, **stub.environment)
    sys.stdout.write(f"8 emulated GPUs at 5 Hz: {100 * result['cpu_frac']:.2f} % of a core\n")
    assert len(result["gpus"]) == 8
    assert result["cpu_frac"] < 0.01


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="this machine has no NVIDIA driver")
def test_real_gpus_are_read_and_cost_less_than_a_hundredth_of_a_core():
    result = measured(0.2, 10.0)
    sys.stdout.write(json.dumps(result, indent=1))
    assert result["faults"] == []
    assert result["gpus"]
    for _uuid, _name, method, power_w, energy_j in result["gpus"]:
        assert method in ("energy counter", "instant power", "power usage")
        assert 1 < power_w < 3000
        assert energy_j > 0
    assert result["cpu_frac"] < 0.01
