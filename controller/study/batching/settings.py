"""Scenario file of the kind `batching`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from controller.simulation.profiles import PROFILES
from controller.study.settings import Count, Frac, Group, Name, Positive, Seconds, Seed, Text, refuse_twins

Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class ConfigurationSettings(Group):
    """A configuration of the bundled ML.ENERGY measurements."""

    model_id: Text
    weight_precision: Literal["bfloat16", "fp8"]
    gpu: Literal["H100", "B200"]
    gpus: Count


class PairSettings(Group):
    """Two configurations that are compared; changes are those of `other` against `base`."""

    name: Name
    base: ConfigurationSettings
    other: ConfigurationSettings


class ShapingSettings(Group):
    """Requests to one instance, with flexible ones held back or not."""

    profiles: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)]
    """Built-in profiles of the instance (docs/reference/curves.md)."""
    rates_rps: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=20)]
    """Mean arrivals a second."""
    flex_shares_frac: Annotated[tuple[Frac, ...], Field(min_length=1, max_length=10)]
    """Shares of the requests that may be held."""
    holds_s: Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=10)]
    """Longest times that a request is held."""
    duration_s: Annotated[float, Field(ge=60, le=86_400)]
    """Time during which requests arrive."""
    burst: Count = 20
    """Requests that come at once in the pattern of bursts."""
    seed: Seed
    """Of arrivals and classes."""

    @model_validator(mode="after")
    def _known(self) -> ShapingSettings:
        for name in self.profiles:
            if name not in PROFILES:
                raise ValueError(f"no built-in curves are called {name!r}; choose of {', '.join(PROFILES)}")
        return self


class BatchingSettings(Group):
    """A scenario of the kind `batching`."""

    kind: Literal["batching"]
    title: Text
    pairs: Annotated[tuple[PairSettings, ...], Field(min_length=1, max_length=16)]
    concurrency: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=64)]
    """Requests in the batch at which the pairs are compared."""
    rates_tokens_per_s: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=64)]
    """Output tokens a second at which they are compared."""
    shaping: ShapingSettings

    @model_validator(mode="after")
    def _consistent(self) -> BatchingSettings:
        refuse_twins("pairs", [pair.name for pair in self.pairs])
        return self
