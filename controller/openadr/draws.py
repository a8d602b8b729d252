"""The chance of randomised starts: drawn once an event, the same after a restart, another at each site."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_RANGE = 2**64


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws from a seed.

    Attributes:
        seed: of one site and VTN; by chance, so that sites that are sent the same event do not begin together.
    """

    seed: int

    def of(self, event_id: str) -> float:
        """The share of its range, from -1 to 1, by which an event is shifted; uniform (User Guide 7.3)."""
        digest = hashlib.blake2b(f"{self.seed}:{event_id}".encode(), digest_size=8).digest()
        return 2.0 * int.from_bytes(digest, "big") / (_RANGE - 1) - 1.0
