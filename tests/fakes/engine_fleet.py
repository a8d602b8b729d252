"""Engines under supervision within the test's own process: real processes of `fake_vllm.py`, all ended at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import Random

import aiohttp

from controller.clock import SystemClock, boot_name
from controller.supervise.engine import Engine, Tools
from controller.supervise.fleet import Fleet
from controller.supervise.policy import Phase, Rules
from controller.supervise.proc_table import Mark, read_process
from controller.supervise.records import Record, Records
from controller.supervise.spec import EngineSpec
from tests.fakes.plain_engines import PlainEngines

RULES = Rules(ready_s=30.0, stop_s=5.0, first_s=0.2, longest_s=0.4, most_crashes=3, window_s=600.0)


async def no_gpu_is_absent(_: str, __: tuple[str, ...]) -> None:
    """As without NVML."""


@contextlib.asynccontextmanager
async def engine_fleet(
    folder: Path, *specs: EngineSpec, rules: Rules = RULES, refuse_absent=no_gpu_is_absent
) -> AsyncIterator[Fleet]:
    """Watched; `folder` holds records and logs."""
    records = Records(folder)
    async with aiohttp.ClientSession() as session:
        tools = Tools(
            rules=rules,
            clock=SystemClock(),
            chance=Random(1),
            records=records,
            boot=boot_name(),
            environment={"PATH": os.environ["PATH"]},
            client=PlainEngines(session),
            refuse_absent_gpus=refuse_absent,
        )
        fleet = Fleet(specs, tools, folder, log_bytes=1 << 20, older_logs=1)
        try:
            async with fleet.watched():
                yield fleet
        finally:
            for engine in fleet.engines:
                if engine.pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(engine.pid, signal.SIGKILL)
                if engine.process._child is not None:
                    engine.process._child.wait(10)
            records.close()


async def until(engine: Engine, phase: Phase, holds: Callable[[], bool] = lambda: True) -> None:
    """Wait until an engine is in a phase, and something holds."""
    try:
        async with asyncio.timeout(30):
            while engine.life.phase is not phase or not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never came to {phase}: {engine.life} {engine.log.tail()}") from None


@contextlib.contextmanager
def stray_engine(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a former supervisor started as `a-0`; ended at the end."""
    stray = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        leave_record(folder, "a-0", stray.pid)
        yield stray
    finally:
        stray.kill()
        stray.wait()


def leave_record(folder: Path, instance_id: str, pid: int) -> None:
    """As a former supervisor left it, of a process that runs."""
    process = read_process(pid)
    assert process is not None
    records = Records(folder)
    mark = Mark(pid, process.started, boot_name())
    records.write(Record(instance_id, True, "http://127.0.0.1:1", ("GPU-x",), mark))
    records.close()
