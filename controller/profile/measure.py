"""Measuring one cell: fill the engine, read all counters through a steady window, and see that nobody else uses it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from controller.clock import Clock
from controller.errors import ProfileError
from controller.profile.cells import MeasuredCell
from controller.profile.design import Cell
from controller.profile.facts import Counters
from controller.profile.load import ClosedLoop
from controller.profile.power import GpuMeter, PowerSample, means_w, stuck
from controller.profile.steady import MAX_SPREAD_FRAC, PARTS
from controller.profile.target import Target
from controller.profile.window import Moment, is_at_rest, measured_cell, steadiness_of

POLL_S = 0.1
DRAIN_S = 30.0
LONGEST_FILL_S = 300.0
STRANGE_FRAC = 0.03
"""Tokens that the engine may have counted beyond the client's, for what is under way when a window begins and ends."""
STRANGE_TOKENS_PER_REQUEST = 4
LEAST_REFUSED = 8
"""Refusals before every place had its turn that are no passing matter, or twice as many as there are places."""
QUICK_FRAC, MOST_READINGS = 0.02, 5
"""A reading may take this share of a part of the window, or is tried again so many times."""

_KEPT = "run the same command again: what was measured is kept"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a cell is measured.

    Attributes:
        window_s: steady window; one that is not steady is extended by itself, twice at most.
        warmup_s: after every place has its first token.
        rest_s: of the measurement without work.
        max_spread_frac: by how much throughput may vary between the parts of a window, and power by half of it.
    """

    window_s: float
    warmup_s: float
    rest_s: float
    extensions: int = 2
    max_spread_frac: float = MAX_SPREAD_FRAC


class Bench:
    """One engine with its meter, ready to be measured."""

    def __init__(self, target: Target, model: str, meter: GpuMeter, *, pace: Pace, clock: Clock, seed: int = 0) -> None:
        self._target = target
        self._model = model
        self._meter = meter
        self._pace = pace
        self._clock = clock
        self._seed = seed
        self._idle_by_gpu_w: tuple[float, ...] = ()

    async def require_quiet(self, wait_s: float = DRAIN_S) -> None:
        """Wait until nothing runs in the engine, and see that its counters then stand still.

        Raises:
            ProfileError: others use the engine.
        """
        end_s = self._clock.monotonic_s() + wait_s
        while True:
            before = await self._target.counters()
            if before.running + before.waiting == 0:
                await self._clock.sleep(5 * POLL_S)
                after = await self._target.counters()
                if after.running + after.waiting == 0 and after.generation_tokens == before.generation_tokens:
                    return
            if self._clock.monotonic_s() > end_s:
                raise ProfileError(
                    f"{self._target.address.base} has {before.running:g} requests running and {before.waiting:g} "
                    "waiting that are not ours: take the instance out of its router, stop its other clients, and run "
                    "the same command again"
                )
            await self._clock.sleep(POLL_S)

    async def rest_w(self) -> float:
        """Mean power without work.

        Raises:
            ProfileError: requests came meanwhile.
            PowerLost: the power cannot be read.
        """
        before = await self._target.counters()
        samples = [await self._meter.sample(self._clock.wall_s())]
        for _ in range(PARTS):
            await self._clock.sleep(self._pace.rest_s / PARTS)
            samples.append(await self._meter.sample(self._clock.wall_s()))
        after = await self._target.counters()
        if after.steps != before.steps or after.running + after.waiting > 0:
            raise ProfileError("the engine worked while its idle power was measured: stop its other clients")
        by_gpu_w = means_w(samples)
        self._idle_by_gpu_w = self._idle_by_gpu_w or by_gpu_w
        return sum(by_gpu_w)

    async def measure(self, cell: Cell, idle_w: float) -> MeasuredCell:
        """Measure a cell.

        Args:
            cell: the load.
            idle_w: power without work, which times without a request are taken out at.

        Raises:
            ProfileError: the engine refuses the load, others use it, or the source shows other GPUs than its own.
            PowerLost: its power cannot be read.
        """
        await self.require_quiet()
        quiet = await self._meter.sample(self._clock.wall_s())
        before = await self._target.counters()
        rng = Random(zlib.crc32(f"{self._seed}/{cell}/{self._clock.wall_s()}".encode()))
        load = ClosedLoop(
            self._target.session, self._target.address, self._model, cell=cell, rng=rng, clock=self._clock
        )
        load.begin()
        try:
            await self._fill(load, cell)
            moments = await self._window(load, cell)
        finally:
            await load.end()
        after = await self._target.counters()
        self._require_alone(before, after, load, cell)
        self._require_own(cell, quiet, [moment.power for moment in moments])
        return measured_cell(cell, moments, load.counts, idle_w=idle_w, max_spread_frac=self._pace.max_spread_frac)

    async def _fill(self, load: ClosedLoop, cell: Cell) -> None:
        """Until every place has its first token, or the engine's batch is full and others wait."""
        began_s = self._clock.monotonic_s()
        full = 0
        while load.counts.started < cell.concurrency and full < 20:
            load.check()
            now = await self._target.counters()
            full = full + 1 if now.waiting > 0 and now.running > 0 and load.counts.started >= now.running else 0
            refused = sum(load.counts.statuses.values())
            if refused >= max(LEAST_REFUSED, 2 * cell.concurrency):
                raise ProfileError(
                    f"{cell}: the engine refuses this load{_told(load)}; lower --max-concurrency, raise the engine's "
                    "--max-num-queued-reqs, or lift the limit of what stands before it"
                )
            if self._clock.monotonic_s() - began_s > LONGEST_FILL_S:
                raise ProfileError(
                    f"{cell}: only {load.counts.started} of {cell.concurrency} requests had a token after "
                    f"{LONGEST_FILL_S:g} s{_told(load)}; lower --max-concurrency"
                )
            await self._clock.sleep(POLL_S)
        await self._clock.sleep(self._pace.warmup_s)

    async def _window(self, load: ClosedLoop, cell: Cell) -> list[Moment]:
        """Moments of a window; of one that was extended, the latest part of the full length."""
        moments = [await self._moment(load, cell)]
        for _ in range(1 + self._pace.extensions):
            for _ in range(PARTS):
                await self._clock.sleep(self._pace.window_s / PARTS)
                moments.append(await self._moment(load, cell))
            if steadiness_of(moments[-PARTS - 1 :]).is_within(self._pace.max_spread_frac):
                break
        return moments[-PARTS - 1 :]

    async def _moment(self, load: ClosedLoop, cell: Cell) -> Moment:
        """All counters, just after a step has ended, where prompts are long one that completed a prompt.

        Whole steps and prompts then lie between two moments. They are read again where the reading took long, as it is
        then not sure what time they are of.
        """
        load.check()
        readings: list[tuple[float, Moment]] = []
        quick_s = QUICK_FRAC * self._pace.window_s / PARTS
        while len(readings) < MOST_READINGS and (not readings or readings[-1][0] > quick_s):
            await load.next_token(self._pace.window_s / PARTS, is_first=cell.input_tokens > cell.output_tokens)
            readings.append(await self._reading(load))
        moment = min(readings, key=lambda reading: reading[0])[1]
        present = moment.engine.running + moment.engine.waiting
        if present > cell.concurrency:
            raise _others(f"{present:g} requests are in the engine, {cell.concurrency} are ours")
        return moment

    async def _reading(self, load: ClosedLoop) -> tuple[float, Moment]:
        """All counters, and the time that reading them took."""
        asked_s = self._clock.monotonic_s()
        engine = await self._target.counters()
        answered_s = self._clock.monotonic_s()
        counts, idle_s = load.counts, load.idle_s()
        seen = (counts.gap_s, counts.gaps)
        power = await self._meter.sample(self._clock.wall_s())
        moment = Moment((asked_s + answered_s) / 2, engine, power, idle_s, *seen)
        return self._clock.monotonic_s() - asked_s, moment

    def _require_alone(self, before: Counters, after: Counters, load: ClosedLoop, cell: Cell) -> None:
        counted = after.generation_tokens - before.generation_tokens
        bound = load.counts.tokens * (1 + STRANGE_FRAC) + STRANGE_TOKENS_PER_REQUEST * cell.concurrency
        if counted < 0:
            raise ProfileError("the engine's counters went back: it was restarted; run the same command again")
        if counted > bound:
            raise _others(f"the engine made {counted:g} tokens, {load.counts.tokens:.0f} of which came here")

    def _require_own(self, cell: Cell, quiet: PowerSample, loaded: Sequence[PowerSample]) -> None:
        """See that each GPU answers to the load; all of them at rest is told by the whole power.

        With fewer than two requests for each GPU one may rest by right, as where replicas share the requests.
        """
        uuids = self._meter.uuids
        if still := stuck([quiet, *loaded]):
            names = ", ".join(uuids[index] for index in still)
            raise ProfileError(
                f"{cell}: {names} at {quiet.gpus[still[0]].value_w:g} W before the load and all through it: sensor or "
                f"exporter is stuck, or it is no GPU of the engine's; {_KEPT}"
            )
        if not self._idle_by_gpu_w or cell.concurrency < 2 * len(uuids):
            return
        both = zip(uuids, means_w(loaded), self._idle_by_gpu_w, strict=True)
        resting = [
            f"{uuid} ({now_w:.0f} W, {idle_w:.0f} W)" for uuid, now_w, idle_w in both if is_at_rest(now_w, idle_w)
        ]
        if 0 < len(resting) < len(uuids):
            raise ProfileError(
                f"{cell}: {', '.join(resting)} draw hardly more than without work while the others do: they are other "
                "engines' GPUs; name this engine's own with --gpu-uuid, and give --out another place"
            )


def _others(what: str) -> ProfileError:
    return ProfileError(
        f"others use the instance: {what}. Take it out of its router, stop its other clients, and {_KEPT}"
    )


def _told(load: ClosedLoop) -> str:
    statuses = ", ".join(f"{count} of status {status}" for status, count in load.counts.statuses.items())
    return f" ({statuses})" if statuses else ""
