"""Two controllers of one site: processes of their own, a real Redis, emulated engines, a fake API server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from controller.store.ledger import verify_file
from tests.fakes.controller_pair import Controllers, Monitor, Publication
from tests.fakes.fake_zeusd import FakeZeusd, on_a_socket
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.server import kube_server
from tests.fakes.ports import free_ports
from tests.fakes.redis_server import running_redis
from tests.fakes.system import COMMANDS, ROOT, System, get, post, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(280)]
TAKEOVER_S = 15.0
LIMIT_FRAC = 0.97
"""Of what is drawn before: the event moves instances, and leaves room for all requests."""
STEP_FRAC = 0.01
"""Most that a weight may differ between the last table of one controller and the first of the next."""


class Crowd:
    """Requests without end, and how they were answered."""

    def __init__(self, system: System, threads: int = 3) -> None:
        self.statuses: list[int | str] = []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(system,)) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self, system: System) -> None:
        body = {
            "model": system.document["model"],
            "messages": [{"role": "user", "content": "one two three"}],
            "max_tokens": 30,
        }
        while not self._ends.is_set():
            try:
                self.statuses.append(post(f"{system.public}/v1/chat/completions", body)[0])
            except OSError as error:
                self.statuses.append(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(30)


@contextlib.contextmanager
def playing(
    folder: Path,
    redis_url: str,
    port: int,
    config: Path,
    *,
    environments: dict[str, dict[str, str]] | None = None,
    threads: int = 3,
    change: Callable[[dict[str, Any]], None] = lambda document: None,
) -> Iterator[tuple[Controllers, Monitor, Crowd]]:
    """Engines, a router under load, and the controller `a`; `environments` are of the router and of controllers."""

    def among_several(document: dict[str, Any]) -> None:
        document["controller"] |= {"tick_s": 2, "table_ttl_s": 60, "election": {"kind": "lease"}}
        document["table"] |= {"url": None, "redis_url": redis_url, "poll_interval_s": 0.5}
        change(document)

    with (
        running(folder, "emulate", "router", change=among_several, environments=environments) as system,
        contextlib.ExitStack() as stack,
    ):
        monitor = stack.enter_context(contextlib.closing(Monitor(port)))
        controllers = stack.enter_context(
            contextlib.closing(Controllers(system, config, environments=environments or {}))
        )
        controllers.start("a")
        system.until(lambda: len(monitor.by("a")) >= 3, "a publishes")
        crowd = stack.enter_context(contextlib.closing(Crowd(system, threads)))
        yield controllers, monitor, crowd


async def play(
    folder: Path,
    act: Callable[[Controllers, Monitor, Crowd], None],
    *,
    redis_environment: dict[str, str] | None = None,
    **how: Any,
) -> None:
    """Run the blocking play in a thread, beside the fake API server; `how` as for `playing`."""
    async with running_redis(environment=redis_environment) as redis, kube_server() as kube:
        config = kubeconfig(folder, kube)

        def whole() -> None:
            with playing(folder, redis.url, redis.port, config, **how) as (controllers, monitor, crowd):
                act(controllers, monitor, crowd)

        await asyncio.to_thread(whole)


def settled_pair(controllers: Controllers, monitor: Monitor) -> None:
    """`a` leads and has planned under load, `b` stands by and knows it; then the grid calls."""
    until = controllers.system.until
    controllers.start("b")
    until(lambda: controllers.state("b")["election"]["leader"].startswith("a_"), "b knows who leads")
    until(lambda: controllers.state("a")["election"]["has_standby"] is True, "a knows that b stands by")
    time.sleep(15.0)  # the plan follows the demand that was observed
    present_w = controllers.state("a")["power"]["measured_w"]
    call = {"event_id": "evening", "limit_w": round(LIMIT_FRAC * present_w), "duration_s": 600, "ramp_s": 5}
    status, body = post(f"{controllers.api('a')}/v1/events", call)
    assert status == 201, body
    until(lambda: (controllers.state("a")["event"] or {}).get("state") == "active", "the event is in force")
    time.sleep(8.0)  # instances go, and the plan settles under the limit


def steps(before: Publication, after: Publication) -> float:
    """Largest difference of a weight."""
    pairs = {(c, p) for table in (before, after) for c, pools in table.weights.items() for p in pools}
    return max(abs(before.weights[c].get(p, 0.0) - after.weights[c].get(p, 0.0)) for c, p in pairs)


def check_takeover(monitor: Monitor, gone_s: float) -> float:
    """How long nobody led, s, having checked that nothing fell, stepped, or came from two."""
    assert monitor.turns == ["a", "b"]
    sequences = [published.sequence for published in monitor.publications]
    assert sequences == sorted(sequences)
    last, first = monitor.by("a")[-1], monitor.by("b")[0]
    assert steps(last, first) <= STEP_FRAC, (last.weights, first.weights)
    assert first.draining == last.draining
    assert first.caps == last.caps
    took_s = first.at_s - gone_s
    sys.stdout.write(f"takeover: {took_s:.1f} s; weights step by {steps(last, first):.4f}\n")
    return took_s


def check_ledgers(folder: Path) -> None:
    for name in ("a", "b"):
        assert verify_file(folder / name / "ledger.sqlite").sequence > 0


async def test_a_leader_that_is_killed_during_an_event_is_replaced_without_a_step(tmp_path: Path) -> None:
    def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
        settled_pair(controllers, monitor)
        limit_w = controllers.state("a")["power"]["limit_w"]
        killed_s = controllers.signal("a", signal.SIGKILL)
        controllers.system.until(lambda: len(monitor.by("b")) >= 3, "b publishes", 30.0)
        took_s = check_takeover(monitor, killed_s)
        assert took_s <= TAKEOVER_S
        state = controllers.state("b")
        assert state["election"]["role"] == "leader"
        assert state["event"]["event_id"] == "evening"
        assert state["power"]["limit_w"] == limit_w
        (call,) = json.loads(get(f"{controllers.api('b')}/v1/events")[1])["events"]
        assert call["state"] == "active"
        assert set(crowd.statuses) == {200}
        assert controllers.stop("b") == 0

    await play(tmp_path, act)
    check_ledgers(tmp_path)


async def test_the_next_leader_gives_gpus_back_what_they_had_before_the_one_that_was_killed(tmp_path: Path) -> None:
    zeusd = FakeZeusd({0: 300.0, 1: 300.0})
    zeusd.limits_mw = {0: 650_000, 1: 700_000}

    async with on_a_socket(zeusd, tmp_path / "z") as url:

        def limited(document: dict[str, Any]) -> None:
            uuids = ["GPU-0", "GPU-1"]
            document["plan"]["pools"]["int4"] |= {
                "gpu_uuids": [uuids],
                "clocks": {"power_limit_w": 450, "when": "fixed"},
            }
            document["controller"]["zeusd"] = [{"url": url, "gpu_uuids": uuids}]

        def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
            until = controllers.system.until
            until(lambda: set(zeusd.limits_mw.values()) == {450_000}, "a limits the GPUs")
            controllers.start("b")
            until(lambda: controllers.state("a")["election"]["has_standby"] is True, "a knows that b stands by")
            changes = len(zeusd.changes)
            controllers.signal("a", signal.SIGKILL)
            until(lambda: len(zeusd.changes) >= changes + 2, "b limits them in its turn", 40.0)
            assert set(zeusd.limits_mw.values()) == {450_000}
            assert controllers.stop("b") == 0

        await play(tmp_path, act, change=limited)
    assert zeusd.limits_mw == {0: 650_000, 1: 700_000}


async def test_a_leader_that_was_frozen_wakes_up_to_publish_nothing(tmp_path: Path) -> None:
    def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
        settled_pair(controllers, monitor)
        frozen_s = controllers.signal("a", signal.SIGSTOP)
        controllers.system.until(lambda: len(monitor.by("b")) >= 3, "b publishes", 30.0)
        count = len(monitor.by("a"))
        controllers.signal("a", signal.SIGCONT)
        controllers.system.until(lambda: controllers.state("a")["election"]["role"] == "standby", "a stands by")
        controllers.system.until(lambda: controllers.state("a")["election"]["leader"].startswith("b_"), "a knows b")
        time.sleep(8.0)
        assert len(monitor.by("a")) == count
        took_s = check_takeover(monitor, frozen_s)
        assert took_s <= TAKEOVER_S
        refused, body = post(f"{controllers.api('a')}/v1/events", {"limit_w": 5000, "duration_s": 60})
        assert refused == 503
        assert controllers.api("b") in json.loads(body)["error"]["message"]
        assert get(f"{controllers.api('a')}/readyz")[0] == 200
        assert get(f"{controllers.api('a')}/v1/allocation")[0] == 503
        assert set(crowd.statuses) == {200}

    await play(tmp_path, act)


async def test_an_orderly_end_hands_over_at_once_and_back_again(tmp_path: Path) -> None:
    def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
        settled_pair(controllers, monitor)
        assert controllers.stop("a") == 0
        stopped_s = time.time()
        controllers.system.until(lambda: bool(monitor.by("b")), "b publishes", 30.0)
        took_s = check_takeover(monitor, stopped_s)
        assert took_s <= 5.0
        controllers.start("a")
        controllers.system.until(lambda: controllers.state("b")["election"]["has_standby"] is True, "a stands by")
        time.sleep(5.0)
        assert controllers.stop("b") == 0
        controllers.system.until(lambda: monitor.turns == ["a", "b", "a"], "a publishes again", 30.0)
        sequences = [published.sequence for published in monitor.publications]
        assert sequences == sorted(sequences)
        turns = [p for p, q in itertools.pairwise(monitor.publications) if p.holder != q.holder]
        assert len(turns) == 2
        assert controllers.state("a")["event"]["event_id"] == "evening"
        assert set(crowd.statuses) == {200}

    await play(tmp_path, act)
    check_ledgers(tmp_path)


async def test_a_controller_that_redis_refuses_keeps_the_lead_from_nobody(tmp_path: Path) -> None:
    def act(controllers: Controllers, monitor: Monitor, crowd: Crowd) -> None:
        until = controllers.system.until
        controllers.start("b")
        until(
            lambda: "not read" in (controllers.state("b")["election"]["failure"] or ""), "b tells that Redis refuses it"
        )
        assert controllers.stop("a") == 0
        count = len(monitor.by("a"))
        controllers.start("a")
        until(lambda: len(monitor.by("a")) > count + 1, "a leads again", 30.0)
        assert controllers.state("b")["election"]["role"] == "standby"
        assert monitor.turns == ["a"]
        assert set(crowd.statuses) == {200}

    await play(tmp_path, act, environments={"b": {"REDIS_USERNAME": "nobody", "REDIS_PASSWORD": "unknown"}})


async def test_a_leader_that_alone_loses_redis_gives_the_lead_to_who_reaches_it(tmp_path: Path) -> None:
    async with running_redis() as redis, kube_server() as kube:
        config, loop = kubeconfig(tmp_path, kube), asyncio.get_running_loop()
        admin = Redis(port=redis.port)
        await admin.execute_command("ACL", "SETUSER", "own", "on", ">secret", "~*", "&*", "+@all")

        async def refuse() -> None:
            await admin.execute_command("ACL", "SETUSER", "own", "off")
            await admin.execute_command("CLIENT", "KILL", "USER", "own")

        def whole() -> None:
            environments = {"a": {"REDIS_USERNAME": "own", "REDIS_PASSWORD": "secret"}}
            with playing(tmp_path, redis.url, redis.port, config, environments=environments) as parts:
                controllers, monitor, crowd = parts
                settled_pair(controllers, monitor)
                lost_s = time.time()
                asyncio.run_coroutine_threadsafe(refuse(), loop).result(10)
                controllers.system.until(lambda: len(monitor.by("b")) >= 3, "b publishes", 40.0)
                assert check_takeover(monitor, lost_s) <= TAKEOVER_S
                assert controllers.state("a")["election"]["role"] == "standby"
                assert "not read" in controllers.state("a")["election"]["failure"]
                assert controllers.state("b")["event"]["event_id"] == "evening"
                assert set(crowd.statuses) == {200}

        await asyncio.to_thread(whole)
        await admin.aclose()


async def test_while_the_api_server_is_frozen_nobody_leads_and_the_last_table_stays_in_force(tmp_path: Path) -> None:
    async with running_redis() as redis, kube_server() as kube:
        config, loop = kubeconfig(tmp_path, kube), asyncio.get_running_loop()

        def freeze(is_frozen: bool) -> None:
            def act() -> None:
                kube.faults.frozen = is_frozen

            loop.call_soon_threadsafe(act)

        def whole() -> None:
            with playing(tmp_path, redis.url, redis.port, config) as (controllers, monitor, crowd):
                until = controllers.system.until
                freeze(True)
                until(lambda: controllers.state("a")["election"]["role"] == "standby", "a stops", 20.0)
                assert "no answer within" in controllers.state("a")["election"]["failure"]
                count = len(monitor.publications)
                time.sleep(5.0)
                assert len(monitor.publications) == count
                table = json.loads(get(f"{controllers.system.admin}/state")[1])["table"]
                assert table["sequence"] == monitor.publications[-1].sequence
                freeze(False)
                until(lambda: len(monitor.publications) > count + 1, "a publishes again", 20.0)
                sequences = [published.sequence for published in monitor.publications]
                assert sequences == sorted(sequences)
                assert set(crowd.statuses) == {200}

        await asyncio.to_thread(whole)


@contextlib.contextmanager
def another_controller(system: System) -> Iterator[subprocess.Popen[bytes]]:
    """A second controller of the same configuration, with a port and a folder of its own."""
    folder = system.folder / "other"
    folder.mkdir()
    document = json.loads(json.dumps(system.document))
    document["controller"] |= {"port": free_ports(1)[0], "data_dir": str(folder)}
    (folder / "wattroute.yaml").write_text(json.dumps(document))
    with (system.folder / "other.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *COMMANDS["controller"], "--config", str(folder / "wattroute.yaml")],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


async def test_of_two_controllers_without_an_election_the_one_that_is_not_obeyed_says_so(tmp_path: Path) -> None:
    async with running_redis() as redis:

        def on_one_key(document: dict[str, Any]) -> None:
            document["controller"] |= {"table_ttl_s": 10}
            document["table"] |= {"url": None, "redis_url": redis.url, "poll_interval_s": 0.5}

        def told(system: System) -> list[dict[str, str]]:
            return [step for step in system.state()["ladder"] if step["ladder"] == "table"]

        def whole() -> None:
            with running(tmp_path, "emulate", "router", "controller", change=on_one_key) as system:
                system.until(lambda: system.state()["acknowledged_sequence"] == system.state()["sequence"], "obeyed")
                with another_controller(system):
                    system.until(lambda: bool(told(system)), "the first one tells that another is obeyed")
                    [step] = told(system)
                    assert step["step"] == "another's"
                    assert "controller.election" in step["reason"]
                system.until(lambda: not told(system), "it is over once the other has gone")

        await asyncio.to_thread(whole)
