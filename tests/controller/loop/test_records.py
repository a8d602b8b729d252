from controller.errors import ActuationError
from controller.loop.faults import Faults
from controller.loop.records import Records
from tests.fakes.controller_parts import NOW_S, ListRecorder, observation, site
from tests.fakes.loop_parts import Account

SITE = site()


class Written:
    def __init__(self, desk=None):
        self.counted, self.recorder = [], ListRecorder()
        self.faults = Faults(self.counted.append, lambda: NOW_S)
        self.records = Records(self.recorder, desk, self.faults, lambda: NOW_S + 9.0)


async def test_what_cannot_be_written_is_a_fault_until_something_is_written_again():
    written = Written()
    written.recorder.is_failing = True
    await written.records.write("sample", NOW_S, {"power_w": 1.0})
    await written.records.write("sample", NOW_S, {"power_w": 1.0})
    assert [(fault.step, fault.reason) for fault in written.faults.in_force] == [
        ("record", "StoreError: the disk is full")
    ]
    assert written.counted == ["record", "record"]
    written.recorder.is_failing = False
    await written.records.write("sample", NOW_S, {"power_w": 2.0})
    assert written.faults.in_force == ()
    assert written.recorder.kept == [("sample", NOW_S, {"power_w": 2.0})]


async def test_settlements_are_recorded_with_the_curves_in_force_and_the_last_one_at_the_end():
    desk = Account(nothing_at=(2,))
    written = Written(desk)
    for in_force in (None, SITE, SITE):
        await written.records.book(observation(), in_force)
    await written.records.close()
    assert desk.sites == [None, SITE, SITE]
    # The second look settled nothing; the one at the end is dated by the clock.
    assert written.recorder.kept == [
        ("energy", NOW_S, {"look": 1}),
        ("energy", NOW_S, {"look": 3}),
        ("energy", NOW_S + 9.0, {"look": "last"}),
    ]
    assert written.records.j_per_output_token["bf16"] == {"standard": 4.5}


async def test_an_account_that_fails_is_a_fault_until_it_books_on():
    desk = Account(ActuationError("redis", "gone"), fails_at_the_end=True)
    written = Written(desk)
    await written.records.book(observation(), SITE)
    await written.records.close()
    assert [fault.step for fault in written.faults.in_force] == ["energy"]
    assert written.counted == ["energy", "energy"]
    desk.failure = None
    await written.records.book(observation(), SITE)
    assert written.faults.in_force == ()


async def test_without_an_account_nothing_is_booked():
    written = Written()
    await written.records.book(observation(), SITE)
    await written.records.close()
    assert written.recorder.kept == []
    assert written.records.j_per_output_token == {}
