"""The study `batching`: from its settings to its result and report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from controller.errors import ConfigError
from controller.model.perf import PoolCurves
from controller.simulation.profiles import load_profile
from controller.simulation.trace import Arrival, read_trace
from controller.study.batching.arrivals import Demand, Job, Pattern, make_jobs
from controller.study.batching.ranking import rank
from controller.study.batching.report import report
from controller.study.batching.result import Result, Shaped
from controller.study.batching.settings import BatchingSettings, ConfigurationSettings, ShapingSettings
from controller.study.batching.shaping import Hold, Policy, Served, serve
from controller.study.measured import Configuration
from controller.study.study import Outcome, Progress, Study


def run(settings: BatchingSettings, progress: Progress) -> Outcome:
    """Compute the outcome of a scenario.

    Raises:
        ConfigError: a configuration was not measured, or requests cannot be served.
    """
    progress(0.0, "comparing measured configurations")
    rankings = tuple(
        rank(
            pair.name,
            _configuration(pair.base),
            _configuration(pair.other),
            concurrency=settings.concurrency,
            rates_tokens_per_s=settings.rates_tokens_per_s,
        )
        for pair in settings.pairs
    )
    lengths = read_trace().arrivals
    patterns, shaped = _Shaping(settings.shaping, lengths, progress).run()
    progress(1.0, "done")
    result = Result(rankings, patterns, shaped)
    return Outcome({"result": result}, report(result, settings))


STUDY = Study("batching", BatchingSettings, run)


def policies(holds_s: Sequence[float], *, all_flex: bool) -> tuple[Policy, ...]:
    """What is tried on requests; the instance may sleep only where all of them are flexible."""
    longest_s = max(holds_s)
    return (
        Policy(Hold.NEVER),
        Policy(Hold.RIDE, longest_s),
        *(Policy(Hold.GATHER, hold_s) for hold_s in holds_s),
        *((Policy(Hold.GATHER, longest_s, sleeps=True),) if all_flex else ()),
    )


class _Shaping:
    """All runs of one instance, with the progress told."""

    def __init__(self, written: ShapingSettings, lengths: Sequence[Arrival], progress: Progress) -> None:
        self._written = written
        self._lengths = lengths
        self._progress = progress
        self._cases = len(written.profiles) * len(written.rates_rps) * (1 + len(written.flex_shares_frac))
        self._done = 0

    def run(self) -> tuple[tuple[Shaped, ...], tuple[Shaped, ...]]:
        patterns: list[Shaped] = []
        shaped: list[Shaped] = []
        for profile in self._written.profiles:
            curves = load_profile(profile)
            for rate_rps in self._written.rates_rps:
                plain = Demand(rate_rps, self._written.duration_s, 0.0, burst=self._written.burst)
                self._tell(profile, rate_rps)
                patterns += self._patterns(profile, curves, plain)
                for share in self._written.flex_shares_frac:
                    self._tell(profile, rate_rps)
                    demand = dataclasses.replace(plain, flex_share_frac=share)
                    shaped += self._shaped(profile, curves, demand)
        return tuple(patterns), tuple(shaped)

    def _tell(self, profile: str, rate_rps: float) -> None:
        self._progress(self._done / self._cases, f"{profile} at {rate_rps:g} requests/s")
        self._done += 1

    def _patterns(self, profile: str, curves: PoolCurves, plain: Demand) -> list[Shaped]:
        served = {}
        for pattern in Pattern:
            demand = dataclasses.replace(plain, pattern=pattern)
            served[demand] = self._serve(curves, self._jobs(demand), Policy(Hold.NEVER))
        reference = served[plain].j_per_output_token
        return [
            Shaped(profile, demand, Policy(Hold.NEVER), one, one.j_per_output_token / reference - 1)
            for demand, one in served.items()
        ]

    def _shaped(self, profile: str, curves: PoolCurves, demand: Demand) -> list[Shaped]:
        jobs = self._jobs(demand)
        all_flex = all(job.is_flex for job in jobs)
        served = {p: self._serve(curves, jobs, p) for p in policies(self._written.holds_s, all_flex=all_flex)}
        reference = served[Policy(Hold.NEVER)].j_per_output_token
        return [
            Shaped(profile, demand, policy, one, one.j_per_output_token / reference - 1)
            for policy, one in served.items()
        ]

    def _jobs(self, demand: Demand) -> tuple[Job, ...]:
        try:
            return make_jobs(demand, self._lengths, self._written.seed)
        except ValueError as error:
            raise ConfigError(f"shaping: {error}") from error

    def _serve(self, curves: PoolCurves, jobs: tuple[Job, ...], policy: Policy) -> Served:
        try:
            return serve(curves, jobs, policy, self._written.duration_s + max(self._written.holds_s))
        except ValueError as error:
            raise ConfigError(f"shaping: {error}") from error


def _configuration(written: ConfigurationSettings) -> Configuration:
    return Configuration(written.model_id, written.weight_precision, written.gpu, written.gpus)
