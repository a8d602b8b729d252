"""Tokens by instance and class, as energy is told off by them: of answers that ended, and of streams under way. Pure.

Streams are counted by a look at those in flight when somebody asks, so that a chunk that is passed on costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from router.exchange import Choice
from router.openai import Usage
from router.slot import Slot


class Spent(msgspec.Struct):
    """What one class had of one instance.

    Attributes:
        input_tokens, output_tokens: as told by the engine, else estimated; of streams under way what came so far. They
            may go back a little when a stream ends and the engine tells its tokens.
        streams: under way of which something has come, so that their tokens are among these.
    """

    instance_id: str
    class_id: str
    input_tokens: int = 0
    output_tokens: int = 0
    streams: int = 0

    def add(self, other: Spent) -> None:
        """Add another worker's."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.streams += other.streams


def spent_of(slots: Iterable[Slot]) -> list[Spent]:
    """Tokens of the answers that ended."""
    return [Spent(slot.spec.instance_id, class_id, *used) for slot in slots for class_id, used in slot.used.items()]


def merge_spent(whole: list[Spent], more: Iterable[Spent]) -> None:
    """Add others to those of this one."""
    known = {(item.instance_id, item.class_id): item for item in whole}
    for item in more:
        mine = known.get((item.instance_id, item.class_id))
        if mine is None:
            known[item.instance_id, item.class_id] = item
            whole.append(item)
        else:
            mine.add(item)


def under_way(progress: Iterable[tuple[Choice, Usage]]) -> list[Spent]:
    """Tokens of streams under way: who serves each, and what came so far."""
    found: dict[tuple[str, str], Spent] = {}
    for choice, tokens in progress:
        key = choice.spec.instance_id, choice.class_id
        item = found.get(key)
        if item is None:
            item = found[key] = Spent(*key)
        item.input_tokens += tokens.input_tokens
        item.output_tokens += tokens.output_tokens
        item.streams += 1
    return list(found.values())
