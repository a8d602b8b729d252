from collections import Counter as Tally

import pytest

from controller.errors import NvmlError, NvmlFault
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.nvml_gpu import STILL_S, GpuMeter, Method, Moment
from controller.signals.power.nvml_library import Device

T = 1_763_750_000.0
DEVICE = Device(handle=None, uuid="GPU-a", name="H100", is_module=False, max_limit_w=700.0)


class Calls:
    """A GPU whose figures a test sets: numbers, or the fault that asking for them ends in."""

    def __init__(self, energy=0.0, instant=400.0, power=410.0):
        self.energy, self.instant, self.power = energy, instant, power

    def energy_j(self, device):
        return told(self.energy)

    def instant_power_w(self, device):
        return told(self.instant)

    def power_w(self, device):
        return told(self.power)


def told(value):
    if isinstance(value, NvmlFault):
        raise NvmlError(value, f"GPU-a: {value.value}")
    return value


def moment(at_s):
    return Moment(T + at_s, 500.0 + at_s)


class Bench:
    def __init__(self, calls, device=DEVICE):
        self.calls, self.events, self.at_s = calls, Tally(), 0.0
        self.meter = GpuMeter(device, 1.9, self.events)

    def poll(self, at_s, **values):
        self.at_s = at_s
        for name, value in values.items():
            setattr(self.calls, name, value)
        return self.meter.poll(self.calls, moment(at_s))

    def run(self, until_s, grow_w=None, step_s=0.2):
        """Polls, the counter growing by that power; returns the last reading."""
        start_s, start_j = self.at_s, self.calls.energy
        while self.at_s + step_s <= until_s + 1e-9:
            at_s = self.at_s + step_s
            if grow_w is not None:
                self.calls.energy = start_j + grow_w * (at_s - start_s)
            reading = self.poll(at_s)
        return reading


def test_power_is_that_of_the_counter_and_says_so():
    bench = Bench(Calls(energy=1000.0, instant=999.0, power=999.0))
    bench.poll(0.0)
    reading = bench.run(4.0, grow_w=437.0)
    assert reading.value_w == pytest.approx(437.0)
    assert reading.energy_j == pytest.approx(1000.0 + 4 * 437.0)
    assert reading.observed_at_s == pytest.approx(T + 4.0)
    assert (reading.source, reading.quality) == ("nvml energy counter", Quality.DIRECT)


def test_power_usage_stands_in_until_two_seconds_are_known():
    bench = Bench(Calls(energy=1000.0, power=333.0))
    first = bench.poll(0.0)
    assert (first.value_w, first.source, first.energy_j) == (333.0, "nvml power usage", 1000.0)
    assert bench.run(1.0, grow_w=437.0).value_w == 333.0
    assert bench.run(3.0, grow_w=437.0).source == "nvml energy counter"


def test_a_gpu_without_a_counter_is_integrated_from_instant_power():
    bench = Bench(Calls(energy=NvmlFault.UNSUPPORTED, instant=400.0))
    bench.poll(0.0)
    reading = bench.run(4.0)
    assert (reading.value_w, reading.energy_j) == pytest.approx((400.0, 1600.0))
    assert reading.source == "nvml instant power"
    assert bench.events == {"step_down": 1}


def test_power_that_changes_is_averaged_over_the_window():
    bench = Bench(Calls(energy=NvmlFault.UNSUPPORTED, instant=100.0))
    bench.poll(0.0)
    for n in range(1, 41):
        reading = bench.poll(n / 10, instant=100.0 if n % 2 else 500.0)
    assert reading.value_w == pytest.approx(300.0, rel=0.02)


def test_without_either_what_nvidia_smi_shows_is_taken():
    bench = Bench(Calls(energy=NvmlFault.UNSUPPORTED, instant=NvmlFault.PERMISSION, power=410.0))
    bench.poll(0.0)
    reading = bench.run(4.0)
    assert (reading.value_w, reading.source) == (pytest.approx(410.0), "nvml power usage")
    assert bench.meter.method is Method.POWER_USAGE


def test_a_gpu_that_tells_nothing_is_missing_with_the_reason_and_tried_again():
    bench = Bench(Calls(*[NvmlFault.PERMISSION] * 3))
    assert bench.poll(0.0) == Missing("nvml", "GPU-a: permission", T)
    assert bench.poll(9.0) == Missing("nvml", "GPU-a: permission", T)  # since when it is so
    assert isinstance(bench.poll(10.0, energy=5.0, power=400.0), Reading)
    assert bench.meter.method is Method.ENERGY_COUNTER


def test_a_call_that_fails_once_changes_nothing_but_that_reading():
    bench = Bench(Calls(energy=0.0))
    bench.poll(0.0)
    bench.run(3.0, grow_w=400.0)
    assert isinstance(bench.poll(3.2, energy=NvmlFault.OTHER), Missing)
    reading = bench.poll(3.4, energy=3.4 * 400.0)
    assert reading.value_w == pytest.approx(400.0)
    assert reading.source == "nvml energy counter"


@pytest.mark.parametrize("fault", [NvmlFault.DRIVER, NvmlFault.MISMATCH, NvmlFault.LOST, NvmlFault.LIBRARY])
def test_what_concerns_more_than_a_figure_is_for_the_reader_of_all_gpus(fault):
    with pytest.raises(NvmlError):
        Bench(Calls(energy=fault)).poll(0.0)


def test_a_counter_that_stands_still_under_load_is_not_believed():
    bench = Bench(Calls(energy=1000.0, instant=400.0, power=400.0))
    bench.poll(0.0)
    bench.run(3.0, grow_w=400.0)
    assert bench.run(3.0 + STILL_S - 0.4).observed_at_s == pytest.approx(T + 3.0)  # an old reading meanwhile
    reading = bench.run(3.0 + STILL_S + 4.0)
    assert (reading.value_w, reading.source) == (pytest.approx(400.0), "nvml instant power")
    assert reading.energy_j >= 1000.0 + 3 * 400.0


def test_a_time_without_polls_is_no_time_of_standing_still():
    bench = Bench(Calls(energy=1000.0, power=400.0))
    bench.poll(0.0)
    bench.run(3.0, grow_w=400.0)
    bench.poll(300.0)
    assert bench.run(300.0 + STILL_S - 0.4).source == "nvml energy counter"


def test_a_counter_that_stands_still_while_nothing_is_drawn_is_only_old():
    bench = Bench(Calls(energy=1000.0, power=0.0))
    bench.poll(0.0)
    bench.run(3.0, grow_w=400.0)
    reading = bench.run(30.0)
    assert (reading.source, reading.observed_at_s) == ("nvml energy counter", pytest.approx(T + 3.0))


def test_energy_goes_on_when_the_way_of_measuring_changes_and_comes_back():
    bench = Bench(Calls(energy=1000.0))
    bench.poll(0.0)
    energies = [bench.run(3.0, grow_w=400.0).energy_j]
    counter_j, bench.calls.energy = bench.calls.energy, NvmlFault.UNSUPPORTED
    energies.append(bench.run(6.0).energy_j)
    bench.meter.renew(DEVICE, driver_is_new=False)
    assert bench.meter.method is Method.INSTANT_POWER
    bench.meter.renew(DEVICE, driver_is_new=True)
    bench.calls.energy = counter_j
    energies.append(bench.run(9.0, grow_w=400.0).energy_j)
    assert bench.meter.method is Method.ENERGY_COUNTER
    assert energies == pytest.approx([2200.0, 3320.0, 4440.0])  # 0.2 s at each change are not known


def test_a_driver_that_was_loaded_again_is_an_event():
    bench = Bench(Calls(energy=90_000.0))
    bench.poll(0.0)
    bench.run(3.0, grow_w=400.0)
    reading = bench.poll(3.2, energy=10.0)
    assert reading.energy_j == pytest.approx(91_210.0)
    assert bench.events["reset"] == 1


def test_the_limit_of_the_gpu_bounds_its_power():
    bench = Bench(Calls(energy=NvmlFault.UNSUPPORTED, instant=841.0))
    missing = bench.poll(0.0)
    assert isinstance(missing, Missing)
    assert "841 W is more than the GPU draws" in missing.reason
    assert isinstance(bench.poll(0.2, instant=839.0), Reading)


def test_the_stand_in_is_bounded_too():
    assert "9999 W" in Bench(Calls(energy=0.0, power=9999.0)).poll(0.0).reason


def test_grace_hopper_says_that_the_figure_is_the_module_s():
    device = Device(None, "GPU-a", "GH200", is_module=True, max_limit_w=None)
    bench = Bench(Calls(energy=0.0), device)
    bench.poll(0.0)
    assert bench.run(3.0, grow_w=900.0).source == "nvml energy counter of the module"
    bench.calls.energy = bench.calls.instant = NvmlFault.UNSUPPORTED
    assert bench.run(6.0).source == "nvml power usage"


def test_a_wall_clock_that_is_set_does_not_change_power():
    bench = Bench(Calls(energy=0.0))
    bench.poll(0.0)
    bench.run(3.0, grow_w=400.0)
    bench.calls.energy = 1280.0
    reading = bench.meter.poll(bench.calls, Moment(T - 86_400.0, 503.2))
    assert reading.value_w == pytest.approx(400.0)
    assert reading.observed_at_s == T - 86_400.0
