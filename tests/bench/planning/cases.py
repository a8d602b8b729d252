"""Which instances are solved, for how long, and what is to be reached: cost over the bound of the plain relaxation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """Cost to be reached within a time.

    Attributes:
        seconds: given to the search.
        ratio: to the plain relaxation, None for the optimum itself.
    """

    seconds: float
    ratio: float | None


@dataclass(frozen=True)
class Case:
    """One size of instance.

    Attributes:
        about: in a few words.
        plain_s: time that HiGHS gets for the plain problem.
    """

    name: str
    about: str
    plain_s: float
    goals: tuple[Goal, ...]


CASES = (
    Case("S", "1 site, 3 pools, 12 steps", 20.0, (Goal(0.1, None),)),
    Case("M", "3 sites, 6 pools, 24 steps", 20.0, (Goal(2.0, 1.019),)),
    Case("L", "3 sites, 12 pools, 96 steps, few instances", 20.0, (Goal(10.0, 1.075), Goal(60.0, 1.065))),
    Case("XL", "5 sites, 12 pools, 96 steps, 40,960 GPUs", 20.0, (Goal(2.0, 1.001),)),
)
TARGET_SEED = 0
"""The goals were set for the instances of this seed; others are shown beside."""
OPTIMAL = 1e-6
"""Relative distance from the optimum that counts as none."""
