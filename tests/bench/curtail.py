"""How real processes follow a call to draw less: ``python -m tests.bench.curtail [EVENTS] [http|redis] [RATE] [CUT]``.

Starts the laptop example with smaller engines (emulated, as the GPUs are; router, controller) on free ports, keeps it
under chats, and calls for CUT % less (30 unless told) without notice, again and again: time to the first table at the
router that was issued after the call, to 90 % of the cut and to all of it by the emulated GPUs' own readings, and what
became of each chat, by class, phase of the call, cause and verdict (`tests.bench.chats`). The GPUs, and so the power,
are emulated; the processes are real.

The limit is the one that the controller answers. Beside it stands the least that it said, just before, the site could
be brought to within the ramp (`told_least_w`), and the least that serves all above `flex` in the time of the call, by
a formula that uses nothing of the controller's (`floor_w`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

from controller.model.fleet import Site
from controller.service.compose import build_site
from controller.settings.file import load
from controller.signals.prometheus_text import parse
from controller.study.events.floor import Verdict
from tests.bench import chats, reach
from tests.fakes.redis_server import running_redis
from tests.fakes.system import System, get, post, running

CUT_FRAC = 0.3
WARM_S, HOLD_S, REST_S = 75.0, 45.0, 60.0
"""Chats before the first call, until no instance is held awake by the warm-up; length of a call; time between two."""
RATE_PER_S = 6.0
"""Chats: more than the least fleet serves."""
CURVES = {"bf16": 1.0, "fp8": 0.8, "int4": 0.55}
"""Share of the power of `ENGINE` that an instance of each pool draws."""
ENGINE = {
    "step_base_s": 0.02,
    "step_per_seq_s": 0.0012,
    "step_base_j": 9.0,
    "step_per_seq_j": 0.72,
    "prefill_s_per_token": 2e-5,
    "prefill_j_per_token": 0.012,
    "kv_capacity_tokens": 200_000,
    "max_num_seqs": 32,
    "idle_w": 120.0,
    "sleeping_w": 97.0,
    "off_w": 73.0,
    "wake_s": 3.0,
    "sleep_s": 3.0,
    "start_s": 60.0,
    "evidence": "estimated",
    "source": "the bench of curtailment: one GPU of an H100's order that serves some 450 tokens/s",
}
"""Small engines, so that several of them serve what two cores can ask for: the least that the large ones of the example
draw is what a single one of them draws, and there would be nothing to shed."""
LOOK_S = 0.02
MEAN_S = 5.0
"""Draw is a mean over the seconds before: an engine's power goes up and down with its batches."""
_POWER = "DCGM_FI_DEV_POWER_USAGE"


def power_w(system: System) -> float:
    """What the site draws at its metering point, by the emulated GPUs."""
    text = get(f"{system.emulator}/metrics")[1].decode()
    return float(system.document["site"]["pue"]) * sum(sample.value for sample in parse(text, (_POWER,)))


def obeyed_s(system: System) -> float:
    """When the table that the router obeys was issued."""
    table = json.loads(get(f"{system.admin}/state")[1])["table"]
    return float(table["issued_at_s"] or 0.0)


class Meter:
    """The mean draw of the last seconds."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._looks: deque[tuple[float, float]] = deque()

    def look(self) -> float:
        """Read once; the mean since `MEAN_S` ago, W."""
        now_s = monotonic()
        self._looks.append((now_s, power_w(self._system)))
        while self._looks[0][0] < now_s - MEAN_S:
            self._looks.popleft()
        return sum(watts for _, watts in self._looks) / len(self._looks)

    def before(self) -> float:
        """Look on for `MEAN_S`."""
        end_s = monotonic() + MEAN_S
        while monotonic() < end_s:
            mean_w = self.look()
            sleep(0.2)
        return mean_w


def ask(system: System, body: dict[str, Any], status: int) -> dict[str, Any]:
    """What the controller answers to a call.

    Raises:
        RuntimeError: something else than that status.
    """
    found, answer = post(f"{system.api}/v1/events", body)
    if found != status:
        raise RuntimeError(f"the call was answered {found}: {answer.decode()[:300]}")
    told: dict[str, Any] = json.loads(answer)
    return told


def follow(system: System, number: int, cut_frac: float = CUT_FRAC) -> dict[str, Any]:
    """One call, from its posting to its end."""
    meter = Meter(system)
    before_w = meter.before()
    asked = {"below_present_w": cut_frac * before_w, "duration_s": HOLD_S}
    least_w = ask(system, asked | {"dry_run": True}, 200)["achievable_w"]
    posted_s, began = time(), monotonic()
    limit_w = float(ask(system, asked | {"event_id": f"bench-{number}"}, 201)["limit_w"])
    found: dict[str, Any] = {
        "before_w": round(before_w),
        "limit_w": round(limit_w),
        "told_least_w": None if least_w is None else round(least_w),
    }
    goals = {"to_90_s": limit_w + 0.1 * max(0.0, before_w - limit_w), "to_full_s": limit_w}
    while (passed_s := monotonic() - began) < HOLD_S:
        if "table_s" not in found and obeyed_s(system) >= posted_s:
            found["table_s"] = round(monotonic() - began, 3)
        drawn_w = meter.look()
        for name, goal_w in goals.items():
            if name not in found and drawn_w <= goal_w:
                found[name] = round(passed_s, 1)
        sleep(LOOK_S if "table_s" not in found else 0.2)
    return found | {"last_w": round(drawn_w), "posted_s": posted_s}


@contextlib.contextmanager
def under_chats(system: System, seconds: float, rate_per_s: float) -> Iterator[list[chats.Ended]]:
    """Chats in a thread of their own; what became of them is whole afterwards."""
    ended: list[chats.Ended] = []

    def send() -> None:
        ended.extend(asyncio.run(chats.send(system.public, seconds, random.Random(1), rate_per_s)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield ended
    finally:
        thread.join()


def measure(system: System, events: int, rate_per_s: float, cut_frac: float) -> dict[str, Any]:
    """The figures of one run."""
    found = []
    with under_chats(system, WARM_S + events * (MEAN_S + HOLD_S + REST_S), rate_per_s) as ended:
        sleep(WARM_S)
        for number in range(events):
            found.append(follow(system, number, cut_frac))
            sleep(REST_S)
    return judged(build_site(load(system.folder / "wattroute.yaml")), found, ended)


def judged(site: Site, events: Sequence[dict[str, Any]], ended: Sequence[chats.Ended]) -> dict[str, Any]:
    """The figures with what became of the chats, by whether each call could be met without refusing them."""
    told, spans = [], []
    for event in events:
        from_s, to_s = event["posted_s"], event["posted_s"] + HOLD_S
        least = reach.floor(site, [each for each in ended if from_s <= each.sent_s < to_s], HOLD_S)
        can_be_met = least.verdict(event["limit_w"], reach.MARGIN_FRAC) is Verdict.WITHIN
        spans.append(chats.Span(from_s, to_s, can_be_met))
        floor_w = None if least.promises_w is None else round(least.promises_w)
        told.append(event | {"floor_w": floor_w, "can_be_met": can_be_met})
    return {"events": told, "requests": chats.told(ended, spans)}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """What became of the chats, a row for each class and phase."""
    lines = [
        "| class | sent | chats | whole | first token p50, s | p99, s | failed |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        failed = "; ".join(f"{count} x {why}" for why, count in row["failed"].items())
        first = row["first_token_s"]
        lines.append(
            f"| {row['class']} | {row['sent']} | {row['chats']} | {row['whole']} | {shown(first['p50'])} |"
            f" {shown(first['p99'])} | {failed} |"
        )
    return "\n".join(lines) + "\n"


def shown(seconds: float | None) -> str:
    """A time for people."""
    return "–" if seconds is None else f"{seconds:g}"


def of_small_engines(document: dict[str, Any]) -> None:
    """The example with a GPU to each instance."""
    for pool, share in CURVES.items():
        drawn = {key: share * float(ENGINE[key]) for key in ("step_base_j", "step_per_seq_j", "prefill_j_per_token")}
        document["plan"]["pools"][pool] |= {"gpus_per_instance": 1, "curves": ENGINE | drawn}


async def bench(events: int, way: str, rate_per_s: float = RATE_PER_S, cut_frac: float = CUT_FRAC) -> dict[str, Any]:
    """Run over HTTP, or through a Redis of its own."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(running_redis()) if way == "redis" else None
        folder = stack.enter_context(tempfile.TemporaryDirectory())

        def change(document: dict[str, Any]) -> None:
            of_small_engines(document)
            if redis is not None:
                document["table"] = {"redis_url": redis.url}

        system = stack.enter_context(running(Path(folder), "emulate", "controller", "router", change=change))
        return await asyncio.to_thread(measure, system, events, rate_per_s, cut_frac)


def main() -> None:
    """Run and show the figures."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    way = sys.argv[2] if len(sys.argv) > 2 else "http"
    rate_per_s = float(sys.argv[3]) if len(sys.argv) > 3 else RATE_PER_S
    cut_frac = float(sys.argv[4]) / 100 if len(sys.argv) > 4 else CUT_FRAC
    figures = asyncio.run(bench(events, way, rate_per_s, cut_frac))
    whole = {"way": way, "chats_per_s": rate_per_s, "cut_frac": cut_frac, **figures}
    sys.stdout.write(json.dumps(whole, indent=1) + "\n" + table(figures["requests"]["rows"]))


if __name__ == "__main__":
    main()
