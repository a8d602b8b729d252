"""Canaries against real engines: log-probabilities are compared, and weights that have turned to nonsense are found."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from controller.clock import VirtualClock
from controller.model.observation import InstanceObservation, InstanceState
from controller.quality.canary import PoolReport
from controller.quality.evidence import Rule
from controller.signals.canary import LOGPROBS_AGAIN_S, CanaryOptions, CanaryParts, CanaryTask
from controller.signals.canary_setup import CanarySetup
from controller.signals.quality_book import QualityBook
from router.contract import Precision
from tests.fakes.controller_parts import NOW_S, ListRecorder, pool, site
from tests.fakes.http_stub import http_stub
from tests.fakes.plain_engines import PlainEngines
from tests.vllm.servers import MODEL, Pair, Server

pytestmark = pytest.mark.vllm

WITHIN = 60
"""Canaries: a minute at one a second."""
SAMPLES = (
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "top_k": 1, "top_logprobs": 3}),
    ("/v1/completions", {"prompt": "def x(self):", "temperature": 0, "echo": True, "logprobs": 3, "stream": True}),
    ("/v1/completions", {"prompt": [300, 301], "temperature": 0, "min_tokens": 9, "max_tokens": 9, "seed": 1}),
)
ANSWER_TOKENS, RULE = 4, Rule(readmit_after=3)
"""Of random weights many tokens are nearly as likely, so that precisions part sooner than those of a trained model."""
Weights = Callable[[bytearray], None]


@dataclass
class Bench:
    """Canaries to both servers, one a virtual second."""

    task: CanaryTask
    book: QualityBook
    clock: VirtualClock

    async def send(self, canaries: int) -> None:
        for _ in range(canaries):
            await self.task.step()
            await self.task.settle()
            self.clock.advance(1.0)

    async def until(self, is_barred: bool) -> int:
        """Canaries until something is barred, or nothing any more."""
        for count in range(1, 4 * WITHIN):
            await self.send(1)
            if bool(self.book.barred(NOW_S)) is is_barred:
                return count
        raise AssertionError(f"barred never became {is_barred}: {self.book.report()}")

    def report(self, name: str) -> PoolReport:
        return next(report for report in self.book.report().pools if report.pool_id == name)


@asynccontextmanager
async def bench(pair: Pair, *, reference: Precision, asks_samples: bool = False) -> AsyncIterator[Bench]:
    fleet = site(pool("bf16", (pair.bf16.url,)), pool("int8", (pair.int8.url,), Precision.INT8))
    samples = [
        {"sample_id": str(n), "path": path, "class_id": "standard", "body": json.dumps({"model": MODEL, **body})}
        for n, (path, body) in enumerate(SAMPLES)
    ]
    async with http_stub() as router, aiohttp.ClientSession() as session:
        router.set("/canary/samples", {"samples": samples})
        urls = (router.url,) if asks_samples else ()
        options = CanaryOptions(1.0, MODEL, ANSWER_TOKENS, energy_j_per_h=1e9, router_urls=urls)
        book = CanarySetup(RULE, options, reference).book(fleet, ListRecorder())
        clock = VirtualClock(NOW_S)
        seen = [
            InstanceObservation(i.instance_id, p.pool_id, InstanceState.SERVING, 0.0, 0.0)
            for p in fleet.pools
            for i in p.instances
        ]
        parts = CanaryParts(book, PlainEngines(session), session, clock, lambda: seen, lambda: None, lambda: None)
        yield Bench(CanaryTask(lambda: fleet, parts, options), book, clock)


async def test_log_probabilities_of_two_precisions_are_compared(pair: Pair) -> None:
    async with bench(pair, reference=Precision.BF16, asks_samples=True) as at:
        await at.send(40)
        assert at.book.counts.failed == 0
        int8, bf16 = at.report("int8"), at.report("bf16")
        assert {name for name, _ in int8.by_class} == {"built-in", "standard"}
        # INT8 is near BF16, and not the same.
        assert int8.mean_logprob_gap is not None
        assert 1e-4 < int8.mean_logprob_gap < 0.1
        assert int8.agreement.frac is not None
        assert int8.agreement.frac > 0.5
        assert bf16.agreement.frac == 1.0
        assert bf16.mean_logprob_gap == pytest.approx(0.0, abs=1e-3)


def other_numbers(weights: bytearray) -> None:
    """BF16 numbers as good as any, in the wrong order."""
    weights[:] = b"".join(weights[n : n + 2] for n in range(len(weights) - 2, -1, -2))


def no_numbers(weights: bytearray) -> None:
    """What wrong scales may come to."""
    weights[:] = b"\xc0\x7f" * (len(weights) // 2)


def changed(checkpoint: Path, folder: Path, change: Weights) -> Path:
    """A copy of a checkpoint, the weights of its output layer changed (safetensors: length, JSON header, tensors)."""
    folder.mkdir()
    for file in checkpoint.glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    raw = bytearray((checkpoint / "model.safetensors").read_bytes())
    begin = 8 + int.from_bytes(raw[:8], "little")
    tensor = json.loads(raw[8:begin])["lm_head.weight"]
    assert tensor["dtype"] == "BF16"
    first, last = (begin + offset for offset in tensor["data_offsets"])
    assert last - first == 2 * math.prod(tensor["shape"])
    part = raw[first:last]
    change(part)
    raw[first:last] = part
    (folder / "model.safetensors").write_bytes(raw)
    return folder


def load(server: Server, checkpoint: Path) -> None:
    """Have a running server take other weights."""
    server.order("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(checkpoint)}})
    server.order("/reset_prefix_cache")


@pytest.mark.parametrize("change", [other_numbers, no_numbers])
async def test_weights_that_turn_to_nonsense_are_barred_and_come_back(
    pair: Pair, tmp_path: Path, change: Weights
) -> None:
    sound = pair.models / "tiny-bf16"
    async with bench(pair, reference=Precision.INT8) as at:
        await at.send(10)
        assert at.book.barred(NOW_S) == ()
        try:
            load(pair.bf16, changed(sound, tmp_path / "nonsense", change))
            assert await at.until(is_barred=True) <= WITHIN
            assert [bar.name for bar in at.book.barred(NOW_S)] == ["bf16"]
        finally:
            load(pair.bf16, sound)
        await at.until(is_barred=False)
        assert at.book.counts.failed == 0
        at.clock.advance(LOGPROBS_AGAIN_S)
        before = at.report("bf16").mean_logprob_gap
        await at.send(8)
        assert at.report("bf16").mean_logprob_gap != before
