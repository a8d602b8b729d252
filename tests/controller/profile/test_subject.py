"""What is profiled follows from the engine, the source of power and the operator's word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from controller.clock import VirtualClock
from controller.errors import ConfigError, ProfileError
from controller.profile.facts import EngineFacts
from controller.profile.options import ProfileOptions
from controller.profile.power import GpuMeter
from controller.profile.subject import Subject, find_subject, run_of
from controller.profile.target import Address, Target
from tests.fakes.profiles import LIMITS

FACTS = EngineFacts("model", LIMITS, version="0.32.0", is_told=True, dtype="bf16", gpus=2)
SILENT = replace(FACTS, is_told=False)


class StubTarget:
    def __init__(self, facts: EngineFacts) -> None:
        self._facts = facts

    async def facts(self, model: str | None) -> EngineFacts:
        return replace(self._facts, model=model or self._facts.model)


class StubMeter:
    uuids, name, driver = ("GPU-a", "GPU-b"), "NVIDIA H100", "570.1"

    def __init__(self) -> None:
        self.asked: list[tuple[float, int | None]] = []

    async def find(self, now_s: float, gpus: int | None) -> None:
        self.asked.append((now_s, gpus))


def options(**changes: Any) -> ProfileOptions:
    return ProfileOptions(url="http://engine", power="dcgm=http://gpus", out=Path("x.yaml"), quick=True, **changes)


async def find(given: ProfileOptions, facts: EngineFacts = FACTS, meter: StubMeter | None = None) -> Subject:
    target, found = cast(Target, StubTarget(facts)), cast(GpuMeter, meter or StubMeter())
    return await find_subject(given, target, found, VirtualClock(50.0))


async def test_the_engine_and_the_source_of_power_tell_what_it_is() -> None:
    meter = StubMeter()
    subject = await find(options(), meter=meter)
    assert (subject.engine.model, subject.limits, subject.uuids) == ("model", LIMITS, ("GPU-a", "GPU-b"))
    # The engine did not say what its GPUs are: the source of power does.
    assert (subject.gpu_name, subject.driver) == ("NVIDIA H100", "570.1")
    assert (await find(options(), replace(FACTS, gpu_name="H200"))).gpu_name == "H200"
    assert meter.asked == [(50.0, 2)]


async def test_a_log_names_the_kernel_where_the_engine_does_not(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("Using MarlinLinearKernel for CompressedTensorsLinearMethod\n")
    assert "marlin" in (await find(options(engine_log=log), SILENT)).kernel.name.lower()
    log.write_text("however you specified quantization=gptq explicitly, so forcing gptq.\n")
    with pytest.raises(ProfileError, match="by the engine log"):
        await find(options(engine_log=log), SILENT)
    log.write_text("nothing\n")
    with pytest.raises(ConfigError, match="no line tells a kernel"):
        await find(options(engine_log=log), SILENT)


async def test_a_log_that_cannot_be_read_is_told_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--engine-log .*: cannot be read: No such file"):
        await find(options(engine_log=tmp_path / "none.log"))


async def test_a_long_prompt_that_the_operator_names_is_measured_as_named() -> None:
    batched = replace(FACTS, limits=replace(LIMITS, max_num_batched_tokens=1024))
    assert (await find(options(long_input=4000), batched)).design.long_input == 4000
    assert (await find(options(), batched)).design.long_input <= 1024


@pytest.mark.parametrize(
    ("facts", "changes"),
    [(replace(FACTS, version="0.33.0"), {}), (replace(FACTS, dtype="fp16"), {}), (FACTS, {"output_tokens": 50})],
    ids=["version", "precision", "design"],
)
async def test_a_run_of_anything_else_is_another_run(facts: EngineFacts, changes: dict[str, Any]) -> None:
    address = Address.of("http://engine", None)
    plain, other = options(), options(**changes)
    first = run_of(plain, await find(plain), address)
    assert first == run_of(plain, await find(plain), address)
    assert first != run_of(other, await find(other, facts), address)
