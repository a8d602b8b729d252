"""The targets, and whether a run meets them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.results import Results, Spread

OURS = "wattroute"
OURS_2X4 = "wattroute 2x4"
FLAT = 1.1
"""Cost at the far end of a sweep, to that at its beginning, that still counts as flat."""


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
        base: the figure counts as a ratio to this metric of the same subject and round.
    """

    title: str
    metric: str
    limit: float
    unit: str
    subject: str = OURS
    against: str | None = None
    base: str | None = None


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured; `met` is None where nothing was."""

    target: Target
    spread: Spread | None

    @property
    def met(self) -> bool | None:
        return None if self.spread is None else self.spread.median <= self.target.limit


def _flat(title: str, case: str, base: str = "one") -> Target:
    return Target(f"CPU per request, {title}", f"flat_{case}_cpu_us", FLAT, "x", base=f"flat_{base}_cpu_us")


TARGETS = (
    Target("CPU per plain request, to vllm-router's", "plain_cpu_us", 0.55, "x", against="vllm-router"),
    Target("CPU per plain request, to nginx's", "plain_cpu_us", 2.5, "x", against="nginx"),
    Target("CPU per streamed chunk, to vllm-router's", "chunk_cpu_us", 0.85, "x", against="vllm-router"),
    Target("CPU per streamed chunk, to nginx's", "chunk_cpu_us", 1.3, "x", against="nginx"),
    Target("CPU per plain request, 2 pools of 4 to one engine", "plain_cpu_us", FLAT, "x", OURS_2X4, OURS),
    Target("CPU per streamed chunk, 2 pools of 4 to one engine", "chunk_cpu_us", FLAT, "x", OURS_2X4, OURS),
    Target("RSS at 256 streams", "rss_mb", 60.0, "MB"),
    Target("RSS per further open stream, at 5,000", "rss_stream_kb", 25.0, "KB"),
    Target("Start to ready", "ready_s", 0.6, "s"),
    Target("Added TTFT at half load, p50", "added_ttft_p50_ms", 0.25, "ms"),
    Target("Added TTFT at half load, p99", "added_ttft_p99_ms", 1.0, "ms"),
    Target("Added time between chunks at half load, p99", "added_gap_p99_ms", 1.0, "ms"),
    _flat("8 pools to one", "pools_8"),
    _flat("32 pools to one", "pools_32"),
    _flat("16 instances to one", "instances_16"),
    _flat("128 instances to one", "instances_128"),
    _flat("512 instances to one", "instances_512"),
    _flat("100 tenants to one", "tenants_100", "tenants_1"),
    _flat("10,000 tenants to one", "tenants_10000", "tenants_1"),
    Target("CPU per request with a prompt of 1 MB", "prompt_1000000_cpu_us", 1500.0, "µs"),
    Target("Choosing an instance, 8 pools of 16", "choose_8x16_us", 5.0, "µs"),
    Target("Plain requests failed", "failed", 0.0, ""),
    Target("Streams failed", "stream_failed", 0.0, ""),
    Target("Soak: RSS at the end, to that at 100,000 requests", "soak_growth_percent", 5.0, "% more"),
    Target("Soak: requests failed", "soak_failed", 0.0, ""),
    Target("Soak: requests thought under way at the end", "soak_in_flight", 0.0, ""),
)


def evaluate(results: Results, targets: tuple[Target, ...] = TARGETS) -> list[Verdict]:
    """Hold a run against the targets."""
    return [Verdict(target, _spread(results, target)) for target in targets]


def _spread(results: Results, target: Target) -> Spread | None:
    mine = (target.subject, target.metric)
    if target.against is not None:
        return results.ratio(mine, (target.against, target.metric))
    if target.base is not None:
        return results.ratio(mine, (target.subject, target.base))
    return results.spread(*mine)
