"""The targets, and whether a run meets them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.results import Results, Spread

OURS = "wattroute"
OURS_2X4 = "wattroute 2x4"


@dataclass(frozen=True)
class Target:
    """A promise about one figure.

    Attributes:
        title: as in the table.
        metric: whose median counts.
        limit: the largest value that meets the target.
        unit: of value and limit.
        subject: whose figure it is.
        against: the figure counts as a ratio to this subject's of the same round.
    """

    title: str
    metric: str
    limit: float
    unit: str
    subject: str = OURS
    against: str | None = None


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured; `met` is None where nothing was."""

    target: Target
    spread: Spread | None

    @property
    def met(self) -> bool | None:
        return None if self.spread is None else self.spread.median <= self.target.limit


TARGETS = (
    Target("CPU per plain request, to vllm-router's", "plain_cpu_us", 0.55, "x", against="vllm-router"),
    Target("CPU per plain request, to nginx's", "plain_cpu_us", 2.5, "x", against="nginx"),
    Target("CPU per streamed chunk, to vllm-router's", "chunk_cpu_us", 0.85, "x", against="vllm-router"),
    Target("CPU per streamed chunk, to nginx's", "chunk_cpu_us", 1.3, "x", against="nginx"),
    Target("CPU per plain request, 2 pools of 4, to one engine", "plain_cpu_us", 1.1, "x", OURS_2X4, OURS),
    Target("CPU per streamed chunk, 2 pools of 4, to one engine", "chunk_cpu_us", 1.1, "x", OURS_2X4, OURS),
    Target("RSS at 256 streams", "rss_mb", 60.0, "MB"),
    Target("Requests failed", "failed", 0.0, ""),
)


def evaluate(results: Results, targets: tuple[Target, ...] = TARGETS) -> list[Verdict]:
    """Hold a run against the targets."""
    return [Verdict(target, _spread(results, target)) for target in targets]


def _spread(results: Results, target: Target) -> Spread | None:
    if target.against is None:
        return results.spread(target.subject, target.metric)
    return results.ratio(target.subject, target.against, target.metric)
