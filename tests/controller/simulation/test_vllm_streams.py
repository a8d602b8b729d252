from __future__ import annotations

from typing import Any

import pytest

from controller.simulation.batch import Sequence
from controller.simulation.engine import EnginePhysics
from controller.simulation.vllm_answer import Answer, Stream
from controller.simulation.vllm_metrics import EngineMetrics
from controller.simulation.vllm_request import ServedModel, parse_completion
from controller.simulation.vllm_streams import Streams
from controller.simulation.vllm_wire import Identity
from tests.fakes.emulated import quick_curves


class Wire:
    """Stands in for the exchange of a request."""

    def __init__(self) -> None:
        self.body: bytes | None = None

    def respond(self, status: int, body: bytes) -> None:
        self.body = body


class Bench:
    def __init__(self) -> None:
        self.physics = EnginePhysics(quick_curves(), 0.0)
        self.streams = Streams(self.physics)
        self.metrics = EngineMetrics("m", 0.0)
        self._asked = 0

    def ask(self, tokens: int, *, n: int = 1, at_s: float = 0.0) -> tuple[Wire, Answer, list[Stream]]:
        wire = Wire()
        body: dict[str, Any] = {"prompt": "a b", "max_tokens": tokens, "ignore_eos": True, "n": n}
        request = parse_completion(body, ServedModel("m", "m", 10_000))
        answer = Answer(wire, request, Identity("cmpl-1", 1))  # type: ignore[arg-type]
        made = []
        for _ in range(n):
            self._asked += 1
            made.append(answer.add(Sequence(self._asked, 2, tokens, at_s), "length", 0))
        return wire, answer, made

    def run(self, until_s: float = 10.0) -> None:
        while (due_s := self.physics.next_step_at()) is not None and due_s <= until_s:
            self.streams.send(self.physics.advance(due_s), self.metrics)


def test_tokens_come_to_their_answers_and_are_counted() -> None:
    bench = Bench()
    wire, _, both = bench.ask(5, n=2)
    for stream in both:
        bench.streams.enter(stream)
    assert (bench.streams.count, bench.streams.answers, bench.streams.has_entered) == (2, 1, True)
    bench.run()
    assert wire.body is not None
    assert b'"completion_tokens":10' in wire.body
    assert (bench.streams.count, bench.streams.answers, bench.streams.has_entered) == (0, 0, False)
    counts = {name: sum(histogram.counts) for name, histogram in bench.metrics.histograms.items()}
    assert (counts["time_to_first_token_seconds"], counts["inter_token_latency_seconds"]) == (2, 8)
    assert bench.metrics.histograms["iteration_tokens_total"].total == pytest.approx(10)
    assert bench.metrics.finished["length"] == 2


def test_gaps_between_tokens_are_those_of_the_steps_however_many_are_sent_at_once() -> None:
    bench = Bench()
    _, _, [stream] = bench.ask(4)
    bench.streams.enter(stream)
    step_s = 0.001 + 0.00001
    bench.streams.send(bench.physics.advance(10.0), bench.metrics)
    gaps = bench.metrics.histograms["inter_token_latency_seconds"]
    assert (sum(gaps.counts), gaps.total) == (3, pytest.approx(3 * step_s))
    assert bench.physics.steps == 4


def test_what_is_held_is_unknown_to_the_engine_until_it_is_let_in() -> None:
    bench = Bench()
    wire, _, [stream] = bench.ask(3)
    bench.streams.hold(stream)
    assert (bench.physics.waiting + bench.physics.running, bench.streams.count) == (0, 1)
    assert not bench.streams.has_entered
    bench.run()
    assert wire.body is None
    bench.streams.let_in()
    bench.run()
    assert wire.body is not None


def test_aborting_ends_answers_where_they_are_and_frees_their_room() -> None:
    bench = Bench()
    (working, _, [one]), (waiting, _, [two]) = bench.ask(5000), bench.ask(5000)
    bench.streams.enter(one)
    bench.streams.hold(two)
    bench.run(until_s=0.05)
    bench.streams.abort()
    for wire in (working, waiting):
        assert wire.body is not None
        assert b'"finish_reason":"abort"' in wire.body
    assert (bench.streams.count, bench.physics.kv_cache_usage_frac) == (0, 0)


def test_forgetting_one_answer_leaves_the_others() -> None:
    bench = Bench()
    (_, left, one), (wire, _, two) = bench.ask(5000, n=2), bench.ask(3)
    for stream in (*one, *two):
        bench.streams.enter(stream)
    bench.streams.forget(left)
    assert (bench.streams.count, bench.physics.running + bench.physics.waiting) == (1, 1)
    bench.run()
    assert wire.body is not None


def test_tokens_of_what_was_lost_go_nowhere() -> None:
    bench = Bench()
    wire, _, [stream] = bench.ask(3)
    bench.streams.enter(stream)
    bench.streams.clear()
    bench.run()
    assert wire.body is None
    assert sum(bench.metrics.finished.values()) == 0
