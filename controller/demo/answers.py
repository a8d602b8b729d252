"""What came back on a streamed chat completion: the server-sent events read, and whether the answer is whole; pure.

An answer counts only if ``[DONE]`` was seen and the tokens asked for, those streamed and those of the closing usage
event are the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from controller.simulation.latency import Latencies


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    completion_tokens: int = 0
    prompt_tokens: int = 0


class _Event(msgspec.Struct):
    """The fields of a chunk that matter here; all others are skipped unread."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Event)


@dataclass(slots=True)
class Answer:
    """What came back on one request.

    Attributes:
        status: HTTP status, 0 where the connection broke before one came.
        retry_after_s: of a refusal, where told.
        first_token_s, last_token_s: by the client's clock.
        streamed_tokens: events with text; the engine sends one a token.
        usage_tokens: completion tokens of the usage event, None where none came.
        done: the closing ``[DONE]`` was seen.
        problem: why the stream broke, None where it did not.
    """

    sent_s: float
    status: int = 0
    retry_after_s: float | None = None
    pool: str = ""
    precision: str = ""
    first_token_s: float | None = None
    last_token_s: float = 0.0
    streamed_tokens: int = 0
    usage_tokens: int | None = None
    usage_prompt_tokens: int | None = None
    finish_reason: str | None = None
    done: bool = False
    problem: str | None = None
    error_text: str = ""


def fault_of(answer: Answer, asked_tokens: int) -> str | None:
    """Why an answer with status 200 is not whole, None if it is."""
    if answer.problem is not None:
        return answer.problem
    if answer.status != 200:
        return f"status {answer.status}: {answer.error_text:.200}"
    if not answer.done:
        return f"the stream ended without [DONE] after {answer.streamed_tokens} of {asked_tokens} tokens"
    if answer.usage_tokens is None:
        return "the stream closed without a usage event"
    if not answer.usage_tokens == answer.streamed_tokens == asked_tokens:
        return (
            f"{asked_tokens} tokens were asked for, {answer.streamed_tokens} streamed, "
            f"{answer.usage_tokens} in the usage event"
        )
    return None


class StreamReader:
    """Reads the body of a streamed answer, however it is cut into pieces. Pure.

    Attributes:
        answer: is filled as events come.
    """

    def __init__(self, answer: Answer, itl: Latencies) -> None:
        self.answer = answer
        self._itl = itl
        self._rest = b""

    def feed(self, data: bytes, now_s: float) -> None:
        """Take a piece of the body that arrived at `now_s`."""
        if self._rest:
            data = self._rest + data
        *events, self._rest = data.split(b"\n\n")
        for event in events:
            if event.startswith(b"data: {"):
                self._take(event, now_s)
            elif event.startswith(b"data: [DONE]"):
                self.answer.done = True

    def _take(self, raw: bytes, now_s: float) -> None:
        answer = self.answer
        try:
            event = _decoder.decode(memoryview(raw)[6:])
        except msgspec.MsgspecError as error:
            answer.problem = answer.problem or f"an event of the stream is not what it should be: {error}"
            return
        if (told := bytes(event.error)) != b"null":
            answer.problem = answer.problem or f"the stream told an error: {told.decode()[:200]}"
        for choice in event.choices:
            if choice.finish_reason is not None:
                answer.finish_reason = choice.finish_reason
            if choice.delta is not None and choice.delta.content:
                self._take_token(now_s)
        if event.usage is not None:
            answer.usage_tokens = event.usage.completion_tokens
            answer.usage_prompt_tokens = event.usage.prompt_tokens

    def _take_token(self, now_s: float) -> None:
        answer = self.answer
        if answer.first_token_s is None:
            answer.first_token_s = now_s
        else:
            self._itl.add(now_s - answer.last_token_s)
        answer.last_token_s = now_s
        answer.streamed_tokens += 1
