"""What the page is fed with: the present snapshot, the last half hour, and a stream to each open page.

The history is a ring of columns; the stream sends each snapshot once, and closes on a page that does not keep up
rather than hold snapshots for it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any

from controller.background import Failing
from controller.dashboard.capability_json import capability_json
from controller.dashboard.grid_state import grid_json
from controller.dashboard.leadership_json import election_json, election_steps
from controller.dashboard.rates import Rates
from controller.dashboard.snapshot import Derived, Json, SolverFigures, build
from controller.loop.grid_desk import GridStatus
from controller.loop.leadership import LeadershipStatus
from controller.loop.status import Status
from controller.model.capability import Capability
from controller.model.fleet import Site
from controller.model.observation import Reading, RouterObservation
from controller.signals.latency import Latency
from controller.tick import Decision

HISTORY_POINTS = 1800
MAX_SUBSCRIBERS = 64
_BACKLOG = 8
_PLAN_LADDERS = ("plan", "dispatch")


class TooManySubscribers(Exception):  # noqa: N818 - reads as the outcome it is
    """`MAX_SUBSCRIBERS` pages are open already."""


class Board:
    """A watcher of the runner.

    Args:
        site: the fleet.
        mode: of the controller.
        latency: of the last seconds.
        stale_s: age beyond which a power reading counts as missing.
        grid: the state of calls and limits.
        capability: what can be shed.
        background: work that has failed and not recovered yet.
    """

    def __init__(
        self,
        site: Site,
        mode: str,
        latency: Callable[[], Latency],
        stale_s: float,
        grid: Callable[[], GridStatus | None] = lambda: None,
        *,
        capability: Callable[[], Capability | None] = lambda: None,
        background: Callable[[], tuple[Failing, ...]] = lambda: (),
        leadership: Callable[[], LeadershipStatus | None] = lambda: None,
    ) -> None:
        self._site = site
        self._mode = mode
        self._latency = latency
        self._stale_s = stale_s
        self._grid = grid
        self._capability = capability
        self._background = background
        self._leadership = leadership
        self._rates = Rates()
        self._history: deque[Json] = deque(maxlen=HISTORY_POINTS)
        self._subscribers: set[asyncio.Queue[bytes | None]] = set()
        self._solver = SolverFigures()
        self._seen: Decision | None = None
        self._served_tokens: float | None = None
        self._refused_requests: float | None = None
        self.snapshot: Json | None = None

    def take(self, status: Status) -> None:
        """Take in a status and pass its snapshot on."""
        observation = status.observation
        energy_j = status.energy_j if isinstance(observation.site_power, Reading) else None
        window = self._rates.take(observation.now_s, observation.instances, energy_j)
        if isinstance(observation.router, RouterObservation):
            self._served_tokens = sum(item.output_tokens for item in observation.router.demand)
            self._refused_requests = sum(item.refused for item in observation.router.demand)
        self._take_decision(status.decision)
        derived = Derived(window, self._latency(), self._solver, self._served_tokens, self._refused_requests)
        self.snapshot = build(self._site, status, derived, self._mode, self._stale_s)
        self.snapshot["ladder"] += [_step_of(failing) for failing in self._background()]
        leadership = self._leadership()
        self.snapshot["election"] = None if leadership is None else election_json(leadership)
        self.snapshot["ladder"] += [] if leadership is None else election_steps(leadership)
        self.snapshot["grid"] = grid_json(self._grid())
        self.snapshot["capability"] = capability_json(self._capability())
        self._history.append(point_of(self.snapshot))
        self._send(json.dumps(self.snapshot, separators=(",", ":")).encode())

    def history(self) -> Json:
        """The last `HISTORY_POINTS` points as columns, oldest first."""
        points = list(self._history)
        columns: dict[str, list[Any]] = {key: [point[key] for point in points] for key in (points[0] if points else ())}
        return {"pools": [pool.pool_id for pool in self._site.pools], "columns": columns}

    async def subscribe(self) -> AsyncGenerator[bytes, None]:
        """Encoded snapshots as they come; ends at `close`, or when the reader is too slow.

        Raises:
            TooManySubscribers: no further page can be fed.
        """
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise TooManySubscribers
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BACKLOG)
        self._subscribers.add(queue)
        try:
            if self.snapshot is not None:
                yield json.dumps(self.snapshot, separators=(",", ":")).encode()
            while (body := await queue.get()) is not None:
                yield body
        finally:
            self._subscribers.discard(queue)

    def close(self) -> None:
        """End all streams."""
        for queue in tuple(self._subscribers):
            self._end(queue)

    def _send(self, body: bytes) -> None:
        for queue in tuple(self._subscribers):
            if queue.full():
                self._end(queue)
            else:
                queue.put_nowait(body)

    def _end(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._subscribers.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)

    def _take_decision(self, decision: Decision | None) -> None:
        if decision is None or decision is self._seen:
            return
        self._seen = decision
        told, before = decision.diagnostics, self._solver
        fell_back = any(fallback.ladder in _PLAN_LADDERS for fallback in told.fallbacks)
        self._solver = SolverFigures(
            slow_ms=before.slow_ms if told.slow_solve_s is None else told.slow_solve_s * 1000,
            fast_ms=before.fast_ms if told.fast_solve_s is None else told.fast_solve_s * 1000,
            fallbacks=before.fallbacks + fell_back,
        )


def _step_of(failing: Failing) -> Json:
    return {
        "ladder": "background",
        "step": failing.work.value,
        "reason": f"{failing.reason}; begun again after {failing.failures} failures in a row",
        "subject": failing.subject,
    }


def point_of(snapshot: Json) -> Json:
    """One point of the charts."""
    power, latency, event = snapshot["power"], snapshot["latency"], snapshot["event"]
    return {
        "now_s": snapshot["now_s"],
        "measured_w": power["measured_w"],
        "predicted_w": power["predicted_w"],
        "limit_w": power["limit_w"],
        "baseline_w": power["baseline_w"],
        "event": event is not None and event["state"] == "active",
        "price_usd_per_mwh": snapshot["price_usd_per_mwh"],
        "carbon_kg_per_mwh": snapshot["carbon_kg_per_mwh"],
        "j_per_output_token": snapshot["j_per_output_token"],
        "share_frac": [pool["share_frac"] for pool in snapshot["pools"]],
        "output_tokens_per_s": [pool["output_tokens_per_s"] for pool in snapshot["pools"]],
        **latency,
    }
