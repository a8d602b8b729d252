"""How fast real processes follow a call to draw less: ``python -m tests.bench.curtail [EVENTS] [http|redis]``.

Starts the laptop example (emulated engines and GPUs, router, controller) on free ports, keeps it under chats, and calls
for 30 % less, again and again: time to the first table at the router that was issued after the call, to 90 % of the cut
and to all of it by the emulated GPUs' own readings, and what became of the requests. The GPUs, and so the power, are
emulated; the processes are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

from controller.signals.prometheus_text import parse
from tests.bench.joules import Sum, load
from tests.fakes.redis_server import running_redis
from tests.fakes.system import System, get, post, running

CUT_FRAC = 0.3
WARM_S, HOLD_S, REST_S = 40.0, 30.0, 25.0
"""Chats before the first call; length of a call; time between two."""
LOOK_S = 0.02
_POWER = "DCGM_FI_DEV_POWER_USAGE"


def power_w(system: System) -> float:
    """What the site draws at its metering point, by the emulated GPUs."""
    text = get(f"{system.emulator}/metrics")[1].decode()
    return float(system.document["site"]["pue"]) * sum(sample.value for sample in parse(text, (_POWER,)))


def obeyed_s(system: System) -> float:
    """When the table that the router obeys was issued."""
    table = json.loads(get(f"{system.admin}/state")[1])["table"]
    return float(table["issued_at_s"] or 0.0)


def follow(system: System, number: int) -> dict[str, Any]:
    """One call, from its posting to its end."""
    before_w = power_w(system)
    asked = {"below_present_w": CUT_FRAC * before_w, "duration_s": HOLD_S, "event_id": f"bench-{number}"}
    posted_s, began = time(), monotonic()
    status, answer = post(f"{system.api}/v1/events", asked)
    if status != 201:
        raise RuntimeError(f"the call was answered {status}: {answer.decode()[:300]}")
    found: dict[str, Any] = {"before_w": round(before_w), "limit_w": round((1 - CUT_FRAC) * before_w)}
    goals = {"to_90_s": (1 - 0.9 * CUT_FRAC) * before_w, "to_full_s": (1 - CUT_FRAC) * before_w}
    while (passed_s := monotonic() - began) < HOLD_S:
        if "table_s" not in found and obeyed_s(system) >= posted_s:
            found["table_s"] = round(monotonic() - began, 3)
        drawn_w = power_w(system)
        for name, goal_w in goals.items():
            if name not in found and drawn_w <= goal_w:
                found[name] = round(passed_s, 1)
        sleep(LOOK_S if "table_s" not in found else 0.2)
    return found


@contextlib.contextmanager
def chats(system: System, seconds: float) -> Iterator[Sum]:
    """Chats in a thread of their own; their sum is whole afterwards."""
    total = Sum()

    def send() -> None:
        done = asyncio.run(load(system.public, seconds, random.Random(1)))
        total.told, total.unknown, total.failed = done.told, done.unknown, done.failed

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield total
    finally:
        thread.join()


def measure(system: System, events: int) -> dict[str, Any]:
    """The figures of one run."""
    with chats(system, WARM_S + events * (HOLD_S + REST_S)) as total:
        sleep(WARM_S)
        found = []
        for number in range(events):
            found.append(follow(system, number))
            sleep(REST_S)
    return {"events": found, "requests": {"answered": total.told + total.unknown, "failed": total.failed}}


async def bench(events: int, way: str) -> dict[str, Any]:
    """Run over HTTP, or through a Redis of its own."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(running_redis()) if way == "redis" else None
        folder = stack.enter_context(tempfile.TemporaryDirectory())

        def change(document: dict[str, Any]) -> None:
            if redis is not None:
                document["table"] = {"redis_url": redis.url}

        system = stack.enter_context(running(Path(folder), "emulate", "controller", "router", change=change))
        return await asyncio.to_thread(measure, system, events)


def main() -> None:
    """Run and show the figures."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    way = sys.argv[2] if len(sys.argv) > 2 else "http"
    sys.stdout.write(json.dumps({"way": way, **asyncio.run(bench(events, way))}, indent=1) + "\n")


if __name__ == "__main__":
    main()
