"""From an event's receipt to the new table at the router, with real processes: ``python -m tests.bench.notice``.

Emulator, router and controller run as an operator starts them (`tests.fakes.system`); events are posted at odd times,
and the router is asked every hundredth of a second which table it obeys.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.fakes.system import System, get, post, running

LOOK_S = 0.01
SETTLE_S = 8.0
GIVE_UP_S = 20.0


def obeyed(system: System) -> int:
    """Sequence of the table that the router obeys, -1 for none."""
    sequence = json.loads(get(f"{system.admin}/state")[1])["table"]["sequence"]
    return -1 if sequence is None else int(sequence)


def delays_s(system: System, events: int) -> list[float]:
    """Time from each event to the first new table at the router, s."""
    system.until(lambda: obeyed(system) > 0, "the router obeys a table")
    time.sleep(SETTLE_S)
    out = []
    for number in range(events):
        before, began_s = obeyed(system), time.monotonic()
        body = {"limit_w": 3000 + 10 * number, "duration_s": 60, "event_id": f"notice-{number}"}
        status, answer = post(f"{system.api}/v1/events", body)
        if status != 201:
            raise RuntimeError(f"the event was not taken: {status} {answer!r:.200}")
        while obeyed(system) <= before:
            if time.monotonic() > began_s + GIVE_UP_S:
                raise RuntimeError(f"no new table within {GIVE_UP_S:g} s")
            time.sleep(LOOK_S)
        out.append(time.monotonic() - began_s)
        cancel = urllib.request.Request(f"{system.api}/v1/events/notice-{number}", method="DELETE")
        urllib.request.urlopen(cancel, timeout=10).close()
        time.sleep(3.3 + 0.13 * number)
    return out


def main(events: int, redis_url: str | None) -> None:
    """Measure over HTTP, and through Redis where there is one."""

    def change(document: dict[str, Any]) -> None:
        document["controller"]["mode"] = "act"
        if redis_url is not None:
            document["table"] = {"redis_url": redis_url}

    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), "emulate", "router", "controller", change=change) as system,
    ):
        told = sorted(delays_s(system, events))
    source = "redis" if redis_url else "http"
    sys.stdout.write(f"{source}: {len(told)} events, median {told[len(told) // 2]:.2f} s, longest {told[-1]:.2f} s\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10)
    parser.add_argument(
        "--redis", default=None, help="a Redis that the table goes through instead, redis://HOST:PORT/0"
    )
    given = parser.parse_args()
    main(given.events, given.redis)
    sys.exit(0)
