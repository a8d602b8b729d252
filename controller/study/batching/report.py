"""The study's report: tables and charts of energy by precision, batch and shaping. Pure."""

from __future__ import annotations

from controller.model.perf import Evidence
from controller.simulation.profiles import load_profile
from controller.study.batching import report_charts
from controller.study.batching.arrivals import Pattern
from controller.study.batching.ranking import AtConcurrency, Ranking
from controller.study.batching.report_charts import policy_name
from controller.study.batching.result import Result, Shaped
from controller.study.batching.settings import BatchingSettings
from controller.study.batching.shaping import Hold, Policy
from controller.study.measured import SOURCE
from controller.study.study import Report
from controller.study.tables import Cell, Column, Table

_CHANGE = Column("change", 0, percent=True, signed=True)


def report(result: Result, settings: BatchingSettings) -> Report:
    """Tables and charts of a result."""
    tables = [table for ranking in result.rankings for table in (_concurrency(ranking), _rates(ranking))]
    return Report(
        title=settings.title,
        paragraphs=(*(_verdict(ranking) for ranking in result.rankings), _shaping_verdict(result)),
        tables=(*tables, _patterns(result), _shaped(result), _waits(result)),
        charts=(
            *(report_charts.energy(ranking) for ranking in result.rankings),
            report_charts.changes(result),
            *report_charts.savings(result),
        ),
        assumptions=_assumptions(settings),
        sources=(
            SOURCE,
            "Lengths of requests: Azure LLM Inference Trace 2023, conversation (AzurePublicDataset, CC BY 4.0)",
            *(f"{name}: {load_profile(name).provenance.source}" for name in settings.shaping.profiles),
        ),
    )


def _verdict(ranking: Ranking) -> str:
    known = [at for at in ranking.at_concurrency if at.change_frac is not None]
    told = f"{ranking.other} against {ranking.base}, joules an output token: "
    if not known:
        return told + "the two were never measured at the same concurrency."
    first, last = known[0], known[-1]
    told += f"{_percent(first)} at {first.concurrency:g} concurrent, {_percent(last)} at {last.concurrency:g}."
    if ranking.break_even is None:
        return told + " The ranking does not change within what was measured."
    told += f" It needs less from {ranking.break_even:.0f} concurrent on"
    if ranking.fitted_break_even is None:
        return told + "."
    return told + f"; the fitted lines that the planner uses cross at {ranking.fitted_break_even:.0f}."


def _percent(at: AtConcurrency) -> str:
    return "–" if at.change_frac is None else f"{at.change_frac:+.0%}"


def _shaping_verdict(result: Result) -> str:
    held = [shaped for shaped in result.shaped if shaped.policy.hold is not Hold.NEVER]
    best, worst = min(held, key=_change_of), max(held, key=_change_of)
    patterns = [abs(shaped.change_frac) for shaped in result.patterns]
    return (
        f"Holding flexible requests changes the energy of a token by {best.change_frac:+.0%} at best "
        f"({best.demand.rate_rps:g} requests/s, held {best.served.held_mean_s or 0:.0f} s on average) and by "
        f"{worst.change_frac:+.1%} at worst ({worst.demand.rate_rps:g} requests/s): it pays while the instance would "
        "otherwise run nearly empty, and not once its batch is full. How arrivals of one mean rate are spread changes "
        f"it by up to {max(patterns):.0%} where nothing is held."
    )


def _change_of(shaped: Shaped) -> float:
    return shaped.change_frac


def _concurrency(ranking: Ranking) -> Table:
    return Table(
        f"{ranking.other} against {ranking.base}, by concurrency",
        (
            Column("concurrent", 0),
            Column("base, J/token", 3),
            Column("other, J/token", 3),
            _CHANGE,
            Column("change by the fitted lines", 0, percent=True, signed=True),
            Column("change of the inter-token latency", 0, percent=True, signed=True),
        ),
        tuple(
            (at.concurrency, at.base_j, at.other_j, at.change_frac, at.fitted_change_frac, at.step_change_frac)
            for at in ranking.at_concurrency
        ),
        "Measured rows, and the straight line between two of them; a dash is outside of what was measured. The fitted "
        "lines are those of docs/reference/curves.md's method.",
    )


def _rates(ranking: Ranking) -> Table:
    return Table(
        f"{ranking.other} against {ranking.base}, by rate",
        (
            Column("output tokens/s", 0),
            Column("base, W", 0),
            Column("other, W", 0),
            _CHANGE,
            Column("base, ms a token", 0),
            Column("other, ms a token", 0),
        ),
        tuple(
            (at.tokens_per_s, at.base_w, at.other_w, at.change_frac, _ms(at.base_step_s), _ms(at.other_step_s))
            for at in ranking.at_rate
        ),
        "Power of one whole instance that makes this many tokens. A dash: not reached, or not measured so low.",
    )


def _ms(step_s: float | None) -> float | None:
    return None if step_s is None else step_s * 1000


def _patterns(result: Result) -> Table:
    cases = dict.fromkeys((s.profile, s.demand.rate_rps) for s in result.patterns)
    rows = []
    for profile, rate_rps in cases:
        mine = {s.demand.pattern: s for s in result.patterns if (s.profile, s.demand.rate_rps) == (profile, rate_rps)}
        rows.append(
            (
                profile,
                rate_rps,
                mine[Pattern.POISSON].served.j_per_output_token,
                mine[Pattern.PACED].change_frac,
                mine[Pattern.BURSTS].change_frac,
                *(mine[pattern].served.batch_mean for pattern in Pattern),
            )
        )
    return Table(
        "Spread of arrivals at one mean rate, nothing held",
        (
            Column("profile"),
            Column("requests/s", 2),
            Column("Poisson, J/token", 2),
            Column("evenly paced", 1, percent=True, signed=True),
            Column("bursts", 1, percent=True, signed=True),
            *(Column(f"mean batch, {pattern.value}", 1) for pattern in Pattern),
        ),
        tuple(rows),
    )


def _cases(result: Result) -> dict[tuple[str, float, float], dict[Policy, Shaped]]:
    """Runs of each profile, flexible share and rate, by policy."""
    cases: dict[tuple[str, float, float], dict[Policy, Shaped]] = {}
    for shaped in result.shaped:
        key = (shaped.profile, shaped.demand.flex_share_frac, shaped.demand.rate_rps)
        cases.setdefault(key, {})[shaped.policy] = shaped
    return dict(sorted(cases.items(), key=lambda case: (case[0][0], -case[0][1], case[0][2])))


def _holding(result: Result) -> tuple[Policy, ...]:
    """All policies that hold, in their order."""
    return tuple(dict.fromkeys(s.policy for s in result.shaped if s.policy.hold is not Hold.NEVER))


_CASE_COLUMNS = (Column("profile"), Column("flexible", 0, percent=True), Column("requests/s", 2))


def _shaped(result: Result) -> Table:
    policies = _holding(result)
    rows: list[tuple[Cell, ...]] = []
    for key, runs in _cases(result).items():
        plain = runs[Policy(Hold.NEVER)].served
        changes = (runs[policy].change_frac if policy in runs else None for policy in policies)
        rows.append((*key, plain.j_per_output_token, plain.busy_frac, plain.batch_mean, *changes))
    return Table(
        "Energy of a token, flexible requests held or not, one instance",
        (
            *_CASE_COLUMNS,
            Column("as they come, J/token", 2),
            Column("busy", 0, percent=True),
            Column("mean batch", 1),
            *(Column(policy_name(policy), 1, percent=True, signed=True) for policy in policies),
        ),
        tuple(rows),
        "Energy is the whole instance's, work or not. Gathered: released together when the first has been held so "
        "long. Held while idle: only until the instance works anyway. A dash: it cannot sleep, as requests that may "
        "not be held can come at any time.",
    )


def _waits(result: Result) -> Table:
    policies = _holding(result)
    rows: list[tuple[Cell, ...]] = []
    for key, runs in _cases(result).items():
        held = (runs[policy].served.held_mean_s if policy in runs else None for policy in policies)
        plain = runs[Policy(Hold.NEVER)].served.ttft_p95_s
        others = [run.served.ttft_p95_s for run in runs.values() if run.served.ttft_p95_s is not None]
        rows.append((*key, *held, plain, max(others, default=None)))
    return Table(
        "Wait that holding adds",
        (
            *_CASE_COLUMNS,
            *(Column(f"{policy_name(policy)}: mean s", 1) for policy in policies),
            Column("p95 TTFT of the others as they come, s", 2),
            Column("at worst, s", 2),
        ),
        tuple(rows),
        "Mean time that flexible requests were held, and the time to first token of those that may not be held: a "
        "release of many at once delays them.",
    )


def _assumptions(settings: BatchingSettings) -> tuple[str, ...]:
    estimated = [
        name for name in settings.shaping.profiles if load_profile(name).provenance.evidence is Evidence.ESTIMATED
    ]
    said = [
        "Rankings are MEASURED: steady state of short chats in vLLM 0.11.1, GPU power alone, no host and no cooling. "
        "Other engines, versions, kernels and lengths rank differently.",
        "Only one model was measured on as many GPUs at both precisions in this task: that ranking is one model's.",
        "Shaping is EMULATED: one instance stepped by the emulator's physics. Its step time and energy are straight "
        "lines fitted to the same rows, which misjudge single rows by up to a fifth; prefill, idle and sleeping power "
        "and the times to sleep and wake are estimates (docs/reference/curves.md).",
        f"Requests arrive for {settings.shaping.duration_s:g} s as a Poisson process of given count, lengths in the "
        f"trace's order, seed {settings.shaping.seed}; which requests may be held is chance. Every run is counted up "
        f"to {max(settings.shaping.holds_s):g} s after that, so that energy saved is not energy put off.",
        "An instance without work draws its loaded idle power. It sleeps only where every request is flexible, and "
        "wakes in time for the release.",
    ]
    if estimated:
        said.append(f"ESTIMATED curves, not measured: {', '.join(estimated)}.")
    return tuple(said)
