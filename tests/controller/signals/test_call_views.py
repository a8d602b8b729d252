import dataclasses
import logging

from controller.grid.kept import KeptCall, Origin
from controller.model.call import Asked, CallState
from controller.model.programme import Programme
from controller.signals.call_views import CallViews
from controller.signals.references import References
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S

HALF = (Asked.BELOW_BASELINE_FRAC, 0.5)


def views(drawn_w=10_000.0, **terms):
    references = References()
    if drawn_w is not None:
        references.take(NOW_S - 1, drawn_w)
    return CallViews({"operator": Programme("operator", **terms)}, references)


def test_a_view_has_the_limits_and_the_state():
    told = views()
    kept, view, _ = told.see(KeptCall(call("c", interval(50.0, 600.0, *HALF))), NOW_S)
    assert (view.state, [event.limit_w for event in view.events], view.frozen.baseline) == (
        CallState.PENDING,
        [5000.0],
        None,
    )
    kept, view, _ = told.see(kept, NOW_S + 49)
    frozen, view, resolved = told.see(kept, NOW_S + 50)
    assert frozen is not kept
    assert (view.frozen.baseline.origin, resolved.events[0].baseline_w) == (Origin.PRESENT, 10_000.0)


def test_what_did_not_change_is_not_worked_out_again():
    told = views()
    kept, _, first = told.see(KeptCall(call("c", interval(0.0, 600.0, *HALF))), NOW_S)
    again, _, second = told.see(kept, NOW_S + 1)
    assert again is kept
    assert told.see(kept, NOW_S + 2)[2] is second
    other = dataclasses.replace(kept, opted_out_s=NOW_S + 2)
    assert told.see(other, NOW_S + 3)[2].events != first.events
    told.forget([kept.key])
    assert told.see(kept, NOW_S + 4)[2] == second


def test_a_reference_that_is_not_the_rules_is_a_warning_and_counted(caplog):
    caplog.set_level(logging.INFO)
    told = views()
    told.see(KeptCall(call("c", interval(0.0, 600.0, *HALF))), NOW_S)
    (record,) = caplog.records
    assert (record.levelname, record.origins, record.baseline_w) == ("WARNING", ["present"], 10_000.0)
    assert told.steps == {"present": 1}


def test_a_present_draw_that_was_asked_for_is_no_step_down(caplog):
    caplog.set_level(logging.INFO)
    views().see(KeptCall(call("c", interval(0.0, 600.0, Asked.BELOW_PRESENT_W, 100.0))), NOW_S)
    assert [r.levelname for r in caplog.records] == ["INFO"]


def test_a_limit_that_was_raised_to_the_least_is_told_once(caplog):
    told = views(least_w=6000.0)
    kept, view, _ = told.see(KeptCall(call("c", interval(0.0, 600.0, *HALF))), NOW_S)
    told.see(kept, NOW_S + 1)
    assert (view.clipped, view.events[0].limit_w) == (("c",), 6000.0)
    assert sum("raised to the least" in r.message for r in caplog.records) == 1
