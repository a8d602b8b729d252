"""What the study of a fleet found, as figures."""

from __future__ import annotations

from dataclasses import dataclass

from controller.study.fleet.ledger import Totals


@dataclass(frozen=True, slots=True)
class LeverResult:
    """One row of the ablation.

    Attributes:
        saving_frac: of the first row's bill.
        plans, late_plans: plans of instances made; those not found in time.
        worst_gap_frac: largest proven gap of a plan, None where nothing was planned.
    """

    name: str
    totals: Totals
    usd: float
    saving_frac: float
    plans: int
    late_plans: int
    worst_gap_frac: float | None


@dataclass(frozen=True, slots=True)
class FleetResult:
    """The whole study.

    Attributes:
        bound_usd: what no controller can go below.
        kept_frac: share of the bound's saving that the last row has, None where the bound saves nothing.
        same_tokens: whether every row served the same output tokens.
    """

    days: float
    gpus: int
    rows: tuple[LeverResult, ...]
    bound_usd: float
    kept_frac: float | None
    same_tokens: bool
