"""Synthetic chats whose prompts share prefixes, in the manner of the Mooncake traces, and the caches that profit.

Prompts are made of blocks of `BLOCK_TOKENS` tokens. System prompts are popular by Zipf's law; a chat opens with one of
them and a question of its own, and each turn repeats all that was said before. The numbers follow what the traces of
Qin et al. (Mooncake, FAST 2025) show: a few prefixes that most requests share, and many that recur only within a chat.
"""

from __future__ import annotations

import json
import random
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

BLOCK_TOKENS = 512


@dataclass(frozen=True)
class Turn:
    """One request.

    Attributes:
        at_s: when it comes.
        blocks: of its prompt; equal ones hold equal tokens.
        body: as the client sends it, with a short text for each block.
    """

    at_s: float
    blocks: tuple[str, ...]
    body: bytes


@dataclass(frozen=True)
class ChatShape:
    """How the chats are made; how long their prompts are is drawn log-normally."""

    chats: int = 1200
    per_s: float = 4.0
    system_prompts: int = 200
    zipf: float = 1.0
    mean_turns: float = 4.0
    think_s: float = 20.0


def chats(shape: ChatShape, seed: int) -> list[Turn]:
    """All turns, in the order of time."""
    rng = random.Random(seed)
    fresh = (f"block {number:08d}" for number in count())
    weights = [1 / (rank + 1) ** shape.zipf for rank in range(shape.system_prompts)]
    systems = [[next(fresh) for _ in range(_blocks(rng, 2.5, 16))] for _ in weights]
    turns: list[Turn] = []
    opened_s = 0.0
    for _ in range(shape.chats):
        opened_s += rng.expovariate(shape.per_s)
        turns += _one_chat(rng, shape, rng.choices(systems, weights)[0], fresh, opened_s)
    return sorted(turns, key=lambda turn: turn.at_s)


def _one_chat(
    rng: random.Random, shape: ChatShape, system: list[str], fresh: Iterator[str], at_s: float
) -> Iterator[Turn]:
    messages = [("system", system), ("user", [next(fresh) for _ in range(_blocks(rng, 1.6, 12))])]
    while True:
        body = {
            "model": "m",
            "messages": [{"role": role, "content": " ".join(blocks)} for role, blocks in messages],
            "stream": True,
        }
        yield Turn(at_s, tuple(block for _, blocks in messages for block in blocks), json.dumps(body).encode())
        if rng.random() < 1 / shape.mean_turns:
            return
        messages.append(("assistant", [next(fresh)]))
        messages.append(("user", [next(fresh) for _ in range(_blocks(rng, 1.2, 4))]))
        at_s += 2.0 + rng.expovariate(1 / shape.think_s)


def _blocks(rng: random.Random, median: float, most: int) -> int:
    return min(most, max(1, round(median * rng.lognormvariate(0.0, 0.8))))


class PrefixCache:
    """An engine's KV cache: whole blocks, found from the prompt's beginning on, the longest unused given up first."""

    def __init__(self, blocks: int) -> None:
        self._most = blocks
        self._blocks: OrderedDict[str, None] = OrderedDict()

    def serve(self, prompt: tuple[str, ...]) -> int:
        """Blocks of a prompt that were there; all of them are from now on."""
        hits = 0
        while hits < len(prompt) and prompt[hits] in self._blocks:
            hits += 1
        for block in reversed(prompt):  # the end goes first, as without the beginning it is of no use
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        while len(self._blocks) > self._most:
            self._blocks.popitem(last=False)
        return hits
