import dataclasses
import random

from controller.grid.easing import Easing
from controller.grid.kept import Frozen, KeptCall, Origin, Reference
from controller.grid.taking import taken
from controller.model.programme import Programme
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S

TERMS = Programme("dr", restore_random_s=300.0)
FROZEN = Frozen(Reference(9000.0, Origin.PROGRAMME), NOW_S)


def test_chance_is_drawn_once_and_a_change_keeps_it():
    asked = call("c", interval(60.0), randomize_s=600.0)
    first = taken(asked, None, TERMS, random.Random(1), NOW_S)
    assert 0.0 < first.offset_s < 600.0
    again = taken(dataclasses.replace(asked, modified_s=NOW_S + 1), first, TERMS, random.Random(2), NOW_S + 1)
    assert (again.offset_s, again.call.start_s) == (first.offset_s, first.call.start_s)
    over = dataclasses.replace(first, cancelled_s=NOW_S + 1)
    assert taken(asked, over, TERMS, random.Random(2), NOW_S + 2).offset_s != first.offset_s


def test_a_change_of_what_has_begun_keeps_what_is_frozen_and_the_courses_of_the_clock():
    of = {"source": "vtn", "programme": "dr"}
    before = KeptCall(call("c", interval(0.0, 600.0), **of), frozen=FROZEN, courses_s=(-60.0,), opted_out_s=NOW_S + 3)
    longer = taken(call("c", interval(0.0, 900.0), **of), before, TERMS, random.Random(1), NOW_S + 5)
    assert (longer.frozen, longer.courses_s, longer.opted_out_s) == (FROZEN, (-60.0,), NOW_S + 3)
    own = dataclasses.replace(before, call=call("c", interval(0.0, 600.0)))
    assert taken(call("c", interval(0.0, 900.0)), own, TERMS, random.Random(1), NOW_S + 5).courses_s == ()
    later = taken(call("c", interval(300.0, 900.0), **of), before, TERMS, random.Random(1), NOW_S + 5)
    assert later.frozen == Frozen()


def test_the_return_is_drawn_once_where_the_programme_leaves_it_to_chance():
    first = taken(call("c"), None, TERMS, random.Random(1), NOW_S)
    assert 0.0 < first.restore_frac < 1.0
    again = taken(call("c", modified_s=NOW_S + 1), first, TERMS, random.Random(2), NOW_S + 1)
    assert again.restore_frac == first.restore_frac
    assert taken(call("c"), None, Programme("dr"), random.Random(1), NOW_S).restore_frac == 0.0


def test_a_change_is_followed_as_far_as_the_call_was():
    easings = (Easing(8000.0, "a launch", NOW_S),)
    before = KeptCall(call("c"), easings=easings)
    assert taken(call("c", modified_s=NOW_S + 1), before, TERMS, random.Random(1), NOW_S + 1).easings == easings
    over = dataclasses.replace(before, cancelled_s=NOW_S + 1)
    assert taken(call("c", modified_s=NOW_S + 2), over, TERMS, random.Random(1), NOW_S + 2).easings == ()
