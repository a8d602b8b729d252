from controller.evidence.spans import AFTER_S, BEFORE_S, STANDING_S, closed, seen
from controller.model.grid import FOREVER_S
from controller.store.plain import to_plain
from tests.fakes.played_event import LENGTH_S, START_S, event, span

NAME = "openadr:vtn evening"


def look(spans, now_s, *events):
    return seen(spans, [to_plain(each) for each in events], now_s)


def only(spans):
    """The only span of the call."""
    [span] = [span for span in spans.values() if span.subject == NAME]
    return span


def test_the_intervals_of_a_call_are_one_span():
    later = event(event_id="evening#1", start_s=START_S + 700, end_s=START_S + 800)
    spans = look({}, START_S, event(event_id="evening#0"), later)
    assert only(spans) == span(end_s=START_S + 800)


def test_it_is_near_from_before_its_start_until_after_its_end():
    near = [span().is_near(time_s) for time_s in (START_S - BEFORE_S - 1, START_S - BEFORE_S, START_S + LENGTH_S)]
    assert near == [False, True, True]
    assert not span().is_near(START_S + LENGTH_S + AFTER_S)


def test_what_vanishes_while_it_is_in_force_ended_then_and_is_closed_an_hour_later():
    spans = look({}, START_S, event())
    cut = look(spans, START_S + 10)
    assert only(cut) == span(end_s=START_S + 10, is_over=True)
    assert look(cut, START_S + 9 + AFTER_S) == cut
    gone = look(cut, START_S + 10 + AFTER_S)
    assert gone == {}
    assert closed(cut, gone) == (only(cut),)


def test_another_of_the_same_id_begins_a_span_of_its_own():
    spans = look({}, START_S, event())
    again_s = START_S + LENGTH_S + 1800.0
    again = event(start_s=again_s, end_s=again_s + 60.0)
    both = look(spans, START_S + LENGTH_S + 5, again)
    former, later = span(is_over=True), span(start_s=again_s, end_s=again_s + 60.0)
    assert sorted(both.values(), key=lambda each: each.start_s) == [former, later]
    assert look(both, START_S + LENGTH_S + 10, again) == both
    after = look(both, START_S + LENGTH_S + AFTER_S, again)
    assert closed(both, after) == (former,), "it is recorded to its own end"
    assert list(after.values()) == [later]
    assert only(look(spans, START_S + LENGTH_S - 5, again)).start_s == START_S, "the same call, which was prolonged"


def test_what_never_began_is_forgotten_and_never_closed():
    spans = look({}, START_S - 100, event())
    gone = look(spans, START_S - 90)
    assert gone == {}
    assert closed(spans, gone) == ()


def test_what_comes_back_goes_on():
    cut = look(look({}, START_S, event()), START_S + 10)
    assert only(look(cut, START_S + 20, event())) == span()


def test_a_limit_without_an_end_becomes_a_standing_one():
    standing = only(look({}, START_S, event(end_s=FOREVER_S)))
    assert not standing.is_standing(START_S + STANDING_S - 1)
    assert standing.is_standing(START_S + STANDING_S)
