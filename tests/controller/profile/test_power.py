from __future__ import annotations

import pytest

from controller.clock import VirtualClock
from controller.errors import ConfigError, PowerLost, ProfileError, SignalError
from controller.model.observation import Missing, Quality, Reading
from controller.profile.power import GpuMeter, PowerSample, mean_w, means_w, stuck
from controller.signals.power.source import Board


class Source:
    """GPUs that draw a power each, by UUID."""

    def __init__(self, power_w: dict[str, float], *, has_counter: bool = True) -> None:
        self.power_w = power_w
        self.has_counter = has_counter
        self.missing: dict[str, Missing] = {}
        self.errors: tuple[SignalError, ...] = ()

    async def read(self, now_s: float) -> tuple[dict[str, Reading | Missing], tuple[SignalError, ...]]:
        found: dict[str, Reading | Missing] = {
            uuid: Reading(w, w * now_s if self.has_counter else None, now_s, "test", Quality.DIRECT)
            for uuid, w in self.power_w.items()
        }
        return found | self.missing, self.errors


def meter(source: Source, *uuids: str) -> GpuMeter:
    return GpuMeter(source, "dcgm=http://gpus", uuids)


async def test_power_is_the_rise_of_all_counters_over_the_time() -> None:
    gpus = meter(Source({"GPU-a": 300.0, "GPU-b": 200.0, "GPU-c": 900.0}), "GPU-a", "GPU-b")
    await gpus.find(0.0, 2)
    samples = [await gpus.sample(now_s) for now_s in (10.0, 12.0, 15.0)]
    assert mean_w(samples) == pytest.approx(500.0)


async def test_without_counters_the_gauges_are_averaged() -> None:
    source = Source({"GPU-a": 300.0}, has_counter=False)
    gpus = meter(source)
    await gpus.find(0.0, None)
    first = await gpus.sample(1.0)
    source.power_w["GPU-a"] = 500.0
    assert mean_w([first, await gpus.sample(2.0)]) == 400.0


async def test_patterns_name_gpus() -> None:
    gpus = meter(Source({"GPU-7c1": 1.0, "GPU-7c2": 1.0, "GPU-99": 1.0}), "GPU-7c*")
    await gpus.find(0.0, 2)
    assert gpus.uuids == ("GPU-7c1", "GPU-7c2")


class Boards(Source):
    """GPUs of which the source tells what they are."""

    def boards(self) -> dict[str, Board]:
        return {uuid: Board("H100" if uuid < "GPU-c" else "H200", "580") for uuid in self.power_w if uuid != "GPU-x"}


@pytest.mark.parametrize(
    ("uuids", "name", "driver"),
    [
        (("GPU-a", "GPU-b"), "H100", "580"),
        (("GPU-b", "GPU-c"), None, "580"),
        (("GPU-b", "GPU-x"), None, None),
    ],
    ids=["alike", "two types", "one untold"],
)
async def test_the_source_tells_what_the_gpus_are(uuids: tuple[str, ...], name: str | None, driver: str | None) -> None:
    gpus = meter(Boards(dict.fromkeys(("GPU-a", "GPU-b", "GPU-c", "GPU-x"), 300.0)), *uuids)
    await gpus.find(0.0, 2)
    assert (gpus.name, gpus.driver) == (name, driver)


@pytest.mark.parametrize(
    ("uuids", "gpus", "told"),
    [
        (("GPU-x",), None, "--gpu-uuid GPU-x: .*does not show it; it shows GPU-a, GPU-b"),
        ((), 1, "the engine runs on 1 GPUs, but dcgm=http://gpus shows 2: name the engine's own"),
        (("GPU-a",), 2, "the engine runs on 2 GPUs, but those named are 1"),
    ],
    ids=["stranger", "others too", "too few"],
)
async def test_other_gpus_than_the_engine_s_are_refused(uuids: tuple[str, ...], gpus: int | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        await meter(Source({"GPU-a": 1.0, "GPU-b": 1.0}), *uuids).find(0.0, gpus)


async def test_a_source_that_cannot_be_read_is_told() -> None:
    source = Source({"GPU-a": 1.0})
    gpus = meter(source)
    await gpus.find(0.0, 1)
    source.missing = {"GPU-a": Missing("x", "GPU is lost", 0.0)}
    with pytest.raises(ProfileError, match="GPU-a: GPU is lost"):
        await gpus.sample(1.0)
    source.errors = (SignalError("http://gpus", "no answer within 1 s"),)
    with pytest.raises(ProfileError, match="no answer within 1 s"):
        await gpus.sample(1.0)
    with pytest.raises(ProfileError, match="shows no GPU"):
        await meter(Source({})).find(0.0, None)


def sample(at_s: float, *watts: float, energy_j: float | None = None) -> PowerSample:
    return PowerSample(at_s, tuple(Reading(w, energy_j, at_s, "dcgm", Quality.DIRECT) for w in watts))


def test_a_counter_that_stands_still_is_told_although_others_move() -> None:
    still = Reading(300.0, 5.0, 1.0, "dcgm", Quality.DIRECT)
    samples = [
        PowerSample(at_s, (still, Reading(300.0, 5.0 + at_s, at_s, "dcgm", Quality.DIRECT))) for at_s in (1.0, 2.0)
    ]
    with pytest.raises(PowerLost, match=r"of dcgm moved by 0\.000 J in 0\.000 s.*DCGM_EXPORTER_INTERVAL"):
        mean_w(samples)


def test_each_gpu_has_its_own_mean() -> None:
    assert means_w([sample(0.0, 300.0, 100.0), sample(1.0, 500.0, 100.0)]) == (400.0, 100.0)


def test_a_gauge_that_never_moves_is_found_and_counters_judge_themselves() -> None:
    samples = [sample(0.0, 300.0, 100.0), sample(1.0, 500.0, 100.0), sample(2.0, 500.0, 100.0)]
    assert stuck(samples) == (1,)
    assert stuck([sample(at_s, 300.0, energy_j=at_s) for at_s in (0.0, 1.0)]) == ()


class Frozen(Source):
    """What it tells is always of one moment, as a stream that hangs leaves it."""

    async def read(self, now_s: float) -> tuple[dict[str, Reading | Missing], tuple[SignalError, ...]]:
        return await super().read(1.0)


async def test_a_source_is_back_when_its_readings_are_new() -> None:
    source, clock = Source({"GPU-a": 300.0}), VirtualClock(100.0)
    gpus = meter(source)
    await gpus.find(clock.wall_s(), 1)
    assert await gpus.back(clock, 10.0)
    frozen = meter(Frozen({"GPU-a": 300.0}), "GPU-a")
    source.errors = (SignalError("http://gpus", "cannot connect"),)
    for lost in (gpus, frozen):
        began_s = clock.monotonic_s()
        assert not await lost.back(clock, 10.0)
        assert clock.monotonic_s() - began_s == pytest.approx(10.0)
