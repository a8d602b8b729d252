from controller.signals.gone import MAX_GONE, Gone, GoneCalls
from tests.fakes.calls import call
from tests.fakes.controller_parts import NOW_S


def of(modified_s, call_id="c1"):
    return call(call_id, source="vtn", modified_s=modified_s)


def test_what_was_taken_back_bars_the_same_message_and_older_ones():
    gone = GoneCalls()
    gone.add(Gone("vtn", "c1", NOW_S))
    assert [gone.bars(of(NOW_S + t)) for t in (-1, 0, 1)] == [True, True, False]
    gone.add(Gone("vtn", "c1", NOW_S - 5))
    assert gone.bars(of(NOW_S))
    gone.forget(("vtn", "c1"))
    assert not gone.bars(of(NOW_S))


def test_what_ended_by_its_time_bars_older_messages_alone():
    gone = GoneCalls()
    gone.add(Gone("vtn", "c1", NOW_S, is_cancelled=False))
    assert [gone.bars(of(NOW_S + t)) for t in (-1, 0)] == [True, False]


def test_a_source_that_takes_much_back_pushes_no_other_out():
    gone = GoneCalls()
    gone.add(Gone("quiet", "c1", NOW_S))
    for n in range(2 * MAX_GONE):
        gone.add(Gone("vtn", f"c{n}", NOW_S))
    kept = gone.kept()
    assert len(kept) == MAX_GONE
    assert kept[0] == Gone("quiet", "c1", NOW_S)
    again = GoneCalls()
    again.resume(kept)
    assert again.kept() == kept
