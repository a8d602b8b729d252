from __future__ import annotations

import asyncio
import io
import logging

import pytest
from rich.console import Console

from controller.clock import SystemClock
from controller.demo.load import Account
from controller.demo.meter import Meter, Record
from controller.demo.show import Screen
from controller.demo.view import Frame
from controller.simulation.latency import Latencies


class Hurried(SystemClock):
    """Waits a moment whatever it is asked."""

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(0.001)


def frame() -> Frame:
    record = Record(Meter("", "", 1.0, 0.0))
    return Frame("replay", 5.0, 60.0, 5.0, "http://page/", "http://router", Account(), Latencies(), record)


async def test_a_terminal_shows_the_picture_and_gets_its_cursor_back() -> None:
    out = io.StringIO()
    async with Screen(Console(file=out, force_terminal=True, width=80), frame, Hurried(), is_live=True):
        await asyncio.sleep(0.05)
    assert "EMULATED GPUs" in out.getvalue()
    assert out.getvalue().rfind("\x1b[?25h") > out.getvalue().rfind("\x1b[?25l")


async def test_the_terminal_is_restored_after_a_failure_too() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError):
        async with Screen(Console(file=out, force_terminal=True, width=80), frame, Hurried(), is_live=True):
            raise RuntimeError
    assert out.getvalue().rfind("\x1b[?25h") > out.getvalue().rfind("\x1b[?25l")


async def test_elsewhere_lines_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    out = io.StringIO()
    with caplog.at_level(logging.INFO, "wattroute.demo"):
        async with Screen(Console(file=out), frame, Hurried(), is_live=False):
            await asyncio.sleep(0.05)
    assert "5 of 60 s (replay, emulated GPUs)" in caplog.text
    assert out.getvalue() == ""
