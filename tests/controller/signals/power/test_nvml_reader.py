"""The reader of all GPUs through the real binding, on emulated GPUs (stub.c)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.observation import Missing, Reading
from controller.signals.power.nvml_gpu import Moment
from controller.signals.power.nvml_library import NvmlLibrary
from controller.signals.power.nvml_reader import FIRST_RETRY_S, MOST_SEARCH_S, NvmlReader
from tests.fakes.nvml import stub as nvml
from tests.fakes.nvml.stub import needs_a_compiler

pytestmark = needs_a_compiler
T = 1_763_750_000.0


@pytest.fixture
def stub(tmp_path):
    with nvml.loaded(tmp_path) as loaded:
        yield loaded


class Bench:
    def __init__(self, stub):
        self.stub, self.at_s = stub, 0.0
        self.reader = NvmlReader(NvmlLibrary())

    def poll(self, at_s):
        self.at_s = at_s
        return self.reader.poll(lambda: Moment(T + at_s, 77.0 + at_s))

    def drive(self, until_s, *powers_w):
        """Polls five times a second while the counters grow by these powers."""
        while self.at_s + 0.2 <= until_s + 1e-9:
            for n, power_w in enumerate(powers_w):
                energy_mj = int(self.stub.values[f"{n}.energy"]) + round(power_w * 200)
                self.stub.gpu(n, energy=energy_mj)
            snapshot = self.poll(self.at_s + 0.2)
        return snapshot


def readings(snapshot):
    return {gpu.uuid: gpu.reading for gpu in snapshot.gpus}


def test_every_gpu_is_read_by_the_best_way_that_it_has(stub):
    stub.add(uuid="GPU-new")
    stub.add(uuid="GPU-old", energy_ret=nvml.NOT_SUPPORTED, instant=250_000)
    stub.add(uuid="GPU-older", energy_ret=nvml.NOT_SUPPORTED, instant_ret=nvml.NOT_SUPPORTED, power=90_000)
    bench = Bench(stub)
    bench.poll(0.0)
    snapshot = bench.drive(3.0, 437.0)
    assert {uuid: (r.value_w, r.source) for uuid, r in readings(snapshot).items()} == {
        "GPU-new": (pytest.approx(437.0), "nvml energy counter"),
        "GPU-old": (pytest.approx(250.0), "nvml instant power"),
        "GPU-older": (pytest.approx(90.0), "nvml power usage"),
    }
    assert snapshot.driver == "580.95.05"
    assert snapshot.faults == ()
    assert snapshot.events["step_down"] == 3


def test_a_driver_that_goes_and_comes_back_is_missing_then_read_on(stub):
    stub.add()
    bench = Bench(stub)
    bench.poll(0.0)
    bench.drive(3.0, 400.0)
    stub.set(init=nvml.NOT_LOADED)
    gone = bench.poll(3.2)
    assert "unloaded" in readings(gone)["GPU-0"].reason
    assert gone.driver is None
    still_gone = bench.poll(5.0)
    assert readings(still_gone)["GPU-0"].since_s == T + 3.2
    assert "not loaded" in str(still_gone.faults[0])
    stub.set(init=None)
    stub.gpu(0, energy=100_000)  # counted anew, 100 J since the driver was loaded
    back = bench.poll(5.0 + 4 * FIRST_RETRY_S)
    assert isinstance(readings(back)["GPU-0"], Reading)
    assert back.faults == ()
    assert back.events["reset"] == 1
    after = bench.drive(13.0, 500.0)
    assert readings(after)["GPU-0"].value_w == pytest.approx(500.0)
    assert readings(after)["GPU-0"].energy_j > 6000.0


def test_a_machine_without_the_driver_is_a_state_and_ends_when_the_driver_comes(stub):
    stub.set(init=nvml.NOT_LOADED)
    bench = Bench(stub)
    snapshot = bench.poll(0.0)
    assert snapshot.gpus == ()
    assert "not loaded" in str(snapshot.faults[0])
    stub.set(init=None)
    stub.add()
    assert bench.poll(FIRST_RETRY_S / 2).gpus == ()  # not asked again at every poll
    assert len(bench.poll(FIRST_RETRY_S).gpus) == 1


def test_a_lost_gpu_is_missing_while_the_others_are_read(stub):
    stub.add(uuid="GPU-a")
    stub.add(uuid="GPU-b")
    bench = Bench(stub)
    bench.poll(0.0)
    bench.drive(3.0, 400.0, 300.0)
    stub.gpu(1, ret=nvml.LOST, handle=nvml.LOST)
    snapshot = bench.drive(120.0, 400.0, 0.0)
    lost = readings(snapshot)["GPU-b"]
    assert isinstance(lost, Missing)
    assert "lost" in lost.reason
    assert lost.since_s == pytest.approx(T + 3.2)
    assert readings(snapshot)["GPU-a"].value_w == pytest.approx(400.0)
    assert "GPU number 1" in str(snapshot.faults[0])
    assert snapshot.events["lost"] == 1
    assert snapshot.events["reopen"] <= 8  # looked for ever more seldom
    stub.gpu(1, ret=None, handle=None)
    bench.poll(120.0 + MOST_SEARCH_S)
    snapshot = bench.drive(120.0 + MOST_SEARCH_S + 3.0, 400.0, 300.0)
    assert readings(snapshot)["GPU-b"].value_w == pytest.approx(300.0)
    assert snapshot.faults == ()


def test_a_gpu_that_nvml_stops_to_show_is_missing(stub):
    stub.add(uuid="GPU-a")
    stub.add(uuid="GPU-b")
    bench = Bench(stub)
    bench.poll(0.0)
    stub.gpu(1, ret=nvml.LOST)
    bench.poll(0.2)
    stub.set(count=1)
    missing = readings(bench.poll(3.0))["GPU-b"]
    assert isinstance(missing, Missing)
    assert "lost" in missing.reason


def test_a_driver_of_another_version_wants_a_new_process(stub):
    stub.add()
    bench = Bench(stub)
    bench.poll(0.0)
    stub.set(init=nvml.MISMATCH)
    bench.poll(0.2)
    snapshot = bench.poll(2.0)
    assert snapshot.needs_restart
    assert "start this process again" in str(snapshot.faults[0])


def test_a_figure_without_permission_is_a_state(stub):
    stub.add(ret=nvml.NO_PERMISSION)
    snapshot = Bench(stub).poll(0.0)
    assert "no permission" in readings(snapshot)["GPU-0"].reason


def test_each_gpu_is_dated_when_it_is_asked(stub):
    """A driver that takes half a second for each must not make the power of the last one wrong."""
    stub.add(uuid="GPU-a")
    stub.add(uuid="GPU-b")
    bench = Bench(stub)
    moments = iter([0.0, 0.5, 1.0])
    snapshot = bench.reader.poll(lambda: Moment(T + (at_s := next(moments)), at_s))
    assert [gpu.reading.observed_at_s - T for gpu in snapshot.gpus] == [0.5, 1.0]


CODES = [0, nvml.NOT_SUPPORTED, nvml.NO_PERMISSION, nvml.TIMEOUT, nvml.LOST, nvml.UNINITIALIZED, nvml.UNKNOWN, 2, 777]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["init", "0.ret", "0.handle", "1.energy.ret", "1.instant.ret", "1.power.ret"]),
            st.sampled_from(CODES),
        ),
        max_size=20,
    )
)
@settings(max_examples=60)
def test_whatever_nvml_answers_is_a_state_and_it_ends_with_the_fault(tmp_path_factory, changes):
    with nvml.loaded(tmp_path_factory.mktemp("nvml")) as stub:
        stub.add(uuid="GPU-a")
        stub.add(uuid="GPU-b")
        bench = Bench(stub)
        for n, (key, code) in enumerate(changes):
            stub.set({key: code})
            snapshot = bench.poll(n * 1.5)
            told = readings(snapshot)
            assert all(isinstance(r, Reading) or r.reason for r in told.values())
            assert told or snapshot.faults
        stub.set(dict.fromkeys((key for key, _ in changes)))
        bench.poll(2000.0)
        well = bench.poll(4000.0)
        assert well.faults == ()
        assert all(isinstance(r, Reading) for r in readings(well).values())
        assert len(well.gpus) == 2


def test_a_reader_that_is_closed_leaves_the_driver(stub):
    stub.add()
    bench = Bench(stub)
    bench.poll(0.0)
    bench.reader.close()
    assert nvml.pynvml.nvmlLib.nvmlShutdown() == nvml.UNINITIALIZED
