"""Whether what clients are told adds up to what was metered: ``python -m tests.bench.joules [SECONDS] [shared|kept]``.

Starts the laptop example (emulated engines and GPUs, router, controller) on free ports, sends chats of mixed lengths, a
third of them plain, for two minutes, and puts the sum of the energies told beside the emulator's own counters and the
controller's account.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp

from controller.signals.prometheus_text import parse
from tests.fakes.system import System, get, running

RATE_PER_S = 3.0
WARM_S = 12.0
CLASSES = ("standard", "standard", "premium", "flex")
_TOLD = re.compile(rb": x-wattroute-energy: ([^;\n]+)")
_ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
_PREFIX = "wattroute_controller_"


@dataclass
class Sum:
    """What clients were told."""

    energy_j: float = 0.0
    told: int = 0
    unknown: int = 0
    failed: int = 0

    def add(self, value: str | None) -> None:
        number = (value or "unknown").partition(";")[0]
        if number == "unknown":
            self.unknown += 1
            return
        self.told += 1
        self.energy_j += float(number)


async def ask(session: aiohttp.ClientSession, url: str, rng: random.Random, total: Sum) -> None:
    """One chat, plain or streamed."""
    stream = rng.random() < 0.67
    body: dict[str, Any] = {
        "model": "Qwen/Qwen3-235B-A22B-Instruct-2507",
        "messages": [{"role": "user", "content": "word " * rng.randint(20, 1500)}],
        "max_tokens": rng.randint(20, 300),
        "ignore_eos": True,
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    headers = {"x-wattroute-energy": "1", "x-wattroute-class": rng.choice(CLASSES)}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
            whole = await answer.read()
            if answer.status != 200:
                total.failed += 1
                return
            found = _TOLD.search(whole)
            total.add(answer.headers.get("x-wattroute-energy") if not stream else found and found[1].decode())
    except aiohttp.ClientError:
        total.failed += 1


async def load(url: str, seconds: float, rng: random.Random, rate_per_s: float = RATE_PER_S) -> Sum:
    """Chats at random times; returns when all have ended."""
    total = Sum()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        end_s = monotonic() + seconds
        while monotonic() < end_s:
            group.create_task(ask(session, url, rng, total))
            await asyncio.sleep(rng.expovariate(rate_per_s))
    return total


def emulated_j(system: System) -> float:
    """Energy of all emulated GPUs of instances so far."""
    text = get(f"{system.emulator}/metrics")[1].decode()
    samples = [sample for sample in parse(text, (_ENERGY,)) if "spare" not in sample.labels.get("UUID", "")]
    return sum(sample.value for sample in samples) / 1e3


def account_j(system: System) -> dict[str, float]:
    """The controller's account so far."""
    text = get(f"{system.api}/metrics")[1].decode()
    names = (f"{_PREFIX}attributed_energy_joules_total", f"{_PREFIX}unborne_energy_joules_total")
    found = {"requests": 0.0, "idle": 0.0, "unattributed": 0.0, "in flight": 0.0}
    for sample in parse(text, (*names, f"{_PREFIX}in_flight_energy_joules")):
        key = "requests" if sample.name == names[0] else sample.labels.get("account", "in flight")
        found[key] += sample.value
    return found


def measure(system: System, seconds: float) -> dict[str, Any]:
    """The figures of one run."""
    asyncio.run(load(system.public, WARM_S, random.Random(1)))
    before_j, before = emulated_j(system), account_j(system)
    total = asyncio.run(load(system.public, seconds, random.Random(2)))
    asyncio.run(asyncio.sleep(3.0))  # the controller looks once a second
    metered_j, after = emulated_j(system) - before_j, account_j(system)
    account = {name: after[name] - before[name] for name in after}
    return {
        "requests": {"told": total.told, "unknown": total.unknown, "failed": total.failed},
        "told_j": round(total.energy_j),
        "metered_j": round(metered_j),
        "account_j": {name: round(value) for name, value in account.items()},
        "account_over_metered": round(sum(account.values()) / metered_j, 4),
        "told_over_borne": round(total.energy_j / account["requests"], 4),
        "told_and_unborne_over_metered": round(
            (total.energy_j + account["idle"] + account["unattributed"]) / metered_j, 4
        ),
    }


def main() -> None:
    """Run and show the figures."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    idle = sys.argv[2] if len(sys.argv) > 2 else "shared"

    def change(document: dict[str, Any]) -> None:
        document["energy"] = {"idle": idle}

    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), "emulate", "controller", "router", change=change) as system,
    ):
        figures = measure(system, seconds)
    sys.stdout.write(json.dumps({"seconds": seconds, "idle": idle, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
