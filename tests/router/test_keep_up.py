"""Parts that fail are told and begun again, ever later."""

from __future__ import annotations

import asyncio
import logging

import pytest

from router import keep_up as module
from router.keep_up import FIRST_S, LONGEST_S, keep_up, kept_up, report_end
from tests.fakes.running import until


class Part:
    """Fails so many times, then goes on."""

    def __init__(self, failing: int) -> None:
        self.failing = failing
        self.begun = 0
        self.runs = False

    async def run(self) -> None:
        self.begun += 1
        if self.begun <= self.failing:
            raise ValueError(f"boom {self.begun}")
        self.runs = True
        await asyncio.sleep(600)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Failures in a row after which each wait was asked for; nothing is waited for."""
    asked: list[int] = []

    def at_once(failures: int, draw: float, *, first_s: float, longest_s: float) -> float:
        assert 0 <= draw < 1
        assert (first_s, longest_s) == (module.FIRST_S, module.LONGEST_S)
        asked.append(failures)
        return 0.0

    monkeypatch.setattr(module, "backoff_s", at_once)
    return asked


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_part_that_fails_is_told_and_begun_again_later_and_later(
    waits: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    part = Part(failing=3)
    task = kept_up("probes", part.run)
    await until(lambda: part.runs)
    await end(task)
    assert waits == [1, 2, 3]
    assert [(record.levelno, record.__dict__["part"]) for record in caplog.records] == [
        (logging.CRITICAL, "probes")
    ] * 3
    assert "boom 3" in caplog.text
    assert task.get_name() == "probes"


async def test_a_part_that_had_run_for_long_is_begun_again_soon(
    waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_S", -1.0)  # any time is longer
    part = Part(failing=3)
    task = kept_up("probes", part.run)
    await until(lambda: part.runs)
    await end(task)
    assert waits == [1, 1, 1]


def test_the_first_wait_is_short_and_none_is_long() -> None:
    assert 0 < FIRST_S <= 5 < LONGEST_S <= 60


async def test_a_part_that_comes_to_its_end_is_not_begun_again() -> None:
    begun: list[str] = []

    async def come_to_an_end() -> None:
        begun.append("rates")

    async with asyncio.timeout(5):
        await keep_up("rates", come_to_an_end)
    assert begun == ["rates"]


async def test_a_part_that_fails_as_it_is_ended_stays_ended() -> None:
    begun = 0

    async def fail_at_the_end() -> None:
        nonlocal begun
        begun += 1
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("boom")

    task = kept_up("table", fail_at_the_end)
    await until(lambda: begun == 1)
    async with asyncio.timeout(5):
        await end(task)
    assert begun == 1


async def test_a_part_that_waits_to_be_begun_again_is_ended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 600.0)
    monkeypatch.setattr(module, "LONGEST_S", 600.0)
    part = Part(failing=1)
    task = kept_up("table", part.run)
    await until(lambda: part.begun == 1)
    async with asyncio.timeout(5):
        await end(task)


async def test_a_task_that_should_not_have_ended_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("boom")

    task = asyncio.create_task(fail(), name="worker 1")
    task.add_done_callback(report_end)
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    [record] = caplog.records
    assert (record.levelno, record.__dict__["part"]) == (logging.CRITICAL, "worker 1")
