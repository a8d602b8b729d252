"""What the study of a fleet's sensitivities found, as figures."""

from __future__ import annotations

from dataclasses import dataclass

from controller.study.fleet.ledger import Totals


@dataclass(frozen=True, slots=True)
class VariationResult:
    """One changed fleet.

    Attributes:
        what, value: what was changed, to what; None for the fleet as written.
        fixed_usd, usd: bill of the fixed fleet, and with every lever.
        same_tokens: whether both served the same output tokens.
    """

    what: str
    value: float | None
    fixed_usd: float
    usd: float
    saving_frac: float
    same_tokens: bool
    totals: Totals
