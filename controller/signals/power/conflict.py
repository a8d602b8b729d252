"""Two sources that disagree on the same power; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.model.observation import PowerConflict, Reading


@dataclass(frozen=True, slots=True)
class ConflictRules:
    """When two readings of the same power disagree.

    Attributes:
        frac: share of the larger by which they may differ. 10 %: twice the 5 % that boards are off (arXiv 2312.02741).
        floor_w: difference that never counts; sensors read an idle board a few watts apart.
        within_s: readings that were observed further apart are not compared: the load may have changed between them.
    """

    frac: float = 0.10
    floor_w: float = 50.0
    within_s: float = 5.0


class Conflicts:
    """Remembers who disagrees with whom, and since when."""

    def __init__(self) -> None:
        self._begun: dict[str, PowerConflict] = {}

    def judge(
        self, subject: str, chosen: Reading, others: Sequence[Reading], *, rules: ConflictRules, now_s: float
    ) -> Reading:
        """The reading that counts: the chosen one, or the highest of those that disagree with it.

        A conflict begins with two comparable readings that disagree, and ends with comparable ones that agree; while
        none can be compared it stays as it is.
        """
        near = [other for other in others if abs(other.observed_at_s - chosen.observed_at_s) <= rules.within_s]
        apart = [other for other in near if disagree(chosen, other, rules)]
        if not apart:
            if near or not others:
                self._begun.pop(subject, None)
            return chosen
        highest = max((chosen, *apart), key=lambda reading: reading.value_w)
        lowest = min((chosen, *apart), key=lambda reading: reading.value_w)
        since_s = self._begun[subject].since_s if subject in self._begun else now_s
        self._begun[subject] = PowerConflict(
            subject, highest.source, highest.value_w, lowest.source, lowest.value_w, since_s
        )
        return highest

    def lasting(self, after_s: float, now_s: float) -> tuple[PowerConflict, ...]:
        """Those that have lasted so long that they are worth an alarm, by subject."""
        begun = (self._begun[subject] for subject in sorted(self._begun))
        return tuple(one for one in begun if now_s - one.since_s >= after_s)

    def keep_only(self, subjects: Iterable[str]) -> None:
        """Forget the others."""
        kept = set(subjects)
        self._begun = {subject: one for subject, one in self._begun.items() if subject in kept}


def disagree(one: Reading, other: Reading, rules: ConflictRules) -> bool:
    """Whether two readings differ by more than both bounds."""
    larger_w = max(abs(one.value_w), abs(other.value_w))
    return abs(one.value_w - other.value_w) > max(rules.frac * larger_w, rules.floor_w)
