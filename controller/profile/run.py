"""The course of a profile: find out what the instance is, measure rest and cells, and fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import aiohttp

from controller.background import Works
from controller.clock import Clock
from controller.errors import ConfigError, FitRefused, ProfileError
from controller.profile import design
from controller.profile.cells import CellsFile, MeasuredCell, Rest
from controller.profile.design import Cell
from controller.profile.estimate import LEAST_ROWS, Estimate, estimate
from controller.profile.measure import Bench
from controller.profile.options import ProfileOptions
from controller.profile.patience import with_power
from controller.profile.power import GpuMeter
from controller.profile.subject import Subject, find_subject, run_of
from controller.profile.target import Address, Target
from controller.profile.window import is_at_rest
from controller.signals.power.http_access import HttpOptions, tls_context
from controller.signals.power.open_source import open_source

POWER_TIMEOUT_S = 5.0
KEEP_S = 2.0
"""Idle connections are given up before the engine does: uvicorn, which serves vLLM, ends them after 5 s."""


class Told(Protocol):
    """Told how far a profile is."""

    def __call__(self, done: int, of: int, doing: str) -> None:
        """`done` parts `of` so many are measured; `doing` is what is measured now."""


@dataclass(frozen=True, slots=True)
class Profiled:
    """What came out.

    Attributes:
        wall_s: when it ended.
        is_emulated: whether engine or GPUs are.
        drift_frac: step time of the load that was measured first and last, last over first, less one.
    """

    subject: Subject
    cells: tuple[MeasuredCell, ...]
    rest: Rest
    fit: Estimate
    wall_s: float
    is_emulated: bool
    drift_frac: float | None

    @property
    def used(self) -> tuple[MeasuredCell, ...]:
        """Cells that the fit rests on."""
        return tuple(cell for cell in self.cells if cell.is_usable)


async def profile(options: ProfileOptions, told: Told, clock: Clock) -> Profiled:
    """Measure and fit.

    Raises:
        ConfigError: an option is wrong.
        ProfileError: the instance cannot be profiled as it stands.
    """
    address = Address.of(options.url, options.api_key())
    tls = tls_context(HttpOptions(ca_file=options.ca_file))
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=KEEP_S), trust_env=False
        ) as session,
        open_source(options.power, clock, Works(Random()), timeout_s=POWER_TIMEOUT_S) as source,
    ):
        target = Target(session, address)
        meter = GpuMeter(source, options.power, options.gpu_uuids)
        subject = await find_subject(options, target, meter, clock)
        bench = Bench(target, subject.engine.model, meter, pace=options.pace(), clock=clock)
        await target.require_awake()
        await bench.require_quiet()
        file = CellsFile(options.cells_path, run_of(options, subject, address), options.max_spread_frac)
        file.open()
        course = _Course(bench, target, meter, file, told, clock)
        rest = await _rest(options, course)
        drift_frac = await _cells(subject, course, rest.idle_w)
        fit = _fit(file.cells)
        _check(fit, options)
        is_emulated = subject.engine.is_emulated or meter.is_emulated
        return Profiled(subject, tuple(file.cells), rest, fit, clock.wall_s(), is_emulated, drift_frac)


@dataclass(frozen=True, slots=True)
class _Course:
    """What the parts of one profile share."""

    bench: Bench
    target: Target
    meter: GpuMeter
    file: CellsFile
    told: Told
    clock: Clock

    async def rest_w(self) -> float:
        """Power without work."""
        self.told(0, 1, "idle power")
        return await with_power(self.bench.rest_w, self.meter, lambda why: self.told(0, 1, _waiting(why)), self.clock)

    async def take(self, cell: Cell, idle_w: float, doing: str, of: int) -> MeasuredCell:
        """Measure a cell and keep it."""
        done = len(self.file.cells)
        self.told(done, of, doing)
        measured = await with_power(
            lambda: self.bench.measure(cell, idle_w),
            self.meter,
            lambda why: self.told(done, of, _waiting(why)),
            self.clock,
        )
        if is_at_rest(measured.row.power_w, idle_w):
            raise ProfileError(
                f"{cell}: {measured.row.power_w:.0f} W, hardly above the {idle_w:.0f} W without work: the source of "
                "power shows other GPUs than the engine's; name its own with --gpu-uuid"
            )
        self.file.add(measured)
        return measured


def _waiting(why: str) -> str:
    return f"waiting for the power: {why}"


async def _rest(options: ProfileOptions, course: _Course) -> Rest:
    """Idle power, and that asleep where it is asked for; from the file where an earlier run measured them."""
    file, target, clock = course.file, course.target, course.clock
    if file.rest is not None and (file.rest.sleeping_w is not None or not options.sleep):
        return file.rest
    if options.sleep and await target.is_sleeping() is None:
        raise ConfigError(
            "--sleep: the engine has no /sleep; start it with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1, or leave "
            "the option out and give --sleeping-w where it is known"
        )
    rest = Rest(await course.rest_w())
    if options.sleep:
        began_s = clock.monotonic_s()
        try:
            await target.change("/sleep?level=1")
            sleep_s = clock.monotonic_s() - began_s
            await clock.sleep(1.0)
            sleeping_w = await course.rest_w()
        finally:
            began_s = clock.monotonic_s()
            await target.change("/wake_up")
        rest = Rest(rest.idle_w, sleeping_w, sleep_s, clock.monotonic_s() - began_s)
    file.set_rest(rest)
    return rest


async def _cells(subject: Subject, course: _Course, idle_w: float) -> float | None:
    """The coarse design, then what is unsure, then the first load again; returns how far that one drifted."""
    file = course.file
    planned = list(design.coarse(subject.design, subject.limits))
    anew = file.forget_faulted()
    known = {cell.cell for cell in file.cells} | set(anew)
    left = anew + [cell for cell in planned if cell not in known]
    most = max(len(planned), subject.design.most_cells)
    reference = max(planned, key=lambda cell: (cell.output_tokens, cell.concurrency))

    async def take(cell: Cell) -> None:
        doing = f"{cell}, anew: an earlier run left it out" if cell in anew else str(cell)
        await course.take(cell, idle_w, doing, max(len(planned), len(file.cells) + len(left)) + 1)

    while left:
        await take(left.pop(0))
    while len(file.cells) < most and (cell := _next(subject, file.cells)) is not None:
        await take(cell)
    again = [cell for cell in file.cells if cell.cell == reference and cell.is_usable]
    if len(again) == 1:
        await take(reference)
        again = [cell for cell in file.cells if cell.cell == reference and cell.is_usable]
    course.told(len(file.cells), len(file.cells), "fit")
    if len(again) < 2:
        return None
    first, last = again[0].row, again[-1].row
    return (last.busy_s / last.steps) / (first.busy_s / first.steps) - 1


def _fit(cells: Sequence[MeasuredCell]) -> Estimate:
    used = [cell for cell in cells if cell.is_usable]
    if len(used) < LEAST_ROWS:
        faults = dict.fromkeys(f"{cell.cell}: {cell.fault}" for cell in cells if not cell.is_usable)
        raise FitRefused(
            f"{len(used)} of {len(cells)} cells are usable, {LEAST_ROWS} are needed. Left out: {'; '.join(faults)}. "
            "The same command measures those once more: see before that nothing else uses the machine; where that "
            "cannot be, let more pass with --max-spread-frac, or give a longer --window-s and another --cells"
        )
    return estimate([cell.row for cell in used], [str(cell.cell) for cell in used])


def _check(fit: Estimate, options: ProfileOptions) -> None:
    try:
        fit.check()
    except FitRefused as error:
        raise FitRefused(
            f"{error}. The same command would fit the same cells again: to measure some anew, remove their lines from "
            f"{options.cells_path}, or the file for all of them"
        ) from error


def _next(subject: Subject, cells: list[MeasuredCell]) -> Cell | None:
    """What is to be measured next; None where the fit is sure."""
    rows = [cell.row for cell in cells if cell.is_usable]
    try:
        return design.next_cell(subject.design, subject.limits, rows, _fit(cells))
    except FitRefused:  # too few usable ones yet: the next of the candidates that was not tried
        tried = {cell.cell for cell in cells}
        return next((c for c in design.candidates(subject.design, subject.limits) if c not in tried), None)
