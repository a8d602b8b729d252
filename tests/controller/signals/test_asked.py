import pytest

from controller.model.call import Asked as AskedFor
from controller.model.call import Call, CallInterval, CallState, Commitment
from controller.model.derate import Derate
from controller.model.observation import Barred
from controller.signals.asked import Asked, adopt, asked_of
from controller.signals.calls import CallBook
from controller.signals.derates import DerateBook
from controller.store.plain import from_plain, to_plain
from tests.fakes.controller_parts import NOW_S, ListRecorder


class Quality:
    """Bars alone."""

    def __init__(self, *names):
        self.bars = tuple(Barred(name, True, "operator", "wrong", NOW_S) for name in names)

    def barred(self, now_s):
        return self.bars

    def adopt(self, barred, now_s):
        self.bars = barred


class Side:
    """One controller's book, with what is recorded of it."""

    def __init__(self, *barred):
        self.recorder = ListRecorder()
        self.book, self.quality = CallBook(self.recorder), Quality(*barred)
        self.derates = DerateBook(self.recorder)

    def call(self, call_id, *, at_s=NOW_S, source="operator"):
        asked = CallInterval(at_s, at_s + 3600, Commitment(AskedFor.AT_MOST_W, 5000.0))
        return self.book.submit(Call(call_id, source, "operator", at_s, at_s, (asked,)), at_s)

    def leaves(self, now_s=NOW_S + 1):
        """As the other side reads it."""
        return from_plain(Asked, to_plain(asked_of(self.book, self.quality, self.derates, now_s)))

    def states(self, now_s=NOW_S + 10):
        return {view.call.call_id: view.state for view in self.book.calls(now_s)}


@pytest.fixture
def a():
    return Side()


@pytest.fixture
def b():
    return Side()


def take(side, asked, *, now_s=NOW_S + 5, leads=False):
    return adopt(asked, side.book, side.quality, side.derates, now_s, leads=leads)


def test_a_call_of_the_leader_is_in_force_on_the_next_one_and_outlasts_its_process(a, b):
    a.call("evening")
    assert take(b, a.leaves()) == 1
    (event,) = b.book.current(NOW_S + 10)
    assert (event.event_id, event.limit_w) == ("evening", 5000.0)
    again = CallBook(ListRecorder())
    again.restore(b.recorder.of("call"), NOW_S + 10)
    assert [view.call.call_id for view in again.calls(NOW_S + 10)] == ["evening"]


def test_what_is_known_already_is_not_recorded_again(a, b):
    a.call("evening")
    take(b, a.leaves())
    written = len(b.recorder.of("call"))
    assert take(b, a.leaves(NOW_S + 2)) == 0
    assert len(b.recorder.of("call")) == written


def test_a_call_that_was_cancelled_is_cancelled_there_too(a, b):
    a.call("evening")
    take(b, a.leaves())
    a.book.cancel("operator", "evening", NOW_S + 2)
    take(b, a.leaves(NOW_S + 3))
    assert b.states() == {"evening": CallState.CANCELLED}


def test_a_call_from_an_earlier_lead_that_nobody_holds_any_more_is_let_go(a, b):
    b.call("stale", at_s=NOW_S - 100)
    a.call("evening")
    assert take(b, a.leaves()) == 2
    assert b.states() == {"stale": CallState.CANCELLED, "evening": CallState.ACTIVE}


def test_a_call_that_came_after_the_leader_wrote_stays(a, b):
    left = a.leaves(NOW_S - 1)
    b.call("late")
    assert take(b, left) == 0
    assert b.states() == {"late": CallState.ACTIVE}


def test_bars_of_the_leader_hold_in_place_of_ours(b):
    take(b, Side("fp8").leaves())
    assert [bar.name for bar in b.quality.bars] == ["fp8"]
    take(b, Side().leaves())
    assert b.quality.bars == ()


def test_the_silence_of_a_source_counts_on_once_this_controller_leads(a, b):
    a.book.watch("vtn", ("operator",), NOW_S - 500)
    a.book.heard("vtn", NOW_S - 400)
    b.book.watch("vtn", ("operator",), NOW_S)
    take(b, a.leaves())
    assert b.book.sources(NOW_S + 5)[0].silent_s == pytest.approx(5.0)
    take(b, a.leaves(), leads=True)
    assert b.book.sources(NOW_S + 5)[0].silent_s == pytest.approx(405.0)


def test_derates_go_along(a, b):
    derate = Derate("fans", 500.0, NOW_S, NOW_S + 3600.0, "a fan is out", NOW_S)
    a.derates.add(derate, NOW_S)
    take(b, a.leaves())
    assert b.derates.current(NOW_S + 5) == (derate,)
