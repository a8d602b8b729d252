"""The section of the configuration file on canaries and on measured losses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from router.contract import Precision
from router.settings import Group, Seconds


class CanarySettings(Group):
    """Deterministic requests asked again of the reference and of each pool; see docs/how-to/quality.md."""

    per_s: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Canaries a second. 0: none."""
    reference: Precision | None = None
    """Precision that the others are put beside. Absent: the best that a pool has."""
    answer_tokens: Annotated[int, Field(ge=1, le=256)] = 16
    """Longest answer that is compared. Sound precisions part after some tens of tokens, nonsense at the first."""
    timeout_s: Seconds = 30.0
    """Longest wait for an answer; one that does not come says nothing about quality."""
    max_in_flight: Annotated[int, Field(ge=1, le=64)] = 2
    """Canaries under way at once."""
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    """Priority sent to engines run with --scheduling-policy priority; larger is later. Absent: none is sent, which
    other engines would refuse."""
    energy_j_per_h: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 1e6
    """Energy that canaries may spend, estimated from the pools' curves; once it is spent they wait. A canary costs some
    100 J on busy engines and 2 to 3 kJ on an idle pair of eight GPUs each."""
    least_agreement_frac: Annotated[float, Field(ge=0.3, le=0.95)] = 0.8
    """A sound pool agrees with the reference at least this share of the times that the reference agrees with itself."""
    false_alarms_per_day: Annotated[float, Field(ge=1e-12, le=0.1)] = 1e-6
    """Bound on the probability that a fleet of sound pools has one of them barred in a day."""
    readmit_after: Annotated[int, Field(ge=5, le=1000)] = 12
    """Canaries in a row that must agree before a barred pool serves again."""
    sample_s: Seconds = 10.0
    """Time between two looks for requests that the routers keep (router.canary_samples)."""
    router_token_file: Path | None = None
    """File with the routers' admin token, which they ask for where they have one. Routers on other machines then need
    https:// in `signals.router_urls`, by a proxy before their admin ports."""
    seed: int = 0
    """Seed of the order of prompts and turns."""


class QualitySettings(Group):
    """What is known of the pools' answers, and what follows from it."""

    measured: tuple[Path, ...] = ()
    """Files of `wattroute quality run`; what they say comes before what was published."""
    when_nothing_else: Literal["refuse", "serve"] = "refuse"
    """What becomes of a class that only barred pools could serve. refuse: it is refused, as a wrong answer is believed
    and a refusal is seen and tried again. serve: it is served by them."""
    canary: CanarySettings = CanarySettings()
