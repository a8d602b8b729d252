from __future__ import annotations

import pytest

from controller.model.observation import InstanceState
from controller.simulation.fleet_power import PowerMeter, Sample, spare, split


def test_power_is_the_average_of_the_last_second() -> None:
    meter = PowerMeter(Sample(0.0, 0.0, 0.0))
    energy_j = 0.0
    for n in range(1, 21):  # 100 W for two seconds, then 300 W for two
        energy_j += (100.0 if n <= 10 else 300.0) * 0.2
        meter.add(Sample(0.2 * n, energy_j, 0.1 * n))
    assert meter.average(Sample(4.0, energy_j, 2.0)) == pytest.approx((300.0, 0.5))
    assert meter.average(Sample(4.1, energy_j, 2.0)) == pytest.approx((300.0 * 1.0 / 1.1, 0.5 / 1.1))


def test_a_change_shows_gradually() -> None:
    meter = PowerMeter(Sample(0.0, 0.0, 0.0))
    for n in range(1, 11):
        meter.add(Sample(0.2 * n, 100.0 * 0.2 * n, 0.0))
    average = meter.average(Sample(2.5, 200.0 + 300.0 * 0.5, 0.0))
    assert average is not None
    assert 100.0 < average[0] < 300.0


def test_nothing_is_known_before_time_has_passed() -> None:
    meter = PowerMeter(Sample(5.0, 10.0, 0.0))
    assert meter.average(Sample(5.0, 10.0, 0.0)) is None


def test_samples_are_bounded() -> None:
    meter = PowerMeter(Sample(0.0, 0.0, 0.0))
    for n in range(10_000):
        meter.add(Sample(n * 0.0001, n * 0.01, 0.0))
    assert meter.average(Sample(1.0, 100.0, 0.0)) == pytest.approx((100.0, 0.0))


def test_an_instance_is_shared_evenly_by_its_gpus() -> None:
    gpus = split(("a", "b"), power_w=900.0, energy_j=50.0, util_frac=0.7, state=InstanceState.SERVING)
    assert [(gpu.uuid, gpu.power_w, gpu.energy_j, gpu.util_frac) for gpu in gpus] == [
        ("a", 450.0, 25.0, 0.7),
        ("b", 450.0, 25.0, 0.7),
    ]


def test_memory_follows_the_state() -> None:
    used = [
        split(("a",), power_w=1, energy_j=1, util_frac=0, state=state)[0].memory_used_mib
        for state in (InstanceState.SERVING, InstanceState.SLEEPING, InstanceState.OFF)
    ]
    assert used == sorted(used, reverse=True)
    assert used[-1] == 0


def test_spare_gpus_draw_their_power_all_the_time() -> None:
    assert [(gpu.power_w, gpu.energy_j) for gpu in spare(("x", "y"), gpu_w=73.0, passed_s=10.0)] == [(73.0, 730.0)] * 2
