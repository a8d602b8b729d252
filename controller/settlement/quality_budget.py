"""Rolling quality budget of a class, kept like an error budget.

Over the class's window the mean quality loss of the output tokens served must stay within `quality_budget_frac`. What
was burnt tightens what is left; what was saved may be spent during a grid event.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.contract import ClassId

BUCKETS = 48


@dataclass(frozen=True, slots=True)
class QualityBurn:
    """Tokens served in the window, by time slot, oldest first; at most `BUCKETS` + 1 slots.

    Attributes:
        slots: (slot number, output tokens, sum of loss·tokens).
    """

    class_id: ClassId
    window_s: float
    slots: tuple[tuple[int, float, float], ...] = ()

    @classmethod
    def empty(cls, class_id: ClassId, window_s: float) -> QualityBurn:
        """Nothing served yet."""
        return cls(class_id, window_s)

    def with_tokens(self, now_s: float, tokens: float, loss_tokens: float) -> QualityBurn:
        """The burn after `tokens` were served with a summed loss of `loss_tokens`; what left the window is dropped."""
        slot = int(now_s // (self.window_s / BUCKETS))
        kept = [entry for entry in self.slots if slot - BUCKETS < entry[0] < slot]
        same = [entry for entry in self.slots if entry[0] == slot]
        total = (slot, tokens + sum(e[1] for e in same), loss_tokens + sum(e[2] for e in same))
        return QualityBurn(self.class_id, self.window_s, (*kept, total))

    def within(self, end_s: float) -> QualityBurn:
        """What of it still counts in the window that ends at a later time; the rest has left it by then."""
        slot = int(end_s // (self.window_s / BUCKETS))
        return QualityBurn(self.class_id, self.window_s, tuple(e for e in self.slots if slot - BUCKETS < e[0]))

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

        None where there is nothing to have a share of: no token was served, or the budget is 0.
        """
        allowed = budget_frac * self.tokens
        return 1.0 - self.loss_tokens / allowed if allowed > 0 else None


def allowed_loss_frac(burn: QualityBurn, budget_frac: float, coming_tokens: float, *, spend_savings: bool) -> float:
    """Largest mean loss of the coming tokens that keeps the window's mean within the budget.

        loss · F + burnt <= budget · (W + F)

    with F coming tokens, W tokens of the window. Outside of events the result is held to the plain budget, so that
    what was saved is there when the grid calls.
    """
    if coming_tokens <= 0:
        return budget_frac
    left = (budget_frac * (burn.tokens + coming_tokens) - burn.loss_tokens) / coming_tokens
    return min(1.0 if spend_savings else budget_frac, max(0.0, left))
