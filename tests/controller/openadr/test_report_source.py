import pytest

from controller.model.call import Asked
from controller.model.derate import Derate
from controller.model.grid import Series
from controller.model.meter import Mean
from controller.model.observation import Missing
from controller.model.programme import BaselineMethod, Programme
from controller.openadr.descriptors import Stretch
from controller.openadr.messages import ReportDescriptor
from controller.openadr.report_inputs import Expected, LevelSpan, Shed
from controller.openadr.report_source import Known, LiveSource
from controller.openadr.report_values import operating_state, value_of
from controller.settlement.baseline_profile import Baseline, BaselineInterval
from controller.signals.calls import CallBook
from controller.signals.references import References
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder


@pytest.fixture
def book():
    references = References()
    references.take(NOW_S - 1, 20_000.0)
    return CallBook(ListRecorder(), {"operator": Programme("operator")}, references)


def test_calls_become_limits_levels_and_opt_outs(book):
    book.submit(call("cap"), NOW_S)
    book.submit(call("level", interval(asked=Asked.LEVEL, value=2)), NOW_S)
    inputs = LiveSource(Known(book, standing_limit_w=50e3)).present(NOW_S + 1)
    assert [event.limit_w for event in inputs.limits] == [9000.0]
    assert inputs.levels == (LevelSpan(NOW_S, NOW_S + 600, 2),)
    assert inputs.standing_limit_w == 50e3
    assert inputs.opted_out == ()
    book.opt_out("operator", "cap", "works", NOW_S + 2)
    assert LiveSource(Known(book)).present(NOW_S + 3).opted_out == ((NOW_S + 2, NOW_S + 600),)
    book.opt_in("operator", "cap", NOW_S + 4)
    assert LiveSource(Known(book)).present(NOW_S + 5).opted_out == ()


def test_what_a_service_does_not_know_is_absent(book):
    source = LiveSource(Known(book, carbon=lambda now_s: Missing("carbon", "none", now_s)))
    inputs = source.measured(source.present(NOW_S), ("openadr:v", "e1", "dr"), (NOW_S - 60, NOW_S))
    assert (inputs.power, inputs.baseline, inputs.sheds, inputs.carbon_kg_per_mwh) == ((), (), (), ())


def test_readings_are_asked_for_up_to_now_in_steps_that_fit(book):
    asked = []

    def means(from_s, until_s, step_s):
        asked.append((from_s - NOW_S, until_s - NOW_S, step_s))
        return (Mean(from_s, until_s, 1.0, None, 1.0),)

    source = LiveSource(Known(book, means=means))
    present = source.present(NOW_S)
    source.measured(present, ("s", "e", "p"), (NOW_S - 300, NOW_S))
    source.measured(present, ("s", "e", "p"), (NOW_S - 7200, NOW_S + 7200))
    source.measured(present, ("s", "e", "p"), (NOW_S + 60, NOW_S + 120))
    assert asked == [(-300, 0, 5.0), (-7200, 0, 60.0)]


class Frozen:
    def __init__(self, kept):
        self.kept = kept

    def frozen(self, key):
        return self._profile(30e3) if key == self.kept else None

    def baseline(self, programme, start_s, end_s, now_s):
        return self._profile(40e3)

    @staticmethod
    def _profile(power_w):
        intervals = (BaselineInterval(0.0, 300.0, power_w), BaselineInterval(300.0, 600.0, None))
        method = BaselineMethod.HOUR_BEFORE
        return Baseline(method, method, "", intervals, power_w, None)


def test_the_baseline_of_an_event_is_the_one_that_was_frozen(book):
    known = Known(book, baselines=Frozen("openadr:v e1"), programmes={"dr": Programme("dr")})
    source = LiveSource(known)
    present = source.present(NOW_S)

    def baseline(*event):
        return source.measured(present, event, (0.0, 600.0)).baseline

    assert baseline("openadr:v", "e1", "dr") == (Expected(0.0, 300.0, 30e3),)
    assert baseline("openadr:v", "e2", "dr") == (Expected(0.0, 300.0, 40e3),)
    assert baseline("openadr:v", "e2", "gone") == ()


def test_capability_forecast_and_carbon_pass_through(book):
    series = Series((0.0, 10.0), (1.0, 2.0), 20.0, "kg_per_mwh", "grid")
    shed, ahead = Shed(0.0, 5e3, 60.0), Expected(0.0, 1.0, 2.0)
    known = Known(book, sheds=lambda now_s: (shed,), forecast=lambda now_s: (ahead,), carbon=lambda now_s: series)
    inputs = LiveSource(known).present(NOW_S)
    assert (inputs.sheds, inputs.forecast) == ((shed,), (ahead,))
    assert inputs.carbon_kg_per_mwh == ((0.0, 10.0, 1.0), (10.0, 20.0, 2.0))


def test_a_call_followed_in_part_is_told_as_it_held_at_each_time(book):
    book.submit(call("cap"), NOW_S)
    book.follow_in_part("operator", "cap", 12_000.0, "works", NOW_S + 60)
    inputs = LiveSource(Known(book)).present(NOW_S + 61)
    told = [(event.start_s - NOW_S, event.end_s - NOW_S, event.limit_w) for event in inputs.limits]
    assert told == [(0.0, 60.0, 9000.0), (60.0, 600.0, 12_000.0)]
    assert inputs.opted_out == ()
    setpoint = ReportDescriptor("SETPOINT")
    stretches = [Stretch(NOW_S + at_s, NOW_S + at_s + 30.0, 0) for at_s in (0.0, 60.0)]
    assert [value_of(setpoint, inputs, each).value for each in stretches] == [9.0, 12.0]
    assert operating_state(inputs, stretches[1]) == "RUNNING_CURTAILED"


def test_what_is_offered_at_most_goes_with_what_can_be_shed(book):
    derate = Derate("fans", 500.0, NOW_S, NOW_S + 3600.0, "a fan is out", NOW_S)
    known = Known(book, sheds=lambda now_s: (Shed(30.0, 2000.0),), derates=lambda now_s: (derate,))
    inputs = LiveSource(known).present(NOW_S)
    told = value_of(ReportDescriptor("LOAD_SHED_DELTA_AVAILABLE"), inputs, Stretch(NOW_S + 60, NOW_S + 660, 0))
    assert told.value == 0.5
