"""Where requests that belong together go: the pool by weighted rendezvous hashing, the instance by a ring. Pure.

Every worker and every router comes to the same answer without telling the others, and a change of weights or of the
instances at hand moves no more keys than it must.

A key is known by its position, 32 bits: a number to be hashed again for each pool, and a place on the ring of the
instances of one.

Sources: Thaler and Ravishankar 1998 (highest random weight); Schindelhauer and Schomaker 2005 (weights by
``-w / ln u``); Karger et al. 1997 (the ring); Dietzfelbinger et al. 1997 (multiply-shift hashing: a key's bits times a
node's odd multiplier, of which the upper ones count).
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Collection, Hashable, Mapping, Sequence
from hashlib import blake2b
from itertools import compress
from math import log
from typing import Generic, TypeVar
from zlib import crc32

LOAD_FACTOR = 1.25
"""A key leaves its instance while that one has more than this times the mean load."""
WALK = 64
"""Points of the ring looked at for an instance below the load bound."""
POINTS = 64
"""Points of each instance on the ring: their shares of the keys differ by an eighth or so."""

_MASK = (1 << 64) - 1
_SCALE = float(1 << 64) * (1 + 2**-50)  # keeps u below one where the sum above it rounds up
_DIGEST = struct.Struct("<16I")
_POINTS_A_DIGEST = 16
_NUMBER_BITS = 20
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1

Node = TypeVar("Node", bound=Hashable)


def position_of(key: str) -> int:
    """32-bit position of a key, the same in every process and version."""
    return crc32(key.encode("utf-8", "surrogatepass"))


def hash_node(name: str) -> int:
    """Odd 64-bit multiplier of a pool."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") | 1


def pick_weighted(position: int, multipliers: Sequence[int], weights: Sequence[float]) -> int:
    """Index of the node a key belongs to, so that the share of all keys follows the weights.

        argmax_i  weights[i] / -ln(u_i),   u_i = (position * multipliers[i]) mod 2^64, scaled into (0, 1)

    Both sequences have one length of at least one; a node of weight 0 is not picked while another has some.
    """
    best, best_score = 0, 0.0
    for index, (multiplier, weight) in enumerate(zip(multipliers, weights, strict=True)):
        score = -weight / log(((position * multiplier & _MASK) + 0.5) / _SCALE)
        if score > best_score:
            best, best_score = index, score
    return best


class Ring(Generic[Node]):
    """Nodes around a circle of 32-bit positions, each at `POINTS` of them.

    Attributes:
        nodes: node of each point, in the order of the positions; the first `WALK` follow once more at the end.
    """

    __slots__ = ("_positions", "nodes")

    def __init__(self, positions: array[int], nodes: list[Node]) -> None:
        self._positions = positions
        self.nodes = nodes + nodes[:WALK]

    @classmethod
    def of(cls, nodes: Mapping[str, Node]) -> Ring[Node]:
        """All nodes by name; a node's points follow from its name alone."""
        names = sorted(nodes)
        ordered = [nodes[name] for name in names]
        # One number a point, of position and node, as numbers are sorted four times as fast as pairs.
        points = sorted(
            position << _NUMBER_BITS | number for number, name in enumerate(names) for position in _points_of(name)
        )
        positions = array("I", [point >> _NUMBER_BITS for point in points])
        return cls(positions, [ordered[point & _NUMBER_MASK] for point in points])

    def only(self, kept: Collection[Node]) -> Ring[Node]:
        """The ring of some of the nodes: the others' keys go to the next points, all others stay."""
        nodes = self.nodes[: len(self._positions)]
        chosen = set(kept)
        is_kept = [node in chosen for node in nodes]
        return Ring(array("I", compress(self._positions, is_kept)), list(compress(nodes, is_kept)))

    def index(self, position: int) -> int:
        """Index in `nodes` of the first point at or after a position."""
        found = bisect_left(self._positions, position)
        return found if found < len(self._positions) else 0


def _points_of(name: str) -> list[int]:
    return [
        position
        for number in range(POINTS // _POINTS_A_DIGEST)
        for position in _DIGEST.unpack(blake2b(f"{name}/{number}".encode(), digest_size=_DIGEST.size).digest())
    ]
