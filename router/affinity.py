"""Where the requests of one session go: weighted and load-bounded rendezvous hashing. Pure.

Every worker and every router comes to the same answer without telling the others, and a change of weights or of the
instances at hand moves no more sessions than it must.

Sources: Thaler and Ravishankar 1998 (highest random weight); Schindelhauer and Schomaker 2005 (weights by
``-w / ln u``); Mirrokni, Thorup and Zadimoghaddam 2016 (bounded loads); Dietzfelbinger et al. 1997 (multiply-shift
hashing: a key's bits times a node's odd multiplier, of which the upper ones count).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import ceil, log

MASK = (1 << 64) - 1
_SCALE = float(1 << 64) * (1 + 2**-50)  # keeps u below one where the sum above it rounds up
LOAD_FACTOR = 1.25
"""A session leaves its instance while that one has more than this times the mean in flight."""


def hash_key(key: str) -> int:
    """64-bit hash of a key, the same in every process and version."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def hash_node(name: str) -> int:
    """Odd multiplier of a pool or an instance."""
    return hash_key(name) | 1


def pick_weighted(key: int, multipliers: Sequence[int], weights: Sequence[float]) -> int:
    """Index of the node a key belongs to, so that the share of all keys follows the weights.

        argmax_i  weights[i] / -ln(u_i),   u_i = (key * multipliers[i]) mod 2^64, scaled into (0, 1)

    Both sequences have one length of at least one; a node of weight 0 is not picked while another has some.
    """
    best, best_score = 0, 0.0
    for index, (multiplier, weight) in enumerate(zip(multipliers, weights, strict=True)):
        score = -weight / log(((key * multiplier & MASK) + 0.5) / _SCALE)
        if score > best_score:
            best, best_score = index, score
    return best


def pick_bounded(key: int, multipliers: Sequence[int], loads: Sequence[int]) -> int:
    """Index of the node a key prefers among those below `LOAD_FACTOR` times the mean load.

    The mean counts the request about to be placed, so there is always a node below the bound.
    """
    bound = ceil(LOAD_FACTOR * (sum(loads) + 1) / len(loads))
    best, best_score = 0, -1
    for index, (multiplier, load) in enumerate(zip(multipliers, loads, strict=True)):
        if load < bound:
            score = key * multiplier & MASK
            if score > best_score:
                best, best_score = index, score
    return best
