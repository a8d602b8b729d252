"""What breaks, when and for how long: drawn from a seed. Pure."""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """What befalls a part."""

    KILL = "killed"
    FREEZE = "frozen"
    CLOCK = "clock set"
    PART = "parted from redis"
    REFUSE = "refuses"
    DELETE = "deleted"


@dataclass(frozen=True, slots=True)
class Group:
    """Parts that stand in for one another, so that one of them at a time is in trouble.

    Attributes:
        count: parts there are; a trouble befalls one of them by its number.
        kinds: what may befall them, and for how long at most, s.
        rest_s: between the end of one trouble and the next.
    """

    name: str
    count: int
    kinds: dict[Kind, float]
    rest_s: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """One of them; times are seconds since the script's begin."""

    at_s: float
    lasts_s: float
    group: str
    number: int
    kind: Kind

    @property
    def end_s(self) -> float:
        """When it is mended."""
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        return f"{self.at_s:.1f} s: {self.group} {self.number} {self.kind} for {self.lasts_s:.1f} s"


LEAST_S = 0.5
"""No trouble is shorter."""


def drawn(groups: Sequence[Group], seconds: float, every_s: float, chance: random.Random) -> tuple[Trouble, ...]:
    """A script, by begin: a trouble about every `every_s`, all of them over by `seconds`.

    Groups break independently of one another, so that several are in trouble at once.
    """
    free_s, found, at_s = {group.name: 0.0 for group in groups}, [], 0.0
    while True:
        at_s += chance.expovariate(1.0 / every_s)
        if at_s >= seconds:
            return tuple(found)
        group = chance.choice(groups)
        kind = chance.choice(sorted(group.kinds))
        lasts_s = chance.uniform(LEAST_S, group.kinds[kind])
        if at_s < free_s[group.name] or at_s + lasts_s > seconds:
            continue
        free_s[group.name] = at_s + lasts_s + group.rest_s
        found.append(Trouble(at_s, lasts_s, group.name, chance.randrange(group.count), kind))
