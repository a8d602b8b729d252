"""Rolling quality budget of a class, kept like an error budget.

Over the class's window the mean quality loss of the output tokens served must stay within `quality_budget_frac`. What
was burnt tightens what is left; what was saved may be spent during a grid event. Where it is not known what was burnt,
nothing counts as left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from router.contract import ClassId

BUCKETS = 48


@dataclass(frozen=True, slots=True)
class QualityBurn:
    """Tokens served in the window, by time slot, oldest first; at most `BUCKETS` + 1 slots.

    Attributes:
        slots: (slot number, output tokens, sum of loss·tokens).
        unknown_until_s: until then the window reaches back to a time of which it is not known what was burnt; None
            where all of it is known.
    """

    class_id: ClassId
    window_s: float
    slots: tuple[tuple[int, float, float], ...] = ()
    unknown_until_s: float | None = None

    @classmethod
    def empty(cls, class_id: ClassId, window_s: float) -> QualityBurn:
        """Nothing served yet."""
        return cls(class_id, window_s)

    @classmethod
    def unknown(cls, class_id: ClassId, window_s: float, now_s: float) -> QualityBurn:
        """Of what was served before `now_s` nothing is known; a window later none of it counts any more."""
        return cls(class_id, window_s, unknown_until_s=now_s + window_s)

    def with_tokens(self, now_s: float, tokens: float, loss_tokens: float) -> QualityBurn:
        """The burn after `tokens` were served with a summed loss of `loss_tokens`; what left the window is dropped.

        Slots ahead of `now_s` are those of a clock that was set back: they count from now on, for a whole window.
        """
        slot = int(now_s // self._slot_s)
        kept = [entry for entry in self.slots if slot - BUCKETS < entry[0] < slot]
        same = [entry for entry in self.slots if entry[0] >= slot]
        total = (slot, tokens + sum(e[1] for e in same), loss_tokens + sum(e[2] for e in same))
        until_s = self.unknown_until_s
        if until_s is not None:
            until_s = min(until_s, now_s + self.window_s) if now_s < until_s else None
        return replace(self, slots=(*kept, total), unknown_until_s=until_s)

    def within(self, end_s: float) -> QualityBurn:
        """What of it still counts in the window that ends at a later time; the rest has left it by then."""
        slot = int(end_s // self._slot_s)
        return replace(self, slots=tuple(e for e in self.slots if slot - BUCKETS < e[0]))

    def over(self, window_s: float) -> QualityBurn:
        """The same tokens counted in a window of another length, each slot as if all of it were served at its end."""
        if window_s == self.window_s:
            return self
        moved: dict[int, tuple[float, float]] = {}
        for slot, tokens, loss_tokens in self.slots:
            to = math.ceil((slot + 1) * self.window_s / window_s) - 1
            before = moved.get(to, (0.0, 0.0))
            moved[to] = (before[0] + tokens, before[1] + loss_tokens)
        slots = tuple((slot, *moved[slot]) for slot in sorted(moved))
        return replace(self, window_s=window_s, slots=slots)

    @property
    def _slot_s(self) -> float:
        return self.window_s / BUCKETS

    @property
    def is_known(self) -> bool:
        """Whether all that counts in the window was counted."""
        return self.unknown_until_s is None

    @property
    def tokens(self) -> float:
        """Output tokens served in the window."""
        return sum(entry[1] for entry in self.slots)

    @property
    def loss_tokens(self) -> float:
        """Sum of loss·tokens in the window."""
        return sum(entry[2] for entry in self.slots)

    @property
    def burnt_frac(self) -> float:
        """Mean loss over the window; 0 while nothing was served."""
        return self.loss_tokens / self.tokens if self.tokens > 0 else 0.0

    def left_frac(self, budget_frac: float) -> float | None:
        """Share of the budget of the window's tokens that is not burnt; negative where more was burnt than it allows.

        None where there is nothing to have a share of: no token was served, or the budget is 0; and where it is not
        known what was burnt.
        """
        if not self.is_known:
            return None
        allowed = budget_frac * self.tokens
        return 1.0 - self.loss_tokens / allowed if allowed > 0 else None


def allowed_loss_frac(burn: QualityBurn, budget_frac: float, coming_tokens: float, *, spend_savings: bool) -> float:
    """Largest mean loss of the coming tokens that keeps the window's mean within the budget.

        loss · F + burnt <= budget · (W + F)

    with F coming tokens, W tokens of the window. Outside of events the result is held to the plain budget, so that
    what was saved is there when the grid calls. Where the burn is not known, a class with a budget may lose nothing.
    """
    if not burn.is_known and budget_frac < 1.0:
        return 0.0
    if coming_tokens <= 0:
        return budget_frac
    left = (budget_frac * (burn.tokens + coming_tokens) - burn.loss_tokens) / coming_tokens
    return min(1.0 if spend_savings else budget_frac, max(0.0, left))
