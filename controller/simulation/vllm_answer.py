"""Answers in the making: streamed token by token, or sent whole at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.simulation import vllm_wire
from controller.simulation.batch import Sequence
from controller.simulation.vllm_http import Exchange
from controller.simulation.vllm_request import GenerationRequest
from controller.simulation.vllm_wire import NO_TURN, WORDS, Choice, Identity, StreamTemplate, word_at


@dataclass(slots=True, eq=False)
class Stream:
    """One sequence on its way into one choice of an answer.

    Attributes:
        finish_reason: why it ends when it has all its tokens.
        first_word: where in the vocabulary its text begins.
        turn: token from which on its text goes on elsewhere in the vocabulary.
        tokens: those sent; the sequence may be steps ahead where several ended before the loop came round.
        template: absent where the answer is sent whole.
    """

    seq: Sequence
    answer: Answer
    index: int
    finish_reason: str
    first_word: int
    last_token_s: float
    turn: int = NO_TURN
    tokens: int = 0
    template: StreamTemplate | None = None


@dataclass(slots=True, eq=False)
class Answer:
    """The answer to one request, with a stream for each choice."""

    exchange: Exchange
    request: GenerationRequest
    identity: Identity
    streams: list[Stream] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    has_opened: bool = False

    def begin(self) -> None:
        """Send the head of a streaming answer at once: status 200 does not mean that the engine has begun."""
        if self.request.stream:
            self.exchange.begin_stream("text/event-stream; charset=utf-8")

    def add(self, seq: Sequence, finish_reason: str, first_word: int, turn: int = NO_TURN) -> Stream:
        """A further choice."""
        index = len(self.streams)
        stream = Stream(seq, self, index, finish_reason, first_word % len(WORDS), seq.arrived_s, turn)
        if self.request.stream:
            stream.template = StreamTemplate(self.request, self.identity, index)
        self.streams.append(stream)
        return stream

    def token(self, stream: Stream) -> None:
        """A choice has a token more, and will have others."""
        template = stream.template
        if template is None:
            return
        if not self.has_opened:
            self._open()
        word = word_at(stream.first_word, stream.tokens - 1, stream.turn)
        self.exchange.write(template.token(word, stream.tokens))

    def finish(self, stream: Stream) -> None:
        """A choice has its last token."""
        word = word_at(stream.first_word, stream.tokens - 1, stream.turn)
        self._close(stream, word, stream.finish_reason)

    def abort(self, stream: Stream) -> None:
        """A choice ends where it is."""
        self._close(stream, b"", "abort")

    def _open(self) -> None:
        self.has_opened = True
        self.exchange.write(b"".join(stream.template.opening for stream in self.streams if stream.template))

    def _close(self, stream: Stream, word: bytes, finish_reason: str) -> None:
        tokens = stream.tokens
        if stream.template is not None:
            if not self.has_opened:
                self._open()
            self.exchange.write(stream.template.last(word, finish_reason, tokens))
        self.choices.append(Choice(stream.index, stream.first_word, tokens, finish_reason, stream.turn))
        if len(self.choices) == len(self.streams):
            self._complete()

    def _complete(self) -> None:
        if not self.request.stream:
            choices = sorted(self.choices, key=lambda choice: choice.index)
            self.exchange.respond(200, vllm_wire.whole_answer(self.request, self.identity, choices))
            return
        end = vllm_wire.DONE
        if self.request.include_usage:
            tokens = sum(choice.tokens for choice in self.choices)
            end = vllm_wire.usage_event(self.request, self.identity, tokens) + end
        self.exchange.end(end)
