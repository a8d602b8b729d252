"""The emulator under load: requests over HTTP at their times, and its own counters at both ends of the window.

This client chooses instances as the models' router does: the pool that is furthest behind its share of the output
tokens, and in it the instance with the fewest requests under way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import aiohttp
import msgspec

from controller.model.fleet import Instance, Site
from controller.signals import prometheus_text
from controller.simulation import tokenizer
from controller.simulation.site_router import Request
from tests.bench.agreement.case import Means, Reading, Window, means

TOKENS = "vllm:generation_tokens_total"


@dataclass(frozen=True, slots=True)
class Played:
    """What a set of instances was asked and did.

    Attributes:
        sent: the requests, with the times at which they were really sent, since the first could be.
        window: with the instants at which the counters were really read.
    """

    sent: tuple[Request, ...]
    window: Window
    means: Means


class Load:
    """Sends the requests of one set of instances."""

    def __init__(self, session: aiohttp.ClientSession, site: Site, requests: Sequence[Request], model: str) -> None:
        self._session, self._requests, self._model = session, requests, model
        self._pools = site.pools
        self._in_flight: Counter[str] = Counter()
        self._given: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        self.sent: list[Request] = []

    async def send_all(self, start_s: float) -> None:
        """Send each request at its time; `start_s` is the event loop's time of the start."""
        loop = asyncio.get_running_loop()
        for request in self._requests:
            await asyncio.sleep(start_s + request.time_s - loop.time())
            instance = self._pick(request)
            self.sent.append(replace(request, time_s=loop.time() - start_s))
            self._tasks.append(loop.create_task(self._serve(request, instance)))

    async def end(self) -> None:
        """Give up what is under way.

        Raises:
            RuntimeError: a request was not answered as asked.
        """
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise RuntimeError(f"a request failed, so nothing can be compared: {outcome!r}") from outcome

    def _pick(self, request: Request) -> Instance:
        pool = min(self._pools, key=lambda pool: self._given[pool.pool_id])
        instance = min(pool.instances, key=lambda one: self._in_flight[one.instance_id])
        self._given[pool.pool_id] += request.output_tokens
        self._in_flight[instance.instance_id] += 1
        return instance

    async def _serve(self, request: Request, instance: Instance) -> None:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": tokenizer.chat_words(request.input_tokens)}],
            "max_tokens": request.output_tokens,
            "ignore_eos": True,
        }
        async with self._session.post(f"{instance.url}/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            usage = (await answer.json())["usage"]
        if (usage["prompt_tokens"], usage["completion_tokens"]) != (request.input_tokens, request.output_tokens):
            raise ValueError(f"asked {request.input_tokens} + {request.output_tokens} tokens, got {usage}")
        self._in_flight[instance.instance_id] -= 1


async def play(
    control_url: str, model: str, sites: Mapping[str, Site], requests: Mapping[str, Sequence[Request]], window: Window
) -> dict[str, Played]:
    """Play each set's requests, all at once, against an emulator that runs; what came of each.

    Raises:
        RuntimeError: a request was not answered as asked.
        aiohttp.ClientError: the emulator cannot be read.
    """
    loop = asyncio.get_running_loop()
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        loads = {name: Load(session, site, requests[name], model) for name, site in sites.items()}
        start_s = loop.time()
        sending = [loop.create_task(load.send_all(start_s)) for load in loads.values()]
        readings = []
        for at_s in (window.start_s, window.end_s):
            await asyncio.sleep(start_s + at_s - loop.time())
            readings.append(await _read(session, control_url, sites, start_s))
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        for load in loads.values():
            await load.end()
    before, after = readings
    return {
        name: Played(tuple(load.sent), Window(before[name].at_s, after[name].at_s), means(before[name], after[name]))
        for name, load in loads.items()
    }


async def _read(
    session: aiohttp.ClientSession, control_url: str, sites: Mapping[str, Site], start_s: float
) -> dict[str, Reading]:
    """Counters of all sets; their instant is the middle of the time that reading them took."""
    loop = asyncio.get_running_loop()
    asked_s = loop.time()
    urls = {one.instance_id: one.url for site in sites.values() for pool in site.pools for one in pool.instances}
    told, *pages = await asyncio.gather(
        _get(session, f"{control_url}/instances"), *(_get(session, f"{url}/metrics") for url in urls.values())
    )
    at_s = 0.5 * (asked_s + loop.time()) - start_s
    energy_j = {one["instance_id"]: one["energy_j"] for one in msgspec.json.decode(told)}
    tokens = {
        one: sum(sample.value for sample in prometheus_text.parse(page.decode(), {TOKENS}))
        for one, page in zip(urls, pages, strict=True)
    }
    ids = {name: [one.instance_id for pool in site.pools for one in pool.instances] for name, site in sites.items()}
    return {
        name: Reading(at_s, sum(energy_j[one] for one in of_set), sum(tokens[one] for one in of_set))
        for name, of_set in ids.items()
    }


async def _get(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        answer.raise_for_status()
        return await answer.read()
