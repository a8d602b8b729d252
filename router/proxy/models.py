"""``GET /v1/models`` over all pools: one list, each model once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from router.openai import error_body
from router.proxy.errors import error_type

Answer = tuple[int, bytes]
KEPT_S = 5.0
"""How long a list is given out again: models change when an engine starts or loads an adapter."""
MAX_KEPT = 64
"""Lists kept, one for each Authorization value."""


class Fetch(Protocol):
    """Reads the list of one engine."""

    async def __call__(self, url: str, authorization: str | None) -> Answer:
        """Status and body of the engine's answer.

        Raises:
            OSError: the engine could not be asked.
        """


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Answer
    until_s: float


class _Model(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


class ModelList:
    """Merges what the pools list, and keeps it for a few seconds.

    Args:
        urls: engines to ask, one sequence a pool, the preferred one first.
        fetch: asks one.
        now_s: monotonic clock.
    """

    def __init__(self, urls: Callable[[], Sequence[Sequence[str]]], fetch: Fetch, now_s: Callable[[], float]) -> None:
        self._urls = urls
        self._fetch = fetch
        self._now_s = now_s
        self._kept: dict[bytes | None, _Kept] = {}
        self._asking: dict[bytes | None, asyncio.Task[Answer]] = {}

    def ask(self, authorization: bytes | None, answered: Callable[[Answer], None]) -> None:
        """Call `answered` with status and body, now or later."""
        kept = self._kept.get(authorization)
        if kept is not None and self._now_s() < kept.until_s:
            answered(kept.answer)
            return
        task = self._asking.get(authorization)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._renew(authorization))
            self._asking[authorization] = task
            task.add_done_callback(lambda _: self._asking.pop(authorization, None))
        task.add_done_callback(lambda done: None if done.cancelled() else answered(done.result()))

    async def _renew(self, authorization: bytes | None) -> Answer:
        value = None if authorization is None else authorization.decode("latin-1")
        answers = await asyncio.gather(*(self._ask_pool(urls, value) for urls in self._urls()))
        answer = merge([found for found in answers if found is not None])
        if answer[0] == 200:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[authorization] = _Kept(answer, self._now_s() + KEPT_S)
        return answer

    async def _ask_pool(self, urls: Sequence[str], authorization: str | None) -> Answer | None:
        found: Answer | None = None
        for url in urls:
            try:
                found = await self._fetch(url, authorization)
            except OSError:
                continue
            if found[0] == 200:
                break
        return found


def merge(answers: Sequence[Answer]) -> Answer:
    """One list of all models; of two with one id the first stays. Without any list, the first refusal is passed on."""
    models: dict[str, msgspec.Raw] = {}
    is_any = False
    for status, body in answers:
        if status != 200:
            continue
        try:
            found = {
                msgspec.json.decode(raw, type=_Model).id: raw for raw in msgspec.json.decode(body, type=_List).data
            }
        except msgspec.MsgspecError:
            continue
        is_any = True
        for model_id, raw in found.items():
            models.setdefault(model_id, raw)
    if is_any:
        return 200, msgspec.json.encode({"object": "list", "data": list(models.values())})
    refused = [answer for answer in answers if answer[0] != 200]
    if refused:
        return refused[0]
    return 503, error_body("no engine could be asked for its models", type_=error_type(503), code=503)
