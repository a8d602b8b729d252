import dataclasses

from controller.grid.freeze import freeze
from controller.grid.kept import KeptCall, Origin, Reference
from controller.model.call import Asked
from controller.model.programme import Programme
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S

TERMS = Programme("operator")


class Told:
    """A source of references that says what it is told to."""

    def __init__(self, baseline_w=None, present_w=None, rule_w=None):
        self.baseline_w, self.present_w, self.rule_w = baseline_w, present_w, rule_w

    def by_rule(self, programme, start_s, now_s, end_s=None):
        return None if self.rule_w is None else Reference(self.rule_w, Origin.PROGRAMME)

    def baseline(self, programme, start_s, now_s, end_s=None):
        return None if self.baseline_w is None else Reference(self.baseline_w, Origin.METER_BEFORE)

    def present(self, start_s, now_s):
        return None if self.present_w is None else Reference(self.present_w, Origin.PRESENT)


def share_call(start_in_s=0.0):
    return KeptCall(call("c", interval(start_in_s, 600.0, Asked.BELOW_BASELINE_FRAC, 0.5)))


def test_before_the_start_a_baseline_is_a_guess_and_from_it_on_it_is_frozen():
    source = Told(baseline_w=100.0)
    before = freeze(share_call(60.0), TERMS, source, NOW_S)
    assert (before.references.baseline_w, before.kept.frozen.baseline, before.steps) == (100.0, None, ())
    source.baseline_w = 200.0
    at_start = freeze(before.kept, TERMS, source, NOW_S + 60)
    assert (at_start.references.baseline_w, at_start.steps) == (200.0, (Origin.METER_BEFORE,))
    source.baseline_w = 300.0
    later = freeze(at_start.kept, TERMS, source, NOW_S + 120)
    assert (later.references.baseline_w, later.steps, later.kept) == (200.0, (), at_start.kept)


def test_a_baseline_that_is_not_known_at_the_start_is_tried_again():
    source = Told()
    first = freeze(share_call(), TERMS, source, NOW_S)
    assert first.references.baseline_w is None
    source.baseline_w = 200.0
    assert freeze(first.kept, TERMS, source, NOW_S + 1).kept.frozen.baseline.value_w == 200.0


def test_an_absolute_limit_takes_the_rules_baseline_for_the_account_and_no_lesser_one():
    kept = KeptCall(call())
    assert freeze(kept, TERMS, Told(baseline_w=100.0), NOW_S).references.baseline_w is None
    assert freeze(kept, TERMS, Told(rule_w=50.0), NOW_S).references.baseline_w == 50.0


def test_each_interval_is_counted_from_the_draw_of_its_own_start():
    ask = (Asked.BELOW_PRESENT_W, 10.0)
    kept = KeptCall(call("c", interval(0.0, 60.0, *ask), interval(60.0, 60.0, *ask)))
    source = Told(present_w=100.0)
    first = freeze(kept, TERMS, source, NOW_S)
    assert [(d.start_s - NOW_S, d.value_w) for d in first.kept.frozen.present] == [(0.0, 100.0)]
    assert dict(first.references.present_w) == {NOW_S: 100.0, NOW_S + 60: 100.0}
    source.present_w = 80.0
    second = freeze(first.kept, TERMS, source, NOW_S + 60)
    assert dict(second.references.present_w) == {NOW_S: 100.0, NOW_S + 60: 80.0}
    assert second.steps == (Origin.PRESENT,)


def test_what_is_over_is_not_frozen_any_more():
    kept = dataclasses.replace(share_call(), cancelled_s=NOW_S)
    assert freeze(kept, TERMS, Told(baseline_w=100.0), NOW_S + 1).kept == kept
