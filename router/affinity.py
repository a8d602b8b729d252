"""Where the requests of one session go: weighted and load-bounded rendezvous hashing. Pure.

Every worker and every router comes to the same answer without telling the others, and a change of weights or of the
instances at hand moves no more sessions than it must.

Sources: Thaler and Ravishankar 1998 (highest random weight); Schindelhauer and Schomaker 2005 (weights by
``-w / ln u``); Mirrokni, Thorup and Zadimoghaddam 2016 (bounded loads).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

MASK = (1 << 64) - 1
LOAD_FACTOR = 1.25
"""A session leaves its instance while that one has more than this times the mean in flight."""


def hash_key(key: str) -> int:
    """64-bit hash of a key, the same in every process and version."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mix(key: int, seed: int) -> int:
    """64 well-mixed bits of a key's and a node's hashes (the finaliser of splitmix64)."""
    x = (key ^ seed) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def pick_weighted(key: int, seeds: Sequence[int], weights: Sequence[float]) -> int:
    """Index of the node a key belongs to, so that the share of all keys follows the weights.

        argmax_i  weights[i] / -ln(u_i),   u_i = mix(key, seeds[i]) scaled into (0, 1)

    `seeds` and `weights` have one length of at least one; nodes of weight 0 are never picked.
    """
    best, best_score = 0, -1.0
    for index, (seed, weight) in enumerate(zip(seeds, weights, strict=True)):
        score = weight / -math.log((mix(key, seed) + 1) / (MASK + 2))
        if weight > 0 and score > best_score:
            best, best_score = index, score
    return best


def pick_bounded(key: int, seeds: Sequence[int], loads: Sequence[int]) -> int:
    """Index of the node a key prefers among those at or below `LOAD_FACTOR` times the mean load.

    The bound counts the request about to be placed, so there is always a node below it.
    """
    bound = math.ceil(LOAD_FACTOR * (sum(loads) + 1) / len(loads))
    best, best_score = 0, -1
    for index, (seed, load) in enumerate(zip(seeds, loads, strict=True)):
        if load < bound:
            score = mix(key, seed)
            if score > best_score:
                best, best_score = index, score
    return best
