from dataclasses import replace

import pytest

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.openadr.descriptors import Stretch
from controller.openadr.messages import ReportDescriptor
from controller.openadr.report_inputs import Expected, LevelSpan, ReportInputs, Shed, Standing
from controller.openadr.report_values import UNITS, Told, operating_state, power_told, unit_of, value_of, worse

HOUR = 3600.0
STRETCH = Stretch(0.0, HOUR, 0)


def metered(*powers_w: float | None, quality: Quality = Quality.DIRECT) -> tuple[Mean, ...]:
    step_s = HOUR / len(powers_w)
    return tuple(
        Mean(n * step_s, (n + 1) * step_s, w, None if w is None else quality, 0.0 if w is None else 1.0)
        for n, w in enumerate(powers_w)
    )


INPUTS = ReportInputs(
    now_s=HOUR,
    power=metered(40e3, 60e3),
    baseline=(Expected(0.0, 2 * HOUR, 80e3),),
    forecast=(Expected(HOUR, 5 * HOUR, 70e3),),
    standings=(Standing("openadr:utility", "e1", (GridEvent("e", 55e3, 600.0, 1200.0, 0.0),)),),
    standing_limit_w=90e3,
    levels=(LevelSpan(600.0, 1200.0, 2),),
    sheds=(Shed(0.0, 10e3, 1800.0), Shed(600.0, 25e3, None)),
    carbon_kg_per_mwh=((0.0, HOUR, 400.0),),
    reservation_w=12e3,
)


def told(kind: str, inputs: ReportInputs = INPUTS, stretch: Stretch = STRETCH, **asked: object) -> Told:
    return value_of(ReportDescriptor(kind, **asked), inputs, stretch)


def test_each_payload_type_in_its_own_unit() -> None:
    assert told("USAGE") == Told(50.0, "OK")
    assert told("USAGE", units="GHG") == Told(50.0 * 400.0, "ESTIMATED")
    assert told("READING") == Told(60.0, "OK")
    assert told("DEMAND") == Told(50.0, "OK")
    assert told("DEMAND", reading_type="PEAK") == Told(60.0, "OK")
    assert told("BASELINE") == Told(80.0, "ESTIMATED")
    assert told("BASELINE", units="KW") == Told(80.0, "ESTIMATED")
    assert told("DELTA_USAGE") == Told(-30.0, "ESTIMATED")
    assert told("DELTA_USAGE", units="PERCENT") == Told(-30 / 80, "ESTIMATED")
    assert told("SETPOINT") == Told(55.0, "OK")
    assert told("SIMPLE_LEVEL") == Told(2.0, "OK")
    assert told("OPERATING_STATE") == Told("RUNNING_CURTAILED", "OK")
    assert told("DATA_QUALITY") == Told("OK", "OK")
    assert told("IMPORT_RESERVATION_CAPACITY") == Told(12.0, "OK")


def test_energy_of_half_an_hour_is_half_the_power() -> None:
    half = Stretch(0.0, 1800.0, 0)
    assert told("USAGE", stretch=half) == Told(20.0, "OK")
    assert told("BASELINE", stretch=half, units="KW").value == 80.0
    assert told("BASELINE", stretch=half, units="KWH").value == 40.0


def test_what_is_to_come_is_told_from_the_forecast() -> None:
    ahead = Stretch(HOUR, 3 * HOUR, 0)
    assert told("USAGE_FORECAST", stretch=ahead) == Told(140.0, "ESTIMATED")
    assert told("USAGE", stretch=ahead, historical=False) == Told(140.0, "ESTIMATED")
    assert told("DEMAND", stretch=ahead, reading_type="FORECAST") == Told(70.0, "ESTIMATED")
    assert told("USAGE_FORECAST", stretch=Stretch(4 * HOUR, 6 * HOUR, 0)).value is None


@pytest.mark.parametrize(
    ("begins_s", "now_s", "mean_w"),
    [
        (0.0, 12.0, 65e3),
        (9.0, 12.0, 65e3 + 9.0 * 10e3 / 300.0),  # until the plan begins its first step counts
        (60.0, 70.0, 65e3 + 60.0 * 10e3 / 300.0),
        (61.0, 70.0, None),  # it is no plan of this interval
        (9.0, 8.0, None),  # it is a plan of later
    ],
)
def test_an_interval_that_has_just_begun_is_told_from_the_plan_made_since(begins_s, now_s, mean_w) -> None:
    steps = (Expected(begins_s, begins_s + 150.0, 70e3), Expected(begins_s + 150.0, 600.0, 60e3))
    inputs, stretch = ReportInputs(now_s, forecast=steps, sheds=(Shed(0.0, 10e3, None),)), Stretch(0.0, 300.0, 0)
    kw = None if mean_w is None else pytest.approx(mean_w / 1e3)
    assert told("DEMAND", inputs, stretch, historical=False).value == kw
    assert told("DEMAND", inputs, stretch, reading_type="FORECAST").value == kw
    kwh = None if mean_w is None else pytest.approx(mean_w / 1e3 / 12.0)
    assert told("USAGE_FORECAST", inputs, stretch).value == kwh
    assert told("USAGE", inputs, stretch, historical=False).value == kwh
    assert (told("LOAD_SHED_DELTA_AVAILABLE", inputs, stretch, units="PERCENT").value is None) is (mean_w is None)


def test_what_can_be_shed_hangs_on_notice_and_length() -> None:
    at_once, later = Stretch(HOUR, 2 * HOUR, 0), Stretch(HOUR + 900.0, 2 * HOUR + 900.0, 0)
    assert told("LOAD_SHED_DELTA_AVAILABLE", stretch=at_once).value == 22.5  # 10 kW for ten minutes, then 25
    assert told("LOAD_SHED_DELTA_AVAILABLE").value is None  # what is over can be shed no more
    assert told("LOAD_SHED_DELTA_AVAILABLE", stretch=later).value == 25.0
    assert told("LOAD_SHED_DELTA_AVAILABLE", stretch=later, units="KWH").value == 25.0
    assert told("LOAD_SHED_DELTA_AVAILABLE", stretch=later, units="PERCENT").value == pytest.approx(25 / 70)
    assert told("LOAD_SHED_DELTA_AVAILABLE", replace(INPUTS, sheds=()), stretch=later) == Told(None, "MISSING")


@pytest.mark.parametrize("kind", sorted(set(UNITS) - {"SIMPLE_LEVEL", "OPERATING_STATE", "DATA_QUALITY"}))
def test_missing_is_not_zero(kind: str) -> None:
    assert told(kind, ReportInputs(HOUR)) == Told(None, "MISSING")


def test_a_part_that_was_not_measured_makes_an_estimate_and_most_of_it_none() -> None:
    assert told("USAGE", replace(INPUTS, power=metered(40e3, 40e3, 40e3, None))) == Told(40.0, "ESTIMATED")
    assert told("USAGE", replace(INPUTS, power=metered(40e3, None, None))) == Told(None, "MISSING")
    assert told("DEMAND", replace(INPUTS, power=metered(40e3, None, None)), reading_type="PEAK").value is None
    assert told("DATA_QUALITY", replace(INPUTS, power=())).value == "MISSING"


def test_every_value_says_how_far_it_is_to_be_trusted() -> None:
    assert told("USAGE", replace(INPUTS, power=metered(1e3, quality=Quality.ESTIMATED))).quality == "ESTIMATED"
    assert told("USAGE", replace(INPUTS, power=metered(1e3, quality=Quality.EMULATED))).quality == "BAD"
    mixed = (*metered(1e3, 1e3)[:1], *metered(1e3, 1e3, quality=Quality.ESTIMATED)[1:])
    assert power_told(replace(INPUTS, power=mixed), STRETCH).quality == "ESTIMATED"
    assert worse("BAD", "ESTIMATED") == "BAD"


def test_the_operating_state_says_what_is_done() -> None:
    quiet = replace(INPUTS, standings=())
    assert operating_state(quiet, STRETCH) == "RUNNING_NORMAL"
    assert operating_state(replace(quiet, power=()), STRETCH) == "NORMAL"
    opted_out = replace(INPUTS, standings=(Standing("openadr:utility", "e1", opted_out=(0.0, HOUR)),))
    assert operating_state(opted_out, STRETCH) == "RUNNING_OPTED_OUT"
    assert operating_state(replace(opted_out, idle_w=60e3), STRETCH) == "IDLE_OPTED_OUT"
    assert operating_state(replace(INPUTS, idle_w=60e3), STRETCH) == "IDLE_CURTAILED"
    assert operating_state(replace(INPUTS, error="no router"), STRETCH) == "ERROR"
    assert operating_state(replace(INPUTS, error="no router", now_s=9 * HOUR), STRETCH) == "RUNNING_CURTAILED"
    assert operating_state(replace(quiet, idle_w=60e3), STRETCH) == "IDLE_NORMAL"
    assert operating_state(replace(quiet, idle_w=49e3), STRETCH) == "RUNNING_NORMAL"
    assert operating_state(replace(quiet, idle_w=60e3, power=()), STRETCH) == "NORMAL"
    assert operating_state(replace(INPUTS, disabled="mode is observe"), STRETCH) == "SGD_ERROR_CONDITION"
    assert operating_state(replace(INPUTS, disabled="mode is observe", error="no router"), STRETCH) == "ERROR"
    assert operating_state(replace(INPUTS, disabled="x", now_s=9 * HOUR), STRETCH) == "RUNNING_CURTAILED"
    assert told("SIMPLE_LEVEL", opted_out).value == 0.0


def test_the_unit_asked_for_is_kept_where_it_is_one() -> None:
    assert unit_of(ReportDescriptor("USAGE")) == "KWH"
    assert unit_of(ReportDescriptor("USAGE", units="GHG")) == "GHG"
    assert unit_of(ReportDescriptor("OPERATING_STATE", units="KW")) is None
