"""Several forecasters of one series side by side: each is scored as it goes, and the one with the best record is asked.

Those that the caller knows, such as persistence and a feed's own forecast, come first; persistence is the first of all
and the measure of the others. The others learn from the series. Another forecaster takes over only where its loss has
been lower than that of the one in use by a margin, over `MIN_SCORED` intervals at least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from controller.forecast.record import MAX_RESIDUALS, Record, Said, offset_at, pinball, upper
from controller.forecast.scale import Scale, scaled, unscaled
from controller.forecast.season import DAY_S
from controller.forecast.smoothing import Grid, SmoothingSpec, SmoothingState, ahead, learn

MIN_SCORED = 24
"""Intervals of a record before it counts."""
LEAST_GAIN = 1e-6
"""Gain in the ratio of losses that is more than rounding."""
Given = Callable[[int], float | None]
"""What a forecaster outside the bank says of an interval, in the series' unit; None where it says nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a series is forecast.

    Attributes:
        given: names of the forecasters that the caller knows, persistence the first.
        specs: those that learn.
        grid: its intervals.
        scale: on which it is forecast.
        leads: distances that are scored, ascending.
        quantile: that is planned; None plans the point forecast itself and scores its absolute error.
        margin_frac: by which another loss must be lower than that of the forecaster in use.
        memory_intervals: over which losses are averaged.
        initial: forecaster in use before any was scored.
    """

    given: tuple[str, ...]
    specs: tuple[SmoothingSpec, ...]
    grid: Grid
    scale: Scale
    leads: tuple[int, ...]
    quantile: float | None
    margin_frac: float
    memory_intervals: int
    initial: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """All forecasters, in the order of the records."""
        return (*self.given, *(spec.name for spec in self.specs))


@dataclass(frozen=True, slots=True)
class BankState:
    """What a series' forecasters have learnt, and their records.

    Attributes:
        last: interval of the last outcome, None before the first.
        models: of the rules' specs.
        records: of all forecasters.
        ranking: the forecaster in use, then the others whose records count, in the order in which they are asked.
    """

    last: int | None
    models: tuple[SmoothingState, ...]
    records: tuple[Record, ...]
    ranking: tuple[int, ...]

    @property
    def chosen(self) -> int:
        """The forecaster in use."""
        return self.ranking[0]

    @classmethod
    def initial(cls, rules: Rules) -> BankState:
        """Nothing seen yet."""
        empty = Record.empty(len(rules.leads))
        models = (SmoothingState(),) * len(rules.specs)
        return cls(None, models, (empty,) * len(rules.names), (rules.initial, 0) if rules.initial else (0,))


def lasting(value: float) -> Given:
    """Persistence: what is now lasts."""
    return lambda _target: value


def memory_intervals(step_s: float) -> int:
    """Intervals over which losses are averaged: those of a day, but a few hundred at most."""
    return max(2 * MIN_SCORED, min(MAX_RESIDUALS, round(DAY_S / step_s)))


def take_in(state: BankState, rules: Rules, index: int, value: float) -> BankState:
    """Score what was said of an interval by its outcome, learn from it, and choose; an earlier interval is ignored."""
    if state.last is not None and index <= state.last:
        return state
    due = tuple(_due(record, index) for record in state.records)
    records = tuple(
        _scored(record, own, due[0], rules, index, value) for record, own in zip(state.records, due, strict=True)
    )
    x = scaled(value, rules.scale, rules.grid.step_s)
    models = tuple(
        learn(spec, model, rules.grid, index, x) for spec, model in zip(rules.specs, state.models, strict=True)
    )
    return BankState(index, models, records, _ranked(records, rules, state.ranking))


def say(state: BankState, rules: Rules, given: tuple[Given, ...]) -> BankState:
    """Let every forecaster say what comes after the last outcome, to be scored in time."""
    if state.last is None:
        return state
    records = []
    for number, record in enumerate(state.records):
        said = []
        for lead, waiting, offset in zip(rules.leads, record.said, record.offsets, strict=True):
            target = state.last + lead
            point = _point(state, rules, number, target, given)
            if point is None:
                said.append(waiting)
                continue
            planned = point if rules.quantile is None else None if offset is None else point + offset
            said.append((*waiting, Said(target, point, planned)))
        records.append(replace(record, said=tuple(said)))
    return replace(state, records=tuple(records))


def planned(state: BankState, rules: Rules, targets: range, given: tuple[Given, ...]) -> tuple[float | None, ...]:
    """What to plan for in intervals after the last outcome, in the series' unit.

    The forecaster in use is asked first, then the others by rank; None where none knows anything, or where too few
    differences are known for the quantile.
    """
    return tuple(_first_planned(state, rules, target, given) for target in targets)


def _first_planned(state: BankState, rules: Rules, target: int, given: tuple[Given, ...]) -> float | None:
    if state.last is None:
        return None
    for number in state.ranking:
        point = _point(state, rules, number, target, given)
        offset = 0.0
        if rules.quantile is not None:
            found = offset_at(state.records[number].offsets, rules.leads, target - state.last)
            if found is None:
                continue
            offset = found
        if point is not None:
            return unscaled(point + offset, rules.scale, rules.grid.step_s)
    return None


def _point(state: BankState, rules: Rules, number: int, target: int, given: tuple[Given, ...]) -> float | None:
    """A forecaster's expected value, on the series' scale."""
    if number < len(given):
        value = given[number](target)
        return None if value is None else scaled(value, rules.scale, rules.grid.step_s)
    model = number - len(given)
    return ahead(rules.specs[model], state.models[model], rules.grid, target)


def _due(record: Record, index: int) -> tuple[Said | None, ...]:
    """What was said of an interval, from each distance."""
    return tuple(next((one for one in waiting if one.target == index), None) for waiting in record.said)


def _scored(
    record: Record,
    due: tuple[Said | None, ...],
    reference: tuple[Said | None, ...],
    rules: Rules,
    index: int,
    value: float,
) -> Record:
    """The record with an outcome; losses count only where persistence, too, had planned a value."""
    x = scaled(value, rules.scale, rules.grid.step_s)
    residuals = tuple(
        seen if one is None else (*seen, x - one.point)[-MAX_RESIDUALS:]
        for seen, one in zip(record.residuals, due, strict=True)
    )
    pairs = [
        (_loss(value, own.planned, rules), _loss(value, other.planned, rules))
        for own, other in zip(due, reference, strict=True)
        if own is not None and other is not None and own.planned is not None and other.planned is not None
    ]
    quantile = rules.quantile
    record = replace(
        record,
        said=tuple(tuple(one for one in waiting if one.target > index) for waiting in record.said),
        residuals=residuals,
        offsets=record.offsets if quantile is None else tuple(upper(seen, quantile) for seen in residuals),
    )
    if not pairs:
        return record
    share = 1.0 / min(record.scored + 1, rules.memory_intervals)
    own_loss, other_loss = (sum(losses) / len(pairs) for losses in zip(*pairs, strict=True))
    return replace(
        record,
        loss=record.loss + share * (own_loss - record.loss),
        reference_loss=record.reference_loss + share * (other_loss - record.reference_loss),
        scored=record.scored + 1,
    )


def _loss(value: float, planned_x: float, rules: Rules) -> float:
    plan = unscaled(planned_x, rules.scale, rules.grid.step_s)
    return pinball(value, plan, 0.5 if rules.quantile is None else rules.quantile)


def _ratio(number: int, record: Record) -> float | None:
    """Loss beside persistence's, None while the record is too short to count."""
    if number == 0:
        return 1.0
    return record.loss_ratio if record.scored >= MIN_SCORED else None


def _ranked(records: tuple[Record, ...], rules: Rules, ranking: tuple[int, ...]) -> tuple[int, ...]:
    """The ranking, in which one moves up to where its loss is lower by the margin; those new to it begin last.

    One that was put first without a record, and has none, stays first.
    """
    fresh = (
        number for number, record in enumerate(records) if number not in ranking and _ratio(number, record) is not None
    )
    ranked: list[int] = []
    for number in (*ranking, *fresh):
        own = _ratio(number, records[number])
        above = [_ratio(other, records[other]) for other in ranked]
        place = next((n for n, ratio in enumerate(above) if _is_better(own, ratio, rules.margin_frac)), len(ranked))
        ranked.insert(place, number)
    return tuple(ranked)


def _is_better(own: float | None, other: float | None, margin_frac: float) -> bool:
    return own is not None and other is not None and own < (1.0 - margin_frac) * other - LEAST_GAIN
