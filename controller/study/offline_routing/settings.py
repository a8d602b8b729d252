"""Scenario file of the kind `offline_routing`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.study.settings import (
    Count,
    Frac,
    Group,
    Name,
    NotNegative,
    Positive,
    Seconds,
    Seed,
    Text,
    refuse_twins,
)

Coefficient = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]


class TermSettings(Group):
    """fixed + input·τin + output·τout + interaction·τin·τout, in joules or in seconds."""

    fixed: Coefficient = 0.0
    input: Coefficient
    output: Coefficient
    interaction: Coefficient = 0.0


class MeasuredSettings(Group):
    """A configuration of the bundled ML.ENERGY measurements."""

    model_id: Text
    weight_precision: Literal["bfloat16", "fp8"]
    gpu: Literal["H100"]
    gpus: Count
    max_num_seqs: Count
    """The measured row that is taken: the batch at which the fleet is assumed to run."""


class ModelSettings(Group):
    """One model that queries may be assigned to."""

    name: Name
    accuracy_frac: Frac
    """Mean score of the model, on the same tests as the others'."""
    energy_j: TermSettings | None = None
    """Energy of a query. Absent where `measured` is given."""
    runtime_s: TermSettings | None = None
    """Time a query takes once served. Absent where `measured` is given."""
    measured: MeasuredSettings | None = None
    """Take energy and time from measurements."""
    servers: Count
    """Queries it serves at once."""
    input_tokens: tuple[Tokens, Tokens] = (1, 10_000_000)
    """Least and most input tokens of a query it may serve, such as the range it was fitted on."""
    output_tokens: tuple[Tokens, Tokens] = (1, 10_000_000)
    """The same of output tokens."""
    min_share_frac: Frac = 0.0
    """Least share of the queries it must serve; every model serves at least one where it is positive."""
    max_share_frac: Frac = 1.0
    """Largest share of the queries it may serve."""
    source: Text
    """Where its figures come from."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelSettings:
        if (self.measured is None) == (self.energy_j is None or self.runtime_s is None):
            raise ValueError("give energy_j and runtime_s, or measured")
        if self.measured is not None and (self.energy_j is not None or self.runtime_s is not None):
            raise ValueError("energy_j and runtime_s are taken from measured; remove them")
        if self.min_share_frac > self.max_share_frac:
            raise ValueError(f"min_share_frac {self.min_share_frac:g} is above max_share_frac {self.max_share_frac:g}")
        for name, (low, high) in (("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens)):
            if low > high:
                raise ValueError(f"{name}: {low} is above {high}; write [least, most]")
        return self


class TraceQueries(Group):
    """Queries of a recorded trace, at its own times."""

    source: Literal["trace"]
    path: str | None = None
    """Trace file, from the working folder on. Absent: the bundled Azure LLM Inference Trace 2023 (conversation)."""
    first: Count | None = None
    """Take so many from its start. Absent: all."""
    speed: Positive = 1.0
    """Trace seconds per second."""
    outside: Literal["refuse", "leave_out"] = "refuse"
    """What becomes of a query that no model may serve."""


class SyntheticQueries(Group):
    """Queries with log-normal lengths, arriving as a Poisson process."""

    source: Literal["synthetic"]
    count: Count
    seed: Seed
    median_input_tokens: Positive
    median_output_tokens: Positive
    input_spread: NotNegative = 0.7
    """Standard deviation of the logarithm."""
    output_spread: NotNegative = 0.7
    rate_rps: Positive
    """Mean arrivals a second."""
    outside: Literal["refuse", "leave_out"] = "refuse"


class ChooseSettings(Group):
    """What zeta is chosen from; each gives a row of its own. The knee of the curve always does."""

    price_usd_per_mwh: Positive = 50.0
    """Price of electricity."""
    accuracy_usd_per_mtoken_point: Positive | None = None
    """What one point of accuracy (0.01) is worth, for a million tokens of queries."""
    energy_budget_kwh: Positive | None = None
    """Most energy that may be used."""
    accuracy_target_frac: Frac | None = None
    """Least mean accuracy that is accepted."""


class OnlineSettings(Group):
    """Queries routed as they arrive, to models that serve a bounded number at once."""

    wait_usd_per_hour: NotNegative = 1.0
    """What an hour of waiting of one query costs, for the rule that prices it."""
    wait_limit_s: Seconds = 10.0
    """Longest wait that the rule with a limit accepts where it can."""


class OfflineRoutingSettings(Group):
    """A scenario of the kind `offline_routing`."""

    kind: Literal["offline_routing"]
    title: Text
    models: Annotated[tuple[ModelSettings, ...], Field(min_length=1, max_length=16)]
    queries: Annotated[TraceQueries | SyntheticQueries, Field(discriminator="source")]
    zetas: Annotated[tuple[Frac, ...], Field(min_length=2, max_length=201)]
    """Values of the sweep, 0 (accuracy alone) to 1 (energy alone)."""
    choose: ChooseSettings = ChooseSettings()
    online: OnlineSettings | None = None
    """Absent: offline only."""

    @model_validator(mode="after")
    def _consistent(self) -> OfflineRoutingSettings:
        refuse_twins("models", [model.name for model in self.models])
        if list(self.zetas) != sorted(set(self.zetas)):
            raise ValueError("zetas must rise, each value once")
        return self
