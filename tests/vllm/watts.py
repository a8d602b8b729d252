"""A dcgm-exporter of one EMULATED GPU: its energy is a declared function of what a real engine says that it did.

No GPU is measured: what a profile finds by this source says whether it adds up, and nothing about hardware. By itself:
``python -m tests.vllm.watts http://127.0.0.1:9001 9400``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from aiohttp import web

from controller.profile.facts import Counters, counters
from tests.fakes.system import get

UUID = "GPU-emulated-0"
IDLE_W = 20.0
STEP_J, DECODE_J, PROMPT_J = 1.0, 0.5, 0.03
"""Of an engine step, of a decoded token, of a computed prompt token, all that the GPU draws meanwhile included.

While an engine computes a prompt it draws no less than in a step without one, which a fit takes for granted: on a slow
CPU, where a prompt token takes 30 to 50 us and a step 4 ms, that is 13 mJ at the least.
"""
LEAST_GAUGE_S = 0.1


def work_j(steps: float, decode_tokens: float, prompt_tokens: float) -> float:
    """What an engine's work takes."""
    return STEP_J * steps + DECODE_J * decode_tokens + PROMPT_J * prompt_tokens


@dataclass
class Watts:
    """One GPU, whose counter moves as it is asked for: what the engine did since, and no less than its idle power."""

    engine: str
    energy_j: float = 0.0
    power_w: float = IDLE_W
    _seen: tuple[float, Counters] | None = field(default=None, repr=False)

    def text(self) -> str:
        now_s, now = time.monotonic(), counters(get(f"{self.engine}/metrics")[1].decode(), self.engine)
        if self._seen is not None:
            then_s, then = self._seen
            firsts = now.first_tokens - then.first_tokens
            used_j = work_j(
                now.steps - then.steps,
                now.generation_tokens - then.generation_tokens - firsts,
                now.prompt_tokens - then.prompt_tokens - (now.cached_tokens - then.cached_tokens),
            )
            used_j = max(IDLE_W * (now_s - then_s), used_j)
            self.energy_j += used_j
            if now_s - then_s >= LEAST_GAUGE_S:
                self.power_w = used_j / (now_s - then_s)
        self._seen = (now_s, now)
        return "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        labels = f'{{gpu="0",UUID="{UUID}",modelName="function of the engine\'s counters (emulated)"}}'
        yield f"DCGM_FI_DEV_POWER_USAGE{labels} {self.power_w:.3f}\n"
        yield f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} {1e3 * self.energy_j:.0f}\n"


@contextlib.asynccontextmanager
async def exporter(engine: str, port: int = 0) -> AsyncIterator[str]:
    """Serves it; gives the address of its metrics."""
    watts = Watts(engine)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=await asyncio.to_thread(watts.text))

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()


async def _serve(engine: str, port: int) -> None:
    async with exporter(engine, port) as address:
        sys.stdout.write(f"EMULATED power of {engine} at {address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
