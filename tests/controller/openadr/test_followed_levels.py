import pytest

from controller.model.call import Asked, Commitment
from controller.model.programme import Programme
from controller.openadr.followed_levels import followed_levels
from controller.openadr.report_inputs import LevelSpan
from controller.signals.calls import CallBook
from controller.signals.references import References
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder

LEVELS = tuple((n + 1, Commitment(Asked.BELOW_BASELINE_FRAC, frac)) for n, frac in enumerate((0.1, 0.5, 0.8)))
TERMS = Programme("operator", levels=LEVELS)


@pytest.fixture
def book():
    references = References()
    references.take(NOW_S - 1, 20_000.0)
    book = CallBook(ListRecorder(), {"operator": TERMS}, references)
    book.submit(call("level", interval(asked=Asked.LEVEL, value=3)), NOW_S)
    book.calls(NOW_S)
    return book


def levels(book, now_s, programme=TERMS):
    (view,) = book.calls(now_s)
    return followed_levels(view, programme)


def test_a_level_that_is_followed_is_told_until_it_was_cancelled(book):
    assert levels(book, NOW_S + 1) == (LevelSpan(NOW_S, NOW_S + 600, 3),)
    book.cancel("operator", "level", NOW_S + 60)
    assert levels(book, NOW_S + 61) == (LevelSpan(NOW_S, NOW_S + 60, 3),)


@pytest.mark.parametrize(("floor_w", "level"), [(10_000.0, 2), (10_500.0, 1), (18_000.0, 1), (19_000.0, 0)])
def test_in_part_it_is_the_highest_level_that_is_kept_in_full(book, floor_w, level):
    book.follow_in_part("operator", "level", floor_w, "a launch", NOW_S + 60)
    assert levels(book, NOW_S + 61) == (
        LevelSpan(NOW_S, NOW_S + 60, 3),
        LevelSpan(NOW_S + 60, NOW_S + 600, level),
    )


def test_of_unknown_terms_it_is_what_was_asked_for(book):
    book.follow_in_part("operator", "level", 19_000.0, "a launch", NOW_S + 60)
    assert {span.level for span in levels(book, NOW_S + 61, None)} == {3}


def test_what_cannot_be_followed_is_told_as_it_was_asked_for(book):
    book.submit(call("level", interval(asked=Asked.LEVEL, value=9), modified_s=NOW_S + 1), NOW_S + 1)
    assert levels(book, NOW_S + 2) == (LevelSpan(NOW_S, NOW_S + 600, 9),)


def test_lower_levels_that_cannot_be_told_are_not_claimed(book):
    capped = Programme("operator", levels=(*LEVELS[:2], (3, Commitment(Asked.AT_MOST_W, 4000.0))))
    without = CallBook(ListRecorder(), {"operator": capped})
    without.submit(call("level", interval(asked=Asked.LEVEL, value=3)), NOW_S)
    without.follow_in_part("operator", "level", 5000.0, "a launch", NOW_S + 60)
    assert levels(without, NOW_S + 61, capped)[-1].level == 0
