"""What tests of feeds share: samples, their instant, and a publisher without a network."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from controller.errors import FeedRefused
from controller.model.grid import Series
from controller.signals.feeds.live import FeedRules
from controller.signals.feeds.outlook import Outlook
from controller.signals.feeds.provider import Ask

SAMPLES = Path(__file__).parents[1] / "data" / "feeds"
NINE_S = 1_774_774_800.0
"""2026-03-29T09:00Z, the day on which clocks in Europe go forth: what the samples tell of."""
RULES = FeedRules(refresh_s=900.0, stale_s=2700.0, max_age_s=86_400.0, least=-5000.0, most=20_000.0)


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def utc_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def known(told: Outlook, now_s: float = NINE_S) -> Series:
    series = told.series(now_s)
    assert series is not None
    return series


class CannedWeb:
    """Answers each address by its beginning; a status is a refusal. What was asked is kept."""

    def __init__(self, answers: dict[str, bytes | int | list[bytes | int]]) -> None:
        self.answers = answers
        self.asked: list[Ask] = []
        self.hidden: list[str] = []

    async def get(self, ask: Ask) -> bytes:
        self.asked.append(ask)
        answer = next(told for url, told in self.answers.items() if ask.url.startswith(url))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, int):
            raise FeedRefused(ask.url, f"status {answer}", answer)
        return answer

    def hide(self, secret: str) -> None:
        self.hidden.append(secret)

    def scrubbed(self, text: str) -> str:
        for secret in self.hidden:
            text = text.replace(secret, "***")
        return text
