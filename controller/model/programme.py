"""The terms of a demand-response programme or contract: how its calls are resolved, followed and settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from controller.model.call import Commitment
from controller.model.grid import Precedence
from controller.model.threshold import Threshold


class OnLoss(StrEnum):
    """What holds once a source was silent for the programme's hold time and its schedule is exhausted (R10, R11)."""

    CURTAILED = "fail_curtailed"
    """The programme's default limit."""
    NORMAL = "fail_normal"
    """No limit of this programme."""


class BaselineMethod(StrEnum):
    """How the draw that would have been is told (R6)."""

    HOUR_BEFORE = "hour_before"
    """Mean of the hour before the event's preparation (NAESB: meter before, meter after)."""
    TEN_OF_TEN = "10_of_10"
    """Mean of the ten most recent like days (CAISO)."""
    FIVE_OF_TEN = "5_of_10"
    """Mean of the five highest of the ten most recent like days."""
    HIGH_FOUR_OF_FIVE = "high_4_of_5"
    """Mean of the four highest of the five most recent weekdays; of Saturdays, and of Sundays and holidays, the two
    highest of three (PJM)."""
    MIDDLE_EIGHT_OF_TEN = "middle_8_of_10"
    """Mean of ten like days without the highest and the lowest (P376 BL01)."""
    MAXIMUM_BASE_LOAD = "maximum_base_load"
    """A constant: the largest draw that the site is contracted for."""
    REGRESSION = "regression"
    """Least squares over the hours of past days, by what the calendar and a column of the operator's tell."""


class AdjustForm(StrEnum):
    """How a same-day adjustment is made of the draw before the event, and of the baseline for the same time."""

    RATIO = "ratio"
    """The profile is multiplied by their ratio (CAISO)."""
    ADDITIVE = "additive"
    """Their difference is added to the profile (PJM: symmetric additive adjustment)."""


class RegressionTerm(StrEnum):
    """What a regression's baseline depends on; terms add up."""

    HOUR_OF_DAY = "hour_of_day"
    DAY_OF_WEEK = "day_of_week"
    """Holidays count as Sundays."""
    COLUMN = "column"
    """Proportional to a column of a file of the operator's, such as the temperature outside."""


@dataclass(frozen=True, slots=True)
class RegressionRule:
    """How a regression is made.

    Attributes:
        terms: none of them twice.
        column_file: CSV of the term `COLUMN`, with times.
        time_column, value_column: names in its heading line.
        most_rrmse_frac: greatest relative root mean squared error over the hours that it was fitted to.
    """

    terms: tuple[RegressionTerm, ...] = (RegressionTerm.HOUR_OF_DAY, RegressionTerm.DAY_OF_WEEK)
    column_file: str | None = None
    time_column: str = "time"
    value_column: str = "value"
    most_rrmse_frac: float = 0.2


@dataclass(frozen=True, slots=True)
class BaselineRule:
    """How a programme's baseline is made.

    Attributes:
        method: the rule.
        adjust_form: ratio or difference.
        adjust_frac: largest same-day adjustment either way, as a share of the baseline (CAISO: 0.2). 0 is no adjustment
            by a ratio, and no bound of an additive one (PJM).
        adjust_from_s, adjust_until_s: window of the same-day adjustment, seconds before the event's start.
        window_s: length of the window of `HOUR_BEFORE`.
        maximum_w: of `MAXIMUM_BASE_LOAD`.
        reach_days: how far back like days are looked for.
        of_days: like days that are taken, the most recent ones; `HIGH_FOUR_OF_FIVE` has its own.
        of_off_days: those taken for a weekend or a holiday; None for as many.
        least_days: fewest that still make a baseline; None for all of them, of `HIGH_FOUR_OF_FIVE` for all but one.
        least_covered_frac: share of a day that must be measured for it to be a like day.
        clips_at_zero: whether a draw above the baseline counts as nothing delivered rather than as negative.
        regression: of `REGRESSION`.
    """

    method: BaselineMethod = BaselineMethod.HOUR_BEFORE
    adjust_form: AdjustForm = AdjustForm.RATIO
    adjust_frac: float = 0.0
    adjust_from_s: float = 4 * 3600.0
    adjust_until_s: float = 3600.0
    window_s: float = 3600.0
    maximum_w: float | None = None
    reach_days: int = 45
    of_days: int = 10
    of_off_days: int | None = None
    least_days: int | None = None
    least_covered_frac: float = 0.9
    clips_at_zero: bool = False
    regression: RegressionRule = field(default_factory=RegressionRule)


@dataclass(frozen=True, slots=True)
class Rates:
    """What delivery is worth, USD/MWh of reduction; None where the contract has no such rate.

    Attributes:
        delivered_usd_per_mwh: paid for energy delivered, up to what was committed.
        missing_usd_per_mwh: charged for energy committed and not delivered (PJM: about 1,150).
    """

    delivered_usd_per_mwh: float | None = None
    missing_usd_per_mwh: float | None = None


@dataclass(frozen=True, slots=True)
class Programme:
    """The terms of one programme.

    Attributes:
        name: by which calls refer to it.
        precedence: what yields when not everything can be kept.
        ramp_s: time after a start by which the limit is met, where the call does not say.
        restore_w_per_s: fastest rise after the end, None for no bound (R3: no rebound peak).
        restore_random_s: the restore begins up to this much after the end, by chance.
        prepare_s: how long before a start preparation may begin, None for the plan's.
        levels: what each level asks for.
        thresholds: of price and carbon, above which something is asked for without anybody's call.
        least_w, most_w: limits outside of these are refused as insane.
        changes_per_min: changes of its calls accepted in any minute.
        default_limit_w: limit in force when the source is lost (OpenADR: the capacity subscription), None for none.
        hold_s: silence of the source after which it counts as lost.
        on_loss: what holds then, once the known schedule is exhausted.
        settlement_interval_s: over which delivery is averaged.
        settles_instantaneous: whether every reading counts, rather than the interval's mean.
        settles_on_clock: whether intervals begin at multiples of their length in UTC, as those of meters do.
        committed_w: reduction sold; None where each call says what it asks for.
        baseline: how it is made.
        rates: what delivery is worth.
        timezone: of its like days and holidays.
        holidays: ISO dates that are no working days.
    """

    name: str
    precedence: Precedence = Precedence.CONTRACT
    ramp_s: float = 30.0
    restore_w_per_s: float | None = None
    restore_random_s: float = 0.0
    prepare_s: float | None = None
    levels: tuple[tuple[int, Commitment], ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    least_w: float = 0.0
    most_w: float = 1e9
    changes_per_min: int = 30
    default_limit_w: float | None = None
    hold_s: float = 300.0
    on_loss: OnLoss = OnLoss.CURTAILED
    settlement_interval_s: float = 300.0
    settles_instantaneous: bool = False
    settles_on_clock: bool = False
    committed_w: float | None = None
    baseline: BaselineRule = field(default_factory=BaselineRule)
    rates: Rates = field(default_factory=Rates)
    timezone: str = "UTC"
    holidays: tuple[str, ...] = ()

    def level(self, number: int) -> Commitment | None:
        """What a level asks for, None where the programme does not know it."""
        return dict(self.levels).get(number)
