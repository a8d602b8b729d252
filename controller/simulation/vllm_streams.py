"""The sequences that an emulated engine answers: those it works on, and those that wait until it goes on."""

from __future__ import annotations

from controller.simulation.batch import StepEvent
from controller.simulation.engine import EnginePhysics
from controller.simulation.vllm_answer import Answer, Stream
from controller.simulation.vllm_metrics import EngineMetrics, RequestRecord


class Streams:
    """Brings the tokens of finished steps to their answers.

    Args:
        physics: what works on them.
    """

    def __init__(self, physics: EnginePhysics) -> None:
        self._physics = physics
        self._entered: dict[int, Stream] = {}
        self._held: dict[int, Stream] = {}

    @property
    def has_entered(self) -> bool:
        """Whether the engine has any to work on."""
        return bool(self._entered)

    @property
    def count(self) -> int:
        """Sequences being answered or held."""
        return len(self._entered) + len(self._held)

    @property
    def answers(self) -> int:
        """Requests being answered or held."""
        return len({id(stream.answer) for place in (self._entered, self._held) for stream in place.values()})

    def enter(self, stream: Stream) -> None:
        """Have a sequence worked on."""
        self._entered[stream.seq.seq_id] = stream
        self._physics.submit(stream.seq)

    def hold(self, stream: Stream) -> None:
        """Let a sequence wait until `let_in`; the engine does not know of it."""
        self._held[stream.seq.seq_id] = stream

    def let_in(self) -> None:
        """Have those that were held worked on."""
        held, self._held = self._held, {}
        for stream in held.values():
            self.enter(stream)

    def abort(self) -> None:
        """End all answers where they are."""
        for stream in (*self._entered.values(), *self._held.values()):
            self._physics.cancel(stream.seq.seq_id)
            stream.answer.abort(stream)
        self.clear()

    def forget(self, answer: Answer) -> None:
        """Nobody waits for an answer any more: free the room of its sequences."""
        for stream in answer.streams:
            self._entered.pop(stream.seq.seq_id, None)
            self._held.pop(stream.seq.seq_id, None)
            self._physics.cancel(stream.seq.seq_id)

    def clear(self) -> None:
        """All are lost with the process."""
        self._entered.clear()
        self._held.clear()

    def send(self, events: list[StepEvent], metrics: EngineMetrics) -> None:
        """Send the tokens of finished steps. Sequences of one step mostly share the time since their last token."""
        if not events:
            return
        latency = metrics.histograms["inter_token_latency_seconds"]
        gap_s, gaps = 0.0, 0
        for seq, _, finished, at_s in events:
            stream = self._entered.get(seq.seq_id)
            if stream is None:
                continue
            stream.tokens += 1
            if stream.tokens == 1:
                metrics.observe("time_to_first_token_seconds", at_s - seq.arrived_s)
            elif at_s - stream.last_token_s == gap_s:
                gaps += 1
            else:
                latency.observe(gap_s, gaps)
                gap_s, gaps = at_s - stream.last_token_s, 1
            stream.last_token_s = at_s
            if finished:
                self._finish(stream, metrics)
            else:
                stream.answer.token(stream)
        latency.observe(gap_s, gaps)
        # Steps that gave tokens: vLLM counts none that computed parts of prompts only.
        steps = len({event.at_s for event in events})
        metrics.observe("iteration_tokens_total", len(events) / steps, steps)

    def _finish(self, stream: Stream, metrics: EngineMetrics) -> None:
        seq, request = stream.seq, stream.answer.request
        del self._entered[seq.seq_id]
        record = RequestRecord(
            finish_reason=stream.finish_reason,
            prompt_tokens=seq.input_tokens,
            generation_tokens=stream.tokens,
            n=request.n,
            wanted_max_tokens=request.wanted_max_tokens,
            arrived_s=seq.arrived_s,
            scheduled_s=seq.arrived_s if seq.scheduled_s is None else seq.scheduled_s,
            first_token_s=stream.last_token_s if seq.first_token_s is None else seq.first_token_s,
            last_token_s=stream.last_token_s,
        )
        metrics.observe_request(record)
        stream.answer.finish(stream)
