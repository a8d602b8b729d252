"""The section `programmes`: the terms on which calls of the grid, and of operators, are followed and settled."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from controller.model.grid import Precedence
from controller.model.programme import BaselineRule, OnLoss, Programme, Rates
from controller.settings.asked import AskedSettings, ThresholdSettings, refuse_doubles
from controller.settings.baselines import BaselineSettings
from controller.settings.fields import NotNegative, Positive, Watts
from router.settings import Group, Name, Seconds

OPERATOR = "operator"
"""The built-in programme: calls of operators, unless they name another."""


class RateSettings(Group):
    """What delivery is worth."""

    delivered_usd_per_mwh: NotNegative | None = None
    """Paid for what is delivered, up to what was committed. Absent: revenue is not told."""
    missing_usd_per_mwh: NotNegative | None = None
    """Charged for what was committed and not delivered. Absent: the penalty is not told."""


class ProgrammeSettings(Group):
    """The terms of one programme."""

    precedence: Precedence = Precedence.CONTRACT
    """What yields when a limit of this programme and the promises to the classes cannot both be kept.
    contract_over_qos: quality, then requests. qos_over_contract: the limit."""
    ramp_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """Time after a start by which its limit is met, where the call does not say."""
    restore_w_per_s: Positive | None = None
    """Fastest rise of the site's power after the end, so that its return is no peak of its own. Absent: no bound."""
    restore_random_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """The return begins up to this much after the end, by chance, so that not all sites return at once."""
    prepare_s: NotNegative | None = None
    """How long before a start preparation may begin. Absent: `plan.prepare_s`."""
    levels: Annotated[dict[Annotated[int, Field(ge=-100, le=100)], AskedSettings], Field(max_length=201)] = Field(
        default_factory=dict
    )
    """What each level asks for, e.g. {1: {below_baseline_frac: 0.1}}. A level that is not here is not followed, which
    is told."""
    thresholds: Annotated[tuple[ThresholdSettings, ...], Field(max_length=8)] = ()
    """What is asked for while the price or the emission rate is high, without anybody's call."""
    least_w: Watts = 0.0
    """A limit below is refused as insane; one that a reduction comes to is raised to it."""
    most_w: Watts = 1e9
    """A limit or a reduction above is refused as insane, e.g. one in another unit."""
    changes_per_min: Annotated[int, Field(ge=1, le=1000)] = 30
    """Calls of this programme that may be added or changed within a minute; more are refused."""
    default_limit_w: Watts | None = None
    """Limit that holds while the source is lost and its known schedule is exhausted (OpenADR: the capacity
    subscription). Absent: none."""
    hold_s: Annotated[float, Field(ge=1, le=7 * 86_400)] = 300.0
    """Silence of the source after which it counts as lost."""
    on_loss: OnLoss = OnLoss.CURTAILED
    """What then holds. fail_curtailed: `default_limit_w`. fail_normal: no limit of this programme."""
    settlement_interval_s: Seconds = 300.0
    """Over which delivery is averaged."""
    settles_instantaneous: bool = False
    """Whether every reading counts, rather than the interval's mean."""
    settles_on_clock: bool = False
    """Whether settlement intervals begin at multiples of their length on the clock in UTC, as those of meters do: the
    first one at or after the end of the ramp. Otherwise the first begins at the end of the ramp."""
    committed_w: Watts | None = None
    """Reduction sold. Absent: each call says what it asks for."""
    baseline: BaselineSettings = BaselineSettings()
    """How the draw that would have been is told."""
    rates: RateSettings = RateSettings()
    """What delivery is worth."""
    timezone: str = "UTC"
    """IANA name of the time zone of like days and holidays, e.g. America/Los_Angeles."""
    holidays: Annotated[tuple[date, ...], Field(max_length=1000)] = ()
    """Days that are no working days."""

    @field_validator("timezone")
    @classmethod
    def _is_a_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"timezone {value!r:.80} is not known; write an IANA name, e.g. Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _bounds_agree(self) -> ProgrammeSettings:
        if self.least_w > self.most_w:
            raise ValueError(f"least_w is {self.least_w:g}, more than most_w {self.most_w:g}; exchange them")
        limits = {"default_limit_w": self.default_limit_w}
        limits |= {f"levels.{number}.at_most_w": level.at_most_w for number, level in self.levels.items()}
        limits |= {f"thresholds.{n}.asks.at_most_w": each.asks.at_most_w for n, each in enumerate(self.thresholds)}
        for name, limit_w in limits.items():
            if limit_w is not None and not self.least_w <= limit_w <= self.most_w:
                raise ValueError(
                    f"{name} is {limit_w:g}, outside least_w {self.least_w:g} to most_w {self.most_w:g}; correct one"
                )
        refuse_doubles(self.thresholds)
        return self

    def programme(self, name: str) -> Programme:
        """The same as the controller's model has it."""
        plain = {field: getattr(self, field) for field in type(self).model_fields}
        plain |= {
            "levels": tuple(sorted((number, level.commitment()) for number, level in self.levels.items())),
            "thresholds": tuple(each.threshold() for each in self.thresholds),
            "baseline": self.baseline.rule(),
            "rates": Rates(**self.rates.model_dump()),
            "holidays": tuple(day.isoformat() for day in self.holidays),
        }
        return Programme(name=name, **plain)


Programmes = Annotated[dict[Name, ProgrammeSettings], Field(max_length=64)]


def programmes_of(settings: dict[str, ProgrammeSettings], window_s: float = 3600.0) -> dict[str, Programme]:
    """The configured programmes and the built-in one by name; an entry of the built-in one's name replaces it.

    Args:
        settings: the section.
        window_s: of the built-in one's baseline, `plan.baseline_window_s`.
    """
    built_in = Programme(OPERATOR, baseline=BaselineRule(window_s=window_s))
    return {OPERATOR: built_in} | {name: each.programme(name) for name, each in settings.items()}
