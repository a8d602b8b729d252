"""Starting the demo's processes: one after another, until the router obeys its first table."""

from __future__ import annotations

import contextlib
import logging
import sys

import aiohttp

from controller.demo import processes
from controller.demo.stage import LOGS_NAME, Stage
from controller.lifecycle.policy import Mode

TABLE_S = 15.0
"""Longest wait for the first table; without one the replay begins all the same."""

log = logging.getLogger("wattroute.demo")


async def start(stage: Stage, started: list[processes.Child], wait: processes.Wait) -> None:
    """Start emulator, router and controller, each appended to `started`, unless `wait.stop` is set.

    Raises:
        ChildError: one of them ended, or did not become ready in time.
    """
    config, logs, urls = str(stage.config), stage.folder / LOGS_NAME, stage.urls
    plan = (
        ("emulator", ["-m", "controller.cli", "emulate", "--config", config], f"{urls.emulator}/healthz"),
        ("router", ["-m", "router.cli", "--config", config], f"{urls.router_admin}/readyz"),
        ("controller", ["-m", "controller.cli", "controller", "--config", config], f"{urls.controller}/readyz"),
    )
    # One after another: a controller that cannot see the engines yet does not know which of them sleep.
    for name, argv, url in plan:
        if wait.stop.is_set():
            return
        started.append(processes.start(name, [sys.executable, *argv], logs / f"{name}.log"))
        await processes.until_ready(started, url, wait)
    log.info("processes started; page %s router %s/v1", urls.controller, urls.router)
    if stage.settings.controller.mode is Mode.ACT:
        await until_obeyed(stage, started, wait)


async def until_obeyed(stage: Stage, started: list[processes.Child], wait: processes.Wait) -> None:
    """Wait for the router's first table: its static weights know nothing of instances that sleep.

    Raises:
        ChildError: a process ended.
    """
    until_s = wait.clock.monotonic_s() + TABLE_S
    while not wait.stop.is_set() and wait.clock.monotonic_s() < until_s:
        processes.check(started)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
            async with wait.session.get(f"{stage.urls.router_admin}/state") as answer:
                if (await answer.json())["table"]["state"] == "fresh":
                    return
        await wait.clock.sleep(processes.POLL_S)
    log.warning("the router obeys no table yet")
