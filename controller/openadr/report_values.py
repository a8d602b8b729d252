"""The values of reports: what each payload type is worth over an interval, and how far it is to be trusted (R5).

A value that is not known is not told, and its quality is MISSING. Energy of an interval of which a part was not
measured is the mean of the rest over the whole, ESTIMATED; where less than half was measured there is none. What comes
from an emulation is BAD: it is no measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from controller.model.grid import limit_at
from controller.model.meter import mean_over
from controller.model.observation import Quality
from controller.openadr.descriptors import Stretch
from controller.openadr.messages import ReportDescriptor
from controller.openadr.report_inputs import Expected, ReportInputs
from controller.openadr.report_sheds import mean_shed_w

OK, MISSING, ESTIMATED, BAD = "OK", "MISSING", "ESTIMATED", "BAD"
KW, KWH, GHG, PERCENT = "KW", "KWH", "GHG", "PERCENT"
WHOLE_FRAC = 0.99
"""Share of an interval that was measured from which on the rest is not told as estimated."""
LEAST_FRAC = 0.5
MAX_LATE_S = 60.0
"""How far into an interval a plan may begin from which it is told."""
J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Told:
    """A value with its quality; None where it is not known."""

    value: float | str | None
    quality: str


UNKNOWN = Told(None, MISSING)


def power_told(inputs: ReportInputs, stretch: Stretch) -> Told:
    """Mean power, W."""
    mean = mean_over(inputs.power, stretch.start_s, stretch.end_s)
    if mean.mean_w is None or mean.quality is None or mean.covered_frac < LEAST_FRAC:
        return UNKNOWN
    measured = quality_told(mean.quality)
    return Told(mean.mean_w, measured if mean.covered_frac >= WHOLE_FRAC else worse(measured, ESTIMATED))


def quality_told(quality: Quality) -> str:
    """How OpenADR calls it."""
    return {Quality.DIRECT: OK, Quality.ESTIMATED: ESTIMATED, Quality.EMULATED: BAD}[quality]


def worse(one: str, other: str) -> str:
    """The less trusted of two qualities."""
    return max(one, other, key=(OK, ESTIMATED, BAD, MISSING).index)


def expected_told(expected: Iterable[Expected], stretch: Stretch) -> Told:
    """Mean of what is expected, W; None unless all of the stretch is covered."""
    energy_j, covered_s = 0.0, 0.0
    for each in expected:
        overlap_s = min(each.end_s, stretch.end_s) - max(each.start_s, stretch.start_s)
        if overlap_s > 0.0:
            energy_j += each.power_w * overlap_s
            covered_s += overlap_s
    if covered_s < WHOLE_FRAC * (stretch.end_s - stretch.start_s):
        return UNKNOWN
    return Told(energy_j / covered_s, ESTIMATED)


def draw_told(inputs: ReportInputs, stretch: Stretch) -> Told:
    """Mean draw that is expected of an interval, W.

    A report is made some seconds after its first interval has begun, from a plan that begins when it was made: until
    then the plan's first step is what is expected.
    """
    forecast = sorted(inputs.forecast, key=lambda each: each.start_s)
    if forecast and stretch.start_s < forecast[0].start_s <= min(inputs.now_s, stretch.start_s + MAX_LATE_S):
        forecast[0] = replace(forecast[0], start_s=stretch.start_s)
    return expected_told(tuple(forecast), stretch)


def value_of(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    """The value of an interval in the unit of `unit_of`."""
    return _VALUES[descriptor.payload_type](descriptor, inputs, stretch)


def unit_of(descriptor: ReportDescriptor) -> str | None:
    """The unit a payload is told in: the one asked for, else the type's own; None for what has none."""
    units = UNITS[descriptor.payload_type]
    if descriptor.units in units or not units:
        return descriptor.units if units else None
    return units[0]


def _reading(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    """The last power within the interval, kW."""
    for mean in reversed(inputs.power):
        is_within = stretch.start_s < mean.end_s <= stretch.end_s + 1e-6
        if is_within and mean.mean_w is not None and mean.quality is not None:
            return Told(mean.mean_w / 1e3, quality_told(mean.quality))
    return UNKNOWN


def _usage(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    power = power_told(inputs, stretch) if descriptor.historical else draw_told(inputs, stretch)
    energy = _energy(power, stretch)
    if unit_of(descriptor) != GHG or not isinstance(energy.value, float):
        return energy
    carbon = tuple(Expected(*span) for span in inputs.carbon_kg_per_mwh)
    intensity = expected_told(carbon, stretch).value  # kg/MWh = g/kWh
    return Told(energy.value * intensity, ESTIMATED) if isinstance(intensity, float) else UNKNOWN


def _demand(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    if not descriptor.historical or descriptor.reading_type == "FORECAST":
        return _scaled(draw_told(inputs, stretch), 1e-3)
    if descriptor.reading_type != "PEAK":
        return _scaled(power_told(inputs, stretch), 1e-3)
    mean = power_told(inputs, stretch)
    within = [m.mean_w for m in inputs.power if m.end_s > stretch.start_s and m.start_s < stretch.end_s]
    peaks_w = [power_w for power_w in within if power_w is not None]
    return Told(max(peaks_w) / 1e3, mean.quality) if peaks_w and mean.value is not None else UNKNOWN


def _baseline(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    baseline = expected_told(inputs.baseline, stretch)
    return _scaled(baseline, 1e-3) if unit_of(descriptor) == KW else _energy(baseline, stretch)


def _delta_usage(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    """Usage less the baseline: negative where less was used."""
    baseline = expected_told(inputs.baseline, stretch)
    usage = power_told(inputs, stretch) if descriptor.historical else draw_told(inputs, stretch)
    if not isinstance(baseline.value, float) or not isinstance(usage.value, float):
        return UNKNOWN
    delta = Told(usage.value - baseline.value, worse(usage.quality, ESTIMATED))
    return _share(delta, baseline) if unit_of(descriptor) == PERCENT else _energy(delta, stretch)


def _setpoint(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    """The lowest limit in force at some time of the interval, kW."""
    starts_s = [event.start_s for event in inputs.limits if stretch.start_s <= event.start_s < stretch.end_s]
    limits = (limit_at(inputs.limits, inputs.standing_limit_w, time_s) for time_s in (stretch.start_s, *starts_s))
    lowest_w = min((limit_w for limit_w in limits if limit_w is not None), default=None)
    return UNKNOWN if lowest_w is None else Told(lowest_w / 1e3, OK)


def _level(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    """The highest level followed in the interval."""
    if _meets(inputs.opted_out, stretch):
        return Told(0.0, OK)
    levels = [s.level for s in inputs.levels if s.start_s < stretch.end_s and s.end_s > stretch.start_s]
    return Told(float(min(3, max((0, *levels)))), OK)


def _state(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    return Told(operating_state(inputs, stretch), OK)


def operating_state(inputs: ReportInputs, stretch: Stretch) -> str:
    """What the site did in an interval, in the words of the specification (table 4)."""
    if inputs.error is not None and stretch.end_s >= inputs.now_s:
        return "ERROR"
    power = power_told(inputs, stretch)
    is_idle = inputs.idle_w is not None and isinstance(power.value, float) and power.value <= inputs.idle_w
    way = "IDLE" if is_idle else "RUNNING"
    if inputs.disabled is not None and stretch.end_s >= inputs.now_s:
        return "SGD_ERROR_CONDITION"
    if _meets(inputs.opted_out, stretch):
        return f"{way}_OPTED_OUT"
    if _meets(((event.start_s, event.end_s) for event in inputs.limits), stretch):
        return f"{way}_CURTAILED"
    return f"{way}_NORMAL" if power.value is not None else "NORMAL"


def _shed(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    """What can be shed over the interval if it is called for now; more shed is a larger number."""
    shed_w = mean_shed_w(inputs.sheds, inputs.now_s, stretch, inputs.derates)
    if shed_w is None:
        return UNKNOWN
    mean, unit = Told(shed_w, ESTIMATED), unit_of(descriptor)
    if unit == PERCENT:
        return _share(mean, draw_told(inputs, stretch) if inputs.forecast else expected_told(inputs.baseline, stretch))
    return _energy(mean, stretch) if unit == KWH else _scaled(mean, 1e-3)


def _forecast(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    return _energy(draw_told(inputs, stretch), stretch)


def _quality(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    quality = power_told(inputs, stretch).quality
    return Told(quality, quality)


def _reservation(descriptor: ReportDescriptor, inputs: ReportInputs, stretch: Stretch) -> Told:
    return UNKNOWN if inputs.reservation_w is None else Told(inputs.reservation_w / 1e3, OK)


def _energy(power: Told, stretch: Stretch) -> Told:
    return _scaled(power, (stretch.end_s - stretch.start_s) / J_PER_KWH)


def _scaled(told: Told, factor: float) -> Told:
    return Told(told.value * factor, told.quality) if isinstance(told.value, float) else told


def _share(part: Told, whole: Told) -> Told:
    if not isinstance(part.value, float) or not isinstance(whole.value, float) or whole.value <= 0.0:
        return UNKNOWN
    return Told(max(-1.0, min(1.0, part.value / whole.value)), worse(part.quality, whole.quality))


def _meets(spans: Iterable[tuple[float, float]], stretch: Stretch) -> bool:
    return any(start_s < stretch.end_s and end_s > stretch.start_s for start_s, end_s in spans)


UNITS: Mapping[str, tuple[str, ...]] = {
    "READING": (KW,),
    "USAGE": (KWH, GHG),
    "DEMAND": (KW,),
    "BASELINE": (KWH, KW),
    "DELTA_USAGE": (KWH, PERCENT),
    "SETPOINT": (KW,),
    "SIMPLE_LEVEL": (),
    "OPERATING_STATE": (),
    "LOAD_SHED_DELTA_AVAILABLE": (KW, KWH, PERCENT),
    "USAGE_FORECAST": (KWH,),
    "DATA_QUALITY": (),
    "IMPORT_RESERVATION_CAPACITY": (KW,),
}
"""Payload types that are told, and the units that each may be asked in; the first where none is asked for."""
_VALUES: Mapping[str, Callable[[ReportDescriptor, ReportInputs, Stretch], Told]] = {
    "READING": _reading,
    "USAGE": _usage,
    "DEMAND": _demand,
    "BASELINE": _baseline,
    "DELTA_USAGE": _delta_usage,
    "SETPOINT": _setpoint,
    "SIMPLE_LEVEL": _level,
    "OPERATING_STATE": _state,
    "LOAD_SHED_DELTA_AVAILABLE": _shed,
    "USAGE_FORECAST": _forecast,
    "DATA_QUALITY": _quality,
    "IMPORT_RESERVATION_CAPACITY": _reservation,
}
