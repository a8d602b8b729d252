import random

import pytest

from controller.errors import StoreError
from controller.evidence.flow import Flow
from controller.evidence.read import Kept, read_event
from controller.evidence.series import Sample, pack
from controller.evidence.service import ServiceMinute
from controller.store.ledger import Ledger
from tests.fakes.played_event import START_S, Player, event, flowing, played


def test_samples_decisions_and_minutes_pass_by(tmp_path):
    path = played(tmp_path)
    samples = flowing(path, "evening", Sample)
    assert [sample.time_s for sample in samples][:2] == [START_S - 60.0, START_S - 59.0]
    assert len(samples) > 900
    assert flowing(path, "evening", Kept)[0].kind == "tick"
    assert flowing(path, "evening", ServiceMinute)[0].classes["premium"].requests > 0


def of(tmp_path, *rows):
    """An event's evidence with rows of samples at these times after its start besides."""
    player = Player(tmp_path)
    player.play(START_S + 10, event())
    player.close()
    ledger = Ledger(player.path)
    for row in rows:
        samples = tuple(Sample(START_S + at_s, power_w, "direct", None) for at_s, power_w in row)
        ledger.record("series", START_S + 10, {"samples": pack(samples)})
    ledger.close()
    return player.path


def test_samples_come_in_order_of_time_however_rows_overlap_and_the_later_of_two_counts(tmp_path):
    told = [(20.0 + n, 1.0) for n in range(100)]
    random.Random(1).shuffle(told)
    rows = [told[n : n + 7] for n in range(0, 100, 7)]
    samples = flowing(of(tmp_path, *rows, [(20.0, 2.0), (5.0, 3.0)]), "evening", Sample)
    times = [sample.time_s for sample in samples]
    assert times == sorted(set(times))
    by_time = {sample.time_s - START_S: sample.power_w for sample in samples}
    assert (by_time[20.0], by_time[21.0], by_time[5.0]) == (2.0, 1.0, 3.0)


def test_what_comes_too_late_for_its_place_is_left_out_and_counted(tmp_path):
    path = of(tmp_path, [(20.0 + n, 1.0) for n in range(50)], [(15.0, 9.0), (100.0, 1.0)])
    flow = Flow(path, read_event(path, "evening"), max_held=10)
    times = [each.time_s - START_S for each in flow if isinstance(each, Sample)]
    assert flow.late == 1
    assert 15.0 not in times
    assert times == sorted(times)
    assert times[-1] == 100.0


def test_a_row_that_cannot_be_read_is_named(tmp_path):
    path = of(tmp_path)
    ledger = Ledger(path)
    ledger.record("series", START_S + 10, {"samples": {"at_s": 3}})
    number = ledger.head.sequence
    ledger.close()
    with pytest.raises(StoreError, match=f"row {number} cannot be read: TypeError"):
        list(Flow(path, read_event(path, "evening")))


def test_no_more_is_held_the_longer_an_event_is(tmp_path):
    held = []

    class Counting(Flow):
        def _released(self, keep):
            held.append(len(self._held))
            return super()._released(keep)

    path = of(tmp_path, *[[(20.0 + 10 * n + k, 1.0) for k in range(10)] for n in range(200)])
    assert len(list(Counting(path, read_event(path, "evening"), 30))) > 2000
    assert max(held) <= 30 + 60
