"""The section `baseline` of a programme: how the draw that would have been is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from controller.model.programme import AdjustForm, BaselineMethod, BaselineRule, RegressionRule, RegressionTerm
from controller.settings.fields import Frac, NotNegative, Positive, Watts
from router.settings import Group


class ColumnSettings(Group):
    """A column of a CSV file of the operator's, with times; read again whenever the file changes."""

    file: Path
    """The file. It needs values for the past days and, before an event begins, for its hours: what is missing in the
    hours of the event is told, and hour_before takes the regression's place."""
    time: Annotated[str, Field(min_length=1, max_length=200)] = "time"
    """Name of the column of times, ISO 8601; those without a zone are in the programme's."""
    value: Annotated[str, Field(min_length=1, max_length=200)] = "value"
    """Name of the column of values, in any unit: of an hour their mean counts."""


class RegressionSettings(Group):
    """What the method regression depends on."""

    terms: Annotated[tuple[RegressionTerm, ...], Field(min_length=1, max_length=3)] = (
        RegressionTerm.HOUR_OF_DAY,
        RegressionTerm.DAY_OF_WEEK,
    )
    """hour_of_day, day_of_week (holidays count as Sundays), column."""
    column: ColumnSettings | None = None
    """Of the term column."""
    most_rrmse_frac: Positive = 0.2
    """Greatest relative root mean squared error over the hours that it is fitted to; of a worse fit hour_before takes
    the place. PJM asks for 0.2 of its customer baselines."""

    @model_validator(mode="after")
    def _is_whole(self) -> RegressionSettings:
        if len(set(self.terms)) < len(self.terms):
            raise ValueError(f"terms {[term.value for term in self.terms]} has one twice; name each once")
        if (RegressionTerm.COLUMN in self.terms) != (self.column is not None):
            raise ValueError(
                "the term column and the section column go together: name a file in column, or leave both out"
            )
        return self

    def rule(self) -> RegressionRule:
        """The same as the controller's model has it."""
        if self.column is None:
            return RegressionRule(self.terms, most_rrmse_frac=self.most_rrmse_frac)
        column = self.column
        return RegressionRule(self.terms, str(column.file), column.time, column.value, self.most_rrmse_frac)


class BaselineSettings(Group):
    """How the draw that would have been is told."""

    method: BaselineMethod = BaselineMethod.HOUR_BEFORE
    """hour_before: mean of `window_s` before the preparation. 10_of_10, 5_of_10, middle_8_of_10, high_4_of_5: means of
    like days. regression: by what `regression` names. maximum_base_load: the constant `maximum_w`."""
    adjust_form: AdjustForm = AdjustForm.RATIO
    """ratio: the profile is multiplied. additive: a difference is added to it, as by PJM. Both compare what was drawn
    before the event with what the baseline has for the same time."""
    adjust_frac: Frac = 0.0
    """Largest same-day adjustment either way, as a share of the baseline. Of a ratio 0 is none, CAISO's is 0.2; of an
    additive one 0 is no bound, as PJM has it."""
    adjust_from_s: NotNegative = 4 * 3600.0
    """Begin of the window of the same-day adjustment, before the event's start."""
    adjust_until_s: NotNegative = 3600.0
    """End of that window, before the event's start."""
    window_s: Annotated[float, Field(ge=60, le=86_400)] = 3600.0
    """Length of the window of hour_before."""
    maximum_w: Watts | None = None
    """The base load of maximum_base_load."""
    reach_days: Annotated[int, Field(ge=10, le=400)] = 45
    """How far back like days are looked for."""
    of_days: Annotated[int, Field(ge=1, le=60)] = 10
    """Like days that are taken, the most recent ones. 5_of_10 uses the half of them, rounded up; high_4_of_5 has
    numbers of its own and takes none here."""
    of_off_days: Annotated[int, Field(ge=1, le=60)] | None = None
    """Like days that are taken for weekends and holidays. Absent: as many as for working days."""
    least_days: Annotated[int, Field(ge=1, le=60)] | None = None
    """Fewest days that still make a baseline; with fewer, hour_before takes its place. Absent: all of them, of
    high_4_of_5 all but one, of regression `of_days`."""
    least_covered_frac: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of a day, and of its hours of the event, that must be measured for it to be a like day; also of a
    settlement interval for it to be settled."""
    clips_at_zero: bool = False
    """Whether a draw above the baseline counts as nothing delivered, rather than as less than nothing."""
    regression: RegressionSettings = RegressionSettings()
    """Of the method regression."""

    @model_validator(mode="after")
    def _is_whole(self) -> BaselineSettings:
        if self.method is BaselineMethod.MAXIMUM_BASE_LOAD and self.maximum_w is None:
            raise ValueError("method maximum_base_load needs maximum_w, the contracted base load in W")
        if self.method is BaselineMethod.HIGH_FOUR_OF_FIVE and {"of_days", "of_off_days"} & self.model_fields_set:
            raise ValueError(
                "method high_4_of_5 takes 4 of 5 weekdays and 2 of 3 Saturdays, Sundays or holidays; leave of_days and "
                "of_off_days out, or write method 5_of_10 with numbers of your own"
            )
        if self.method is not BaselineMethod.REGRESSION and self.regression != RegressionSettings():
            raise ValueError(f"regression is of the method regression alone, not of {self.method.value}; leave it out")
        is_adjusted = self.adjust_frac > 0 or self.adjust_form is AdjustForm.ADDITIVE
        if is_adjusted and self.adjust_until_s >= self.adjust_from_s:
            raise ValueError(
                f"adjust_until_s is {self.adjust_until_s:g}, not less than adjust_from_s {self.adjust_from_s:g}: both "
                "count back from the event's start"
            )
        return self

    def rule(self) -> BaselineRule:
        """The same as the controller's model has it."""
        plain = {field: getattr(self, field) for field in type(self).model_fields}
        return BaselineRule(**plain | {"regression": self.regression.rule()})
