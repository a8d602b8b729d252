"""The charts of the study's report. Pure."""

from __future__ import annotations

from controller.study.batching.ranking import Ranking
from controller.study.batching.result import Result
from controller.study.batching.shaping import Hold, Policy
from controller.study.charts import BarChart, Chart, Series, Style, XyChart


def policy_name(policy: Policy) -> str:
    """A policy in words."""
    if policy.hold is Hold.NEVER:
        return policy.hold.value
    return f"{policy.hold.value} ≤ {policy.hold_s:g} s" + (", asleep between" if policy.sleeps else "")


def energy(ranking: Ranking) -> Chart:
    """Joules a token of a pair over concurrency."""
    x = tuple(at.concurrency for at in ranking.at_concurrency)
    return XyChart(
        f"Energy of a token by concurrency: {ranking.name}",
        "concurrent requests",
        "J/output token",
        (
            Series(str(ranking.base), x, tuple(at.base_j for at in ranking.at_concurrency)),
            Series(str(ranking.other), x, tuple(at.other_j for at in ranking.at_concurrency)),
        ),
        log_x=True,
        log_y=True,
        note="Measured (GPU power alone); between two rows the straight line.",
    )


def changes(result: Result) -> Chart:
    """Change of the energy of a token by concurrency, a bar a pair."""
    categories = tuple(f"{at.concurrency:g}" for at in result.rankings[0].at_concurrency)
    return BarChart(
        "Change of the energy of a token by concurrency",
        "%",
        categories,
        tuple(
            (r.name, tuple(None if at.change_frac is None else at.change_frac * 100 for at in r.at_concurrency))
            for r in result.rankings
        ),
        note="Below zero the lower precision needs less.",
    )


def savings(result: Result) -> tuple[Chart, ...]:
    """One chart a profile and flexible share: change of energy against load, a line a policy."""
    cases = dict.fromkeys((shaped.profile, shaped.demand.flex_share_frac) for shaped in result.shaped)
    return tuple(_saving(result, profile, share) for profile, share in cases)


def _saving(result: Result, profile: str, share: float) -> Chart:
    mine = [s for s in result.shaped if (s.profile, s.demand.flex_share_frac) == (profile, share)]
    series = []
    for policy in dict.fromkeys(s.policy for s in mine if s.policy.hold is not Hold.NEVER):
        runs = [s for s in mine if s.policy == policy]
        series.append(
            Series(
                policy_name(policy),
                tuple(s.demand.rate_rps for s in runs),
                tuple(s.change_frac * 100 for s in runs),
                Style.DASHED if policy.hold is Hold.RIDE else Style.LINE,
            )
        )
    return XyChart(
        f"What holding changes: {profile}, {share:.0%} flexible",
        "requests a second",
        "energy of a token, %",
        tuple(series),
        log_x=True,
        note="EMULATED: the emulator's physics on the profile's curves.",
    )
