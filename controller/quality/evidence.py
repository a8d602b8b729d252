"""Evidence that a pool answers nonsense, from canaries that agree with the reference or do not. Pure.

The test is sequential: after each canary its evidence R becomes

    R <- (R + 1) · (q/p if it agreed, (1-q)/(1-p) if not),

the Shiryaev-Roberts e-detector of a share of agreement of p or more against one of q < p. While the next canary agrees
with a probability of at least p, whatever happened before, R + (n - t) is a supermartingale that begins at n, so that

    P(R reaches A within n canaries) <= n / A

for every such pool (Ville's inequality; Shin, Ramdas and Rinaldo, "E-detectors", arXiv 2203.03532, use the same form).
The evidence against a pool that was sound for long does not sink below zero, so that it is found as fast as a new one.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from controller.quality.answers import Comparison

DAY_S = 86_400.0
WINDOW = 1000
"""Latest canaries that a share of agreement is told of."""
Z_95 = 1.959964
"""Standard normal quantile of a two-sided interval of 95 %."""
MOST_EVIDENCE = 1e18
PRIOR_CANARIES = 20
"""Weight of the belief that the reference agrees with itself, in canaries."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a pool or an instance is barred, and when it comes back.

    Attributes:
        least_agreement_frac: a sound pool's canaries agree with the reference at least this share of the times that the
            reference agrees with itself.
        broken_ratio: the share that a broken pool is tested for, as a share of that.
        false_alarms_per_day: bound on the probability that a fleet of sound pools has any of them barred in a day.
        readmit_after: canaries in a row that must agree before a barred one comes back.
    """

    least_agreement_frac: float = 0.8
    broken_ratio: float = 0.25
    false_alarms_per_day: float = 1e-6
    readmit_after: int = 12

    def alarm_at(self, canaries_per_s: float) -> float:
        """Evidence at which an alarm is raised.

        Each canary is evidence about an instance and its pool, and about the reference's, so that all detectors of a
        fleet together are given at most four times the canaries of a day: the sum of their bounds bounds the fleet's.
        """
        return 4.0 * max(1.0, canaries_per_s * DAY_S) / self.false_alarms_per_day

    def canaries_to_alarm(self, canaries_per_s: float) -> int:
        """Canaries in a row without agreement after which the alarm is raised, where the reference never differs."""
        evidence, count = 0.0, 0
        while evidence < self.alarm_at(canaries_per_s):
            evidence = weighed(evidence, self, agrees=False, floor_frac=self.least_agreement_frac)
            count += 1
        return count


def weighed(evidence: float, rule: Rule, *, agrees: bool, floor_frac: float) -> float:
    """Evidence after one more canary.

    Args:
        evidence: before it.
        rule: what broken means.
        agrees: whether the canary's answer was the reference's.
        floor_frac: least share of agreement of a sound pool, known before the canary was sent.
    """
    broken_frac = floor_frac * rule.broken_ratio
    ratio = broken_frac / floor_frac if agrees else (1.0 - broken_frac) / (1.0 - floor_frac)
    return min(MOST_EVIDENCE, (evidence + 1.0) * ratio)


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval of 95 %.

    Attributes:
        frac: None where nothing was counted.
        low_frac, high_frac: of Wilson's interval; 0 and 1 where nothing was counted.
        count: canaries it comes from.
    """

    frac: float | None
    low_frac: float
    high_frac: float
    count: int


def share(agreed: int, count: int) -> Share:
    """Share with Wilson's score interval (Wilson 1927), which stays within 0..1 and is sound at 0 and 1."""
    if count == 0:
        return Share(None, 0.0, 1.0, 0)
    frac, z2 = agreed / count, Z_95 * Z_95
    centre = (frac + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_95 / (1 + z2 / count) * math.sqrt(frac * (1 - frac) / count + z2 / (4 * count * count))
    return Share(frac, max(0.0, centre - half), min(1.0, centre + half), count)


class Tally:
    """The latest canaries of something: which agreed, where the others parted, how far log-probabilities were apart."""

    def __init__(self) -> None:
        self._agreed: deque[bool] = deque(maxlen=WINDOW)
        self._parted: deque[int] = deque(maxlen=WINDOW)
        self._gaps: deque[float] = deque(maxlen=WINDOW)

    def add(self, compared: Comparison) -> None:
        """Count one."""
        self._agreed.append(compared.agrees)
        if compared.parted_at is not None:
            self._parted.append(compared.parted_at)
        if compared.logprob_gap is not None:
            self._gaps.append(compared.logprob_gap)

    @property
    def share(self) -> Share:
        """Share that agreed."""
        return share(sum(self._agreed), len(self._agreed))

    @property
    def mean_parted_at(self) -> float | None:
        """Mean number of equal tokens before the answers part; None where none did."""
        return sum(self._parted) / len(self._parted) if self._parted else None

    @property
    def mean_logprob_gap(self) -> float | None:
        """Mean absolute difference of the log-probabilities of equal tokens; None where engines told none."""
        return sum(self._gaps) / len(self._gaps) if self._gaps else None

    def floor_frac(self, rule: Rule) -> float:
        """Least agreement of a sound pool, where this is the tally of the reference against itself.

        A batch's composition changes the order of sums, so that even equal weights differ now and then; it is taken
        that they never do until canaries tell otherwise.
        """
        counted = self.share
        agreed = (counted.frac or 0.0) * counted.count
        return rule.least_agreement_frac * (agreed + PRIOR_CANARIES) / (counted.count + PRIOR_CANARIES)
