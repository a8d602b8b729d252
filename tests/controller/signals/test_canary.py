"""Canaries against emulated engines over HTTP, under a clock that a test moves."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest
from aiohttp import web

from controller.clock import VirtualClock
from controller.model.fleet import Site
from controller.model.observation import InstanceObservation, InstanceState
from controller.quality.prompts import BUILT_IN, Prompt
from controller.signals.canary import LOGPROBS_AGAIN_S, CanaryOptions, CanaryParts, CanaryTask
from controller.signals.canary_setup import CanarySetup
from controller.signals.quality_book import QualityBook
from controller.simulation.emulator import Emulator
from router.contract import PoolId, Precision
from tests.fakes.controller_parts import NOW_S, ListRecorder, pool, site
from tests.fakes.emulated import MODEL, emulated, instance
from tests.fakes.http_stub import Handler, http_stub
from tests.fakes.plain_engines import PlainEngines

FAST = CanaryOptions(per_s=1.0, model=MODEL, energy_j_per_h=1e9)
DISAGREEMENT = {"fp8": 0.05}


@dataclass
class Bench:
    """A canary task, its engines and its book; `asleep` instances are seen to sleep."""

    emulator: Emulator
    fleet: Site
    task: CanaryTask
    book: QualityBook
    clock: VirtualClock
    changes: list[float]
    asleep: set[str]

    async def send(self, canaries: int) -> None:
        """One canary a virtual second."""
        for _ in range(canaries):
            await self.task.step()
            await self.task.settle()
            self.clock.advance(1.0)

    async def until_barred(self, most: int) -> int:
        """Canaries until something is barred."""
        for count in range(1, most + 1):
            await self.send(1)
            if self.book.barred(NOW_S):
                return count
        raise AssertionError(f"nothing was barred by {most} canaries: {self.book.report()}")


@asynccontextmanager
async def bench(
    options: CanaryOptions = FAST, names: tuple[str, ...] = ("bf16-0", "fp8-0", "fp8-1")
) -> AsyncIterator[Bench]:
    instances = [
        replace(instance(name), precision=name[:-2], disagreement_frac=DISAGREEMENT.get(name[:-2], 0.0))
        for name in names
    ]
    async with emulated(*instances) as emulator, aiohttp.ClientSession() as session:
        urls = {name: f"http://127.0.0.1:{port}" for name, port in emulator.ports.items()}
        fleet = site(
            pool("bf16", tuple(url for name, url in urls.items() if name.startswith("bf16"))),
            pool("fp8", tuple(url for name, url in urls.items() if name.startswith("fp8")), Precision.FP8),
        )
        clock, recorder = VirtualClock(NOW_S), ListRecorder()
        book = CanarySetup(options=options).book(fleet, recorder)
        asleep: set[str] = set()
        changes: list[float] = []

        def look() -> list[InstanceObservation]:
            return [
                InstanceObservation(
                    i.instance_id, p.pool_id,
                    InstanceState.SLEEPING if i.instance_id in asleep else InstanceState.SERVING, 0.0, 0.0,
                )
                for p in fleet.pools for i in p.instances
            ]  # fmt: skip

        parts = CanaryParts(
            book, PlainEngines(session), session, clock, look, lambda: None, lambda: changes.append(clock.wall_s())
        )
        task = CanaryTask(lambda: fleet, parts, options)
        yield Bench(emulator, fleet, task, book, clock, changes, asleep)


async def test_sound_pools_agree_but_for_what_the_emulation_differs_by() -> None:
    async with bench() as at:
        await at.send(150)
        fp8 = next(report for report in at.book.report().pools if report.pool_id == "fp8")
        assert at.book.barred(NOW_S) == ()
        assert fp8.agreement.frac is not None
        assert 0.8 < fp8.agreement.frac <= 1.0
        assert fp8.agreement.low_frac < fp8.agreement.frac
        counts = at.book.counts
        assert counts.failed == 0
        assert counts.agreed + counts.differed + counts.kept == 150
        assert counts.paused is None


async def test_a_pool_that_answers_nonsense_is_barred_within_a_minute_at_one_a_second() -> None:
    async with bench() as at:
        await at.send(60)
        for name in ("fp8-0", "fp8-1"):
            at.emulator.engine(name).break_answers(broken=True)
        began_s = at.clock.wall_s()
        assert await at.until_barred(60) <= 60
        (bar,) = at.book.barred(NOW_S)
        assert (bar.name, bar.is_pool, bar.source) == ("fp8", True, "canary")
        assert at.changes == [bar.since_s]
        assert bar.since_s - began_s <= 60
        for name in ("fp8-0", "fp8-1"):
            at.emulator.engine(name).break_answers(broken=False)
        await at.send(250)
        assert at.book.barred(NOW_S) == ()


async def test_one_bad_instance_is_barred_alone() -> None:
    async with bench() as at:
        await at.send(60)
        at.emulator.engine("fp8-1").break_answers(broken=True)
        await at.until_barred(80)
        assert [bar.name for bar in at.book.barred(NOW_S)] == ["fp8-1"]


async def test_a_sleeping_reference_is_not_asked_and_kept_answers_serve() -> None:
    async with bench() as at:
        await at.send(120)
        at.asleep.add("bf16-0")
        asked = at.emulator.engine("bf16-0").physics.prompt_tokens
        for name in ("fp8-0", "fp8-1"):
            at.emulator.engine(name).break_answers(broken=True)
        await at.until_barred(60)
        assert at.emulator.engine("bf16-0").physics.prompt_tokens == asked


async def test_an_engine_that_does_not_answer_is_no_evidence(caplog: pytest.LogCaptureFixture) -> None:
    async with bench() as at:
        await at.send(10)
        at.emulator.engine("fp8-0").stop()
        at.emulator.engine("fp8-1").stop()
        with caplog.at_level(logging.INFO):
            await at.send(60)
        assert at.book.counts.failed >= 20
        assert at.book.barred(NOW_S) == ()
        assert "canary without an answer" in caplog.messages


async def test_a_spent_budget_pauses_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    options = replace(FAST, energy_j_per_h=40_000.0)
    async with bench(options) as at:
        await at.send(40)
        assert at.book.counts.paused == "budget"
        assert "canaries wait" in caplog.messages
        spent_j = at.book.counts.spent_j
        assert 0 < spent_j <= 10_000.0
        at.clock.advance(3600.0)
        await at.send(1)
        assert at.book.counts.paused is None
        assert at.book.counts.spent_j > spent_j


async def test_samples_are_fetched_once_with_the_token_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str | None] = []
    secret = "my secret question"
    body = f'{{"messages":[{{"role":"user","content":"{secret}"}}],"temperature":0}}'

    async def samples(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        sample = {"sample_id": "1", "path": "/v1/chat/completions", "class_id": "batch", "body": body}
        broken = {"sample_id": "2", "path": "/v1/chat/completions", "class_id": "batch", "body": secret}
        return web.json_response({"samples": [sample, broken, {"sample_id": 3}, "x"]})

    async with http_stub() as stub:
        stub.set("/canary/samples", samples)
        options = replace(FAST, router_urls=(stub.url,), router_token="t" * 20, sample_s=5.0)
        with caplog.at_level(logging.DEBUG):
            async with bench(options) as at:
                taken: list[Prompt] = []
                keep = at.book.canaries.take_samples
                at.book.canaries.take_samples = lambda prompts: (taken.extend(prompts), keep(prompts))[1]  # type: ignore[method-assign]
                await at.send(40)
                fp8 = next(report for report in at.book.report().pools if report.pool_id == "fp8")
    assert {name for name, _ in fp8.by_class} == {BUILT_IN, "batch"}
    assert set(seen) == {f"Bearer {'t' * 20}"}
    assert len(seen) == 8
    assert len(taken) == 1
    assert secret not in caplog.text


async def test_routers_without_samples_are_told_and_do_not_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    async with http_stub() as stub, bench(replace(FAST, router_urls=(stub.url,))) as at:
        await at.send(10)
        assert at.book.counts.agreed + at.book.counts.kept > 0
    assert "no samples for canaries" in caplog.messages


async def test_no_more_are_under_way_than_allowed() -> None:
    async with bench(replace(FAST, max_in_flight=2)) as at:
        for _ in range(10):
            await at.task.step()
        await at.task.settle()
        counts = at.book.counts
        assert counts.agreed + counts.differed + counts.kept == 2


async def test_without_a_pace_none_is_sent() -> None:
    async with bench(replace(FAST, per_s=0.0)) as at:
        await at.task.run()
        assert at.book.counts.paused == "off"


async def test_log_probabilities_are_compared_where_engines_tell_them() -> None:
    """Stubs stand for engines here, as the emulator refuses log-probabilities."""
    asked: list[dict[str, object]] = []

    def answering(logprob: float) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            asked.append(await request.json())
            told = [{"token": "yes", "logprob": logprob}, {"token": ".", "logprob": -0.5}]
            message = {"role": "assistant", "content": "yes."}
            return web.json_response({"choices": [{"message": message, "logprobs": {"content": told}}]})

        return answer

    async with http_stub() as one, http_stub() as two, aiohttp.ClientSession() as session:
        one.set("/v1/chat/completions", answering(-0.1), "POST")
        two.set("/v1/chat/completions", answering(-0.3), "POST")
        fleet = site(pool("bf16", (one.url,)), pool("fp8", (two.url,), Precision.FP8))
        options = replace(FAST, headers={PoolId("fp8"): {"authorization": "Bearer sk"}}, priority=7)
        book = CanarySetup(options=options).book(fleet, ListRecorder())
        seen = [
            InstanceObservation(i.instance_id, p.pool_id, InstanceState.SERVING, 0.0, 0.0)
            for p in fleet.pools
            for i in p.instances
        ]
        parts = CanaryParts(
            book, PlainEngines(session), session, VirtualClock(), lambda: seen, lambda: None, lambda: None
        )
        task = CanaryTask(lambda: fleet, parts, options)
        for _ in range(20):
            await task.step()
            await task.settle()
    fp8 = next(report for report in book.report().pools if report.pool_id == "fp8")
    assert fp8.mean_logprob_gap == pytest.approx(0.1)
    assert fp8.agreement.frac == 1.0
    assert {(body["priority"], body["logprobs"], body["max_tokens"], body["model"]) for body in asked} == {
        (7, True, 16, MODEL)
    }


async def test_an_engine_that_refused_log_probabilities_is_asked_for_them_again_later() -> None:
    """As vLLM does while its weights are broken: it refuses those that are no numbers."""
    asked: list[bool] = []
    is_broken = True

    async def answer(request: web.Request) -> web.Response:
        asked.append("logprobs" in await request.json())
        if asked[-1] and is_broken:
            return web.json_response({"error": {"message": "Out of range float values"}}, status=400)
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": "yes."}}]})

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/v1/chat/completions", answer, "POST")
        fleet, clock = site(pool("bf16", (stub.url,))), VirtualClock()
        (one,) = fleet.pools[0].instances
        seen = [InstanceObservation(one.instance_id, PoolId("bf16"), InstanceState.SERVING, 0.0, 0.0)]
        book = CanarySetup(options=FAST).book(fleet, ListRecorder())
        task = CanaryTask(
            lambda: fleet,
            CanaryParts(book, PlainEngines(session), session, clock, lambda: seen, lambda: None, lambda: None),
            FAST,
        )
        for wait_s in (1.0, 1.0, LOGPROBS_AGAIN_S, 1.0):
            await task.step()
            await task.settle()
            clock.advance(wait_s)
            is_broken = clock.monotonic_s() < LOGPROBS_AGAIN_S
    assert asked == [True, False, False, False, True]
    assert book.counts.failed == 0
