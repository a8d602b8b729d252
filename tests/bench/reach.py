"""Whether a call can be met with all classes above `flex` served: a criterion that uses nothing of the controller's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from controller.model.fleet import RequestClass, Site
from controller.study.events.floor import Floor, floor_of
from tests.bench.chats import Ended

MARGIN_FRAC = 0.03
"""What the controller keeps free of a limit."""
PEAK_FRAC = 0.97
"""Share of the engines' time that may be used before a class is refused."""


def floor(site: Site, sent: Sequence[Ended], seconds: float) -> Floor:
    """The least that a fleet draws while it serves these chats, which came within so many seconds."""
    found = [_asked(cls, sent) for cls in site.classes]
    rates = np.array([tokens / seconds for _, tokens in found])
    flex = tuple(cls.may_wait for cls in site.classes)
    return floor_of(replace(site, classes=tuple(cls for cls, _ in found)), rates, flex, PEAK_FRAC)


def _asked(cls: RequestClass, sent: Sequence[Ended]) -> tuple[RequestClass, float]:
    """The class with the mean lengths of its chats, and the output tokens of all of them."""
    chats = [ended.chat for ended in sent if ended.class_id == cls.class_id]
    if not chats:
        return cls, 0.0
    words = float(np.mean([chat.input_words for chat in chats]))
    tokens = [chat.output_tokens for chat in chats]
    return replace(cls, expected_input_tokens=words, expected_output_tokens=float(np.mean(tokens))), float(sum(tokens))
