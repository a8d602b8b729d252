"""Chats of three classes, each with what became of it: whether its answer was whole, or why not, and when.

A chat that fails is told by class, phase of the call, cause and verdict:

- *held*: the class that yields first, refused with 429 or 503 and a Retry-After, not before the first call;
- *no room*: another class, refused likewise, of a call that cannot be met with all classes above that served;
- *defect*: anything else.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

import aiohttp

MODEL = "Qwen/Qwen3-235B-A22B-Instruct-2507"
CLASSES = ("standard", "standard", "premium", "flex")
YIELDS_FIRST = "flex"
LONGEST_S = 120.0
"""No answer takes longer: a request waits 30 s at most, and the longest is generated in 20 s."""
FIRST_S = 10.0
"""The first seconds of a call are told apart."""
PHASES = ("before", "first 10 s", "later in the call", "after")
MAX_DETAILS = 20
_REFUSED = (429, 503)


@dataclass(frozen=True, slots=True)
class Chat:
    """What is asked for."""

    class_id: str
    input_words: int
    output_tokens: int
    stream: bool

    @staticmethod
    def drawn(rng: random.Random) -> Chat:
        """A chat of mixed length, two in three of them streamed."""
        stream, words, tokens = rng.random() < 0.67, rng.randint(20, 1500), rng.randint(20, 300)
        return Chat(rng.choice(CLASSES), words, tokens, stream)

    def body(self) -> dict[str, Any]:
        """As OpenAI's client would send it."""
        asked: dict[str, Any] = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "word " * self.input_words}],
            "max_tokens": self.output_tokens,
            "ignore_eos": True,
            "stream": self.stream,
        }
        return asked | ({"stream_options": {"include_usage": True}} if self.stream else {})


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a chat; times by the wall clock.

    Attributes:
        chat: what was asked for.
        first_s: when the first of its answer's body came, None where none did.
        status: of HTTP, 0 where no answer came.
        cause: why it is not whole, the router's own word where there is one; None where it is.
        retry_after_s: of a refusal, where told.
        detail: of what failed, the answer's beginning.
    """

    chat: Chat
    sent_s: float
    ended_s: float
    first_s: float | None = None
    status: int = 0
    cause: str | None = None
    retry_after_s: float | None = None
    detail: str = ""

    @property
    def class_id(self) -> str:
        """Of the chat."""
        return self.chat.class_id


def lack(chat: Chat, whole: bytes) -> str | None:
    """Why an answer with status 200 is not whole, None if it is."""
    if not chat.stream:
        answer = json.loads(whole)
    elif b"data: [DONE]" not in whole[-64:]:
        return "cut off"
    else:
        events = [line[6:] for line in whole.split(b"\n") if line.startswith(b"data: {")]
        answer = json.loads(events[-1])
    usage = answer.get("usage") or {}
    found = usage.get("completion_tokens")
    return None if found == chat.output_tokens else f"{found} of {chat.output_tokens} tokens"


async def ask(session: aiohttp.ClientSession, url: str, chat: Chat) -> Ended:
    """Send one chat and read its answer to the end; whatever goes wrong is told, nothing is raised."""
    sent_s = time()
    first_s, status, pieces = None, 0, []
    headers: Mapping[str, str] = {}
    try:
        async with session.post(
            f"{url}/v1/chat/completions", json=chat.body(), headers={"x-wattroute-class": chat.class_id}
        ) as answer:
            status, headers = answer.status, answer.headers
            async for piece in answer.content.iter_any():
                first_s = time() if first_s is None else first_s
                pieces.append(piece)
        whole = b"".join(pieces)
        cause = lack(chat, whole) if status == 200 else headers.get("x-wattroute-reason", "no reason told")
        detail = "" if cause is None else whole[-300:].decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        cause, detail = type(error).__name__, str(error)[:300]
    retry_after = headers.get("retry-after")
    retry_after_s = None if retry_after is None else float(retry_after)
    return Ended(chat, sent_s, time(), first_s, status, cause, retry_after_s, detail)


async def send(url: str, seconds: float, rng: random.Random, rate_per_s: float) -> list[Ended]:
    """Chats at random times; returns when all have ended."""
    timeout = aiohttp.ClientTimeout(total=LONGEST_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        tasks = []
        end_s = time() + seconds
        async with asyncio.TaskGroup() as group:
            while time() < end_s:
                tasks.append(group.create_task(ask(session, url, Chat.drawn(rng))))
                await asyncio.sleep(rng.expovariate(rate_per_s))
    return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True)
class Span:
    """A call, by the wall clock, and whether it can be met with all classes above `YIELDS_FIRST` served."""

    from_s: float
    to_s: float
    can_be_met: bool


def phase(spans: Sequence[Span], time_s: float) -> str:
    """Which of `PHASES` a time lies in."""
    begun = [span for span in spans if span.from_s <= time_s]
    if not begun:
        return PHASES[0]
    if time_s >= begun[-1].to_s:
        return PHASES[3]
    return PHASES[1] if time_s < begun[-1].from_s + FIRST_S else PHASES[2]


def verdict(ended: Ended, spans: Sequence[Span]) -> str:
    """Whether a chat that failed was held, had no room, or is a defect."""
    begun = [span for span in spans if span.from_s <= ended.ended_s]
    if ended.status not in _REFUSED or ended.retry_after_s is None or not begun:
        return "defect"
    if ended.class_id == YIELDS_FIRST:
        return "held"
    was_called = phase(spans, ended.sent_s) in PHASES[1:3]
    return "no room" if was_called and not begun[-1].can_be_met else "defect"


def _frac(waits_s: Collection[float], share: float) -> float | None:
    """A quantile, s; None without any."""
    return round(sorted(waits_s)[min(len(waits_s) - 1, int(share * len(waits_s)))], 2) if waits_s else None


def told(chats: Sequence[Ended], spans: Sequence[Span]) -> dict[str, object]:
    """What became of all: rows by class and phase in which they were sent, failures by cause, what is a defect."""
    rows = []
    for class_id in sorted({ended.class_id for ended in chats}):
        for name in PHASES:
            of = [ended for ended in chats if ended.class_id == class_id and phase(spans, ended.sent_s) == name]
            waits_s = [e.first_s - e.sent_s for e in of if e.chat.stream and e.cause is None and e.first_s is not None]
            rows.append(
                {
                    "class": class_id,
                    "sent": name,
                    "chats": len(of),
                    "whole": sum(ended.cause is None for ended in of),
                    "first_token_s": {"p50": _frac(waits_s, 0.5), "p99": _frac(waits_s, 0.99)},
                    "failed": dict(
                        Counter(
                            f"{ended.status} {ended.cause}, {verdict(ended, spans)}"
                            for ended in of
                            if ended.cause is not None
                        )
                    ),
                }
            )
    failed = [ended for ended in chats if ended.cause is not None]
    defects = [ended for ended in failed if verdict(ended, spans) == "defect"]
    return {
        "chats": len(chats),
        "failed": len(failed),
        "defects": len(defects),
        "rows": rows,
        "details": [f"{e.class_id}: {e.status} {e.cause}: {e.detail}" for e in defects[:MAX_DETAILS]],
    }
