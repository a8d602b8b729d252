"""Tokens of a class that wait to be served, by when they are due. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits.

    Attributes:
        held: (step by whose end it is due, tokens), earliest first; what is overdue keeps its step.
    """

    held: tuple[tuple[int, float], ...] = ()

    @property
    def tokens(self) -> float:
        """All that waits."""
        return sum(tokens for _, tokens in self.held)

    def due_tokens(self, step: int) -> float:
        """What is due by the end of a step, or overdue."""
        return sum(tokens for due, tokens in self.held if due <= step)

    def joined(self, due: int, tokens: float) -> Queue:
        """The queue with tokens more."""
        if tokens <= 0:
            return self
        by_due = dict(self.held)
        by_due[due] = by_due.get(due, 0.0) + tokens
        return Queue(tuple(sorted(by_due.items())))

    def served(self, tokens: float) -> Queue:
        """The queue after so many tokens were served, the earliest due first; a rounding error counts as served."""
        left, kept = tokens + 1e-9 * self.tokens, []
        for due, waiting in self.held:
            given = min(left, waiting)
            left -= given
            if waiting > given:
                kept.append((due, waiting - given))
        return Queue(tuple(kept))

    def by_interval(self, first: int, per: int, intervals: int) -> tuple[float, ...]:
        """What must be served by the end of each interval of `per` steps from step `first` on, tokens.

        A deadline within an interval counts for the one before; what is due later counts for the last.
        """
        out = [0.0] * intervals
        for due, tokens in self.held:
            out[min(max((due + 1 - first) // per - 1, 0), intervals - 1)] += tokens
        return tuple(out)
