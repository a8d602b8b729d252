"""What a run of the study found. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.study.batching.arrivals import Demand
from controller.study.batching.ranking import Ranking
from controller.study.batching.shaping import Policy, Served


@dataclass(frozen=True, slots=True)
class Shaped:
    """One run of one instance.

    Attributes:
        change_frac: energy a token against the same requests as they come (for a pattern: against Poisson).
    """

    profile: str
    demand: Demand
    policy: Policy
    served: Served
    change_frac: float


@dataclass(frozen=True, slots=True)
class Result:
    """All figures of a run.

    Attributes:
        rankings: one a pair.
        patterns: spread of arrivals, none held.
        shaped: flexible requests held or not.
    """

    rankings: tuple[Ranking, ...]
    patterns: tuple[Shaped, ...]
    shaped: tuple[Shaped, ...]
