"""Whole profiles of emulated engines: hidden parameters are found again. What is emulated is engine and GPUs."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.errors import ConfigError, FitRefused, ProfileError
from controller.model.observation import InstanceState
from controller.model.perf import FITTED
from controller.profile import options as options_module
from controller.profile import power as power_module
from controller.profile.cells import MeasuredCell
from controller.profile.design import Cell
from controller.profile.measure import Bench
from controller.profile.options import QUICK, ProfileOptions
from controller.profile.run import Profiled, profile
from controller.settings import curves_file
from controller.simulation.emulator import Emulator
from tests.fakes.certificates import Authority
from tests.fakes.cut_line import cut_off
from tests.fakes.emulated import emulated, instance
from tests.fakes.profiles import file_of, measured
from tests.fakes.tls_front import tls_front

CURVES: dict[str, Any] = {
    "step_base_s": 0.006,
    "step_per_seq_s": 0.0003,
    "step_base_j": 12.0,
    "step_per_seq_j": 0.9,
    "prefill_s_per_token": 0.00003,
    "prefill_j_per_token": 0.05,
    "idle_w": 700.0,
    "sleeping_w": 300.0,
    "max_num_seqs": 48,
}


def options(emulator: Emulator, folder: Path, **changes: Any) -> ProfileOptions:
    plain: dict[str, Any] = {
        "url": f"http://127.0.0.1:{emulator.ports['bf16-0']}",
        "power": f"dcgm=http://127.0.0.1:{emulator.control_port}/metrics",
        "out": folder / "c.yaml",
        "quick": True,
        "window_s": 1.0,
        "max_concurrency": 16,
        "long_input": 512,
        "output_tokens": 40,
    }
    return ProfileOptions(**{**plain, **changes})


async def run(given: ProfileOptions) -> tuple[Profiled, list[str]]:
    said: list[str] = []
    found = await profile(given, lambda done, of, doing: said.append(f"{done}/{of} {doing}"), SystemClock())
    return found, said


@pytest.fixture(autouse=True)
def short_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated GPU's power without work does not vary, and its clocks are steady at once."""
    monkeypatch.setattr(options_module, "QUICK", replace(QUICK, pace=replace(QUICK.pace, warmup_s=0.2, rest_s=0.5)))


def spoil(cells: Path, pattern: str) -> None:
    """A file of cells as if those that have the pattern had not been steady."""
    lines = cells.read_text().splitlines()
    spoilt = [line.replace('"fault": ""', '"fault": "not steady"') if pattern in line else line for line in lines]
    cells.write_text("".join(f"{line}\n" for line in spoilt))


async def until_all_are_usable(given: ProfileOptions) -> tuple[Profiled, list[str]]:
    """On a machine that is busy with other things, cells are not steady at first."""
    said: list[str] = []
    for _ in range(5):
        with contextlib.suppress(FitRefused):
            found, told = await run(given)
            said += told
            if all(cell.is_usable for cell in found.cells):
                return found, said
    raise AssertionError("five runs left cells out")


async def test_hidden_parameters_are_found_and_a_later_run_measures_only_what_was_left_out(
    tmp_path: Path,
) -> None:
    async with emulated(instance(**CURVES)) as emulator:
        given = options(emulator, tmp_path, sleep=True)
        found, said = await until_all_are_usable(given)
        prompts = emulator.engine("bf16-0").physics.prompt_tokens
        again, _ = await run(given)
        assert emulator.engine("bf16-0").physics.prompt_tokens == prompts
        spoil(given.cells_path, '"concurrency": 1,')
        mended, said_then = await until_all_are_usable(given)
    for name, value in zip(FITTED, found.fit.steps.parameters(), strict=True):
        assert value == pytest.approx(CURVES[name], rel=0.05), name
    assert found.rest.idle_w == pytest.approx(700.0, rel=0.05)
    assert found.rest.sleeping_w == pytest.approx(300.0, rel=0.05)
    assert found.fit.steps.power.held_out_mape_frac < 0.05
    assert found.is_emulated
    assert found.drift_frac is not None
    assert said[-1].endswith("fit")
    assert again.cells == found.cells
    assert again.rest == found.rest
    alone = {str(cell.cell) for cell in found.cells if cell.cell.concurrency == 1}
    anew = {text for text in said_then if text.endswith(", anew: an earlier run left it out")}
    assert {text.partition(",")[0].split(" ", 1)[1] for text in anew} == alone
    kept = tuple(cell for cell in found.cells if cell.cell.concurrency > 1)
    assert mended.cells[: len(kept)] == kept
    assert {cell.cell for cell in mended.cells} >= {cell.cell for cell in found.cells}
    path = tmp_path / "c.yaml"
    path.write_text(file_of(found).text())
    curves = curves_file.read(path).curves()
    assert curves.max_num_seqs == 48
    assert "EMULATED" in curves.provenance.source


async def test_a_killed_profile_goes_on_where_it_was(tmp_path: Path) -> None:
    async with emulated(instance(**CURVES)) as emulator:
        given = options(emulator, tmp_path)
        first = asyncio.create_task(run(given))
        while not given.cells_path.exists() or given.cells_path.read_text().count('"row"') < 2:
            await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        kept = given.cells_path.read_text().splitlines()[:4]
        await asyncio.sleep(0.1)
        emulator.engine("bf16-0").sync()
        assert emulator.engine("bf16-0").physics.running == 0
        second = asyncio.create_task(run(given))
        while given.cells_path.read_text().count('"row"') < 3:
            assert not second.done()
            await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert given.cells_path.read_text().splitlines()[:4] == kept


@pytest.mark.parametrize(
    ("engine", "changes", "kind", "told"),
    [
        ({"quantization": "awq"}, {}, ProfileError, "slow fallback"),
        ({"has_server_info": False}, {}, ConfigError, "kernel is unknown"),
        ({}, {"long_input": 200_000}, ConfigError, "max_model_len"),
        ({}, {"gpu_uuids": ("GPU-other",)}, ConfigError, "does not show it"),
        ({}, {"power": "dcgm=http://127.0.0.1:9/metrics"}, ProfileError, "--power"),
        ({}, {"power": "wattmeter"}, ConfigError, "power source 'wattmeter'"),
    ],
    ids=["slow kernel", "unknown kernel", "context", "stranger's GPU", "no source", "no such source"],
)
async def test_what_is_in_the_way_is_told_before_anything_is_measured(
    tmp_path: Path, engine: dict[str, Any], changes: dict[str, Any], kind: type[Exception], told: str
) -> None:
    async with emulated(instance(**engine)) as emulator:
        with pytest.raises(kind, match=told):
            await run(options(emulator, tmp_path, **changes))
        assert emulator.engine("bf16-0").physics.steps == 0
    assert not (tmp_path / "c.cells.jsonl").exists()


async def test_the_log_of_the_engine_tells_the_kernel_where_the_engine_does_not(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("however you specified quantization=gptq explicitly, so forcing gptq.\n")
    async with emulated(instance(has_server_info=False)) as emulator:
        with pytest.raises(ProfileError, match=r"'gptq' .by the engine log."):
            await run(options(emulator, tmp_path, engine_log=log))
        log.write_text("nothing\n")
        with pytest.raises(ConfigError, match="no line tells a kernel"):
            await run(options(emulator, tmp_path, engine_log=log))


async def test_the_power_of_other_gpus_ends_the_profile_at_the_first_cell(tmp_path: Path) -> None:
    async with emulated(instance(**CURVES), instance("other-0")) as emulator:
        given = options(emulator, tmp_path, gpu_uuids=("GPU-emulated-other-0-*",))
        with pytest.raises(ProfileError, match=r"hardly above the \d+ W without work.*--gpu-uuid"):
            await run(given)


async def test_a_power_source_that_dies_in_a_cell_and_comes_back_costs_that_cell_s_time_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power_module, "LOOK_S", 0.1)
    async with emulated(instance(**CURVES)) as emulator, cut_off(emulator.control_port) as line:
        given = options(emulator, tmp_path, power=f"dcgm=http://127.0.0.1:{line.port}/metrics")
        said: list[str] = []
        running = asyncio.create_task(profile(given, lambda *told: said.append(told[2]), SystemClock()))
        while not given.cells_path.exists() or given.cells_path.read_text().count('"row"') < 2:
            await asyncio.sleep(0.05)
        line.is_cut = True
        await asyncio.sleep(1.5)
        assert given.cells_path.read_text().count('"row"') < 4
        line.is_cut = False
        with contextlib.suppress(FitRefused):  # where the machine is busy, cells are not steady
            await running
    waits = [text for text in said if text.startswith("waiting for the power")]
    assert waits
    assert "/metrics" in waits[0]
    assert given.cells_path.read_text().count('"row"') >= 7
    assert said[-1] == "fit"


async def test_an_engine_that_sleeps_is_told_before_its_rest_is_taken_for_idle(tmp_path: Path) -> None:
    async with emulated(instance(state=InstanceState.SLEEPING)) as emulator:
        with pytest.raises(ProfileError, match="wake it"):
            await run(options(emulator, tmp_path))


async def test_cells_that_no_fit_can_use_are_told_with_their_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unsteady(_: Bench, cell: Cell, idle_w: float) -> MeasuredCell:
        return measured(cell, fault="not steady")

    monkeypatch.setattr(Bench, "measure", unsteady)
    async with emulated(instance(idle_w=300.0)) as emulator:
        with pytest.raises(FitRefused, match=r"0 of 9 cells are usable.*not steady"):
            await run(options(emulator, tmp_path))


async def test_cells_of_another_precision_are_not_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's name alone may be the same: that of BF16 and FP16 is, and that of INT4 in several forms."""

    async def unsteady(_: Bench, cell: Cell, idle_w: float) -> MeasuredCell:
        return measured(cell, fault="not steady")

    monkeypatch.setattr(Bench, "measure", unsteady)
    log = tmp_path / "engine.log"
    log.write_text("Using MarlinLinearKernel for CompressedTensorsLinearMethod\n")
    async with emulated(instance(idle_w=300.0)) as emulator:
        with pytest.raises(FitRefused):
            await run(options(emulator, tmp_path, engine_log=log))
    async with emulated(instance(idle_w=300.0, quantization="awq_marlin")) as emulator:
        with pytest.raises(ConfigError, match=r"precision: 'bf16' there, 'awq_marlin' now"):
            await run(options(emulator, tmp_path, engine_log=log))


async def test_a_fit_that_is_refused_tells_how_its_cells_are_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cells are usable, so the same command would not measure them again."""

    async def erratic(_: Bench, cell: Cell, idle_w: float) -> MeasuredCell:
        return measured(cell, error=(0.0, 0.9 * (-1) ** (cell.concurrency + cell.input_tokens // 100)))

    monkeypatch.setattr(Bench, "measure", erratic)
    async with emulated(instance(idle_w=30.0)) as emulator:
        with pytest.raises(FitRefused, match=r"held out.*remove their lines from .*c\.cells\.jsonl, or the file"):
            await run(options(emulator, tmp_path))


async def test_an_engine_behind_a_certificate_of_an_own_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        emulated(instance(quantization="awq")) as emulator,
        tls_front(emulator.ports["bf16-0"], authority.issue("engine").server()) as port,
    ):
        there = {"url": f"https://localhost:{port}"}
        with pytest.raises(ProfileError, match=r"certificate is not believed.*--ca-file"):
            await run(options(emulator, tmp_path, **there))
        with pytest.raises(ProfileError, match="slow fallback"):
            await run(options(emulator, tmp_path, **there, ca_file=authority.file))
