import pytest

from controller.errors import StoreError
from controller.evidence.desk import EvidenceDesk, EvidenceParts
from controller.evidence.read import Kept, read_event
from controller.evidence.series import unpack
from controller.store.ledger import Ledger
from controller.store.ledger_check import check_file
from controller.store.patient import PatientLedger
from tests.fakes.played_event import (
    LENGTH_S,
    LIMIT_W,
    PROGRAMME,
    START_S,
    NoLedger,
    Player,
    call_record,
    event,
    flowing,
    played,
    span,
)


@pytest.fixture
def player(tmp_path):
    made = Player(tmp_path)
    yield made
    made.close()


def kinds(player):
    return [record.kind for record in player.ledger.records()]


def times(player):
    return [
        sample.time_s
        for record in player.ledger.records()
        if "samples" in record.payload
        for sample in unpack(record.payload["samples"])
    ]


def test_nothing_is_recorded_without_an_event(player):
    player.play(START_S)
    assert kinds(player) == []


def test_an_event_is_recorded_from_before_its_start(player):
    player.play(START_S - 30)
    player.play(START_S + 20, event())
    player.desk.close()
    assert kinds(player)[:5] == ["software", "before", "terms", "limits", "tick"]
    assert times(player) == [START_S - 60 + n for n in range(80)] or sorted(set(times(player))) == times(player)
    assert player.ledger.records("terms")[0].payload["programme"]["settlement_interval_s"] == 60.0
    assert check_file(player.path).head.checked > 5


def test_every_second_is_there_until_an_hour_after_the_end(player):
    player.play(START_S + LENGTH_S + 3700.0, event())
    found = sorted(set(times(player)))
    assert found == [START_S - 60.0 + n for n in range(int(60 + LENGTH_S + 3601))]
    last = player.ledger.records(last=1)[0]
    assert last.time_s <= START_S + LENGTH_S + 3605.0


def test_what_always_counts_is_kept_without_an_event_and_bars_only_near_one(player):
    player.call()
    player.desk.record("call_refused", START_S, {"raw": "x"})
    player.desk.record("quality", START_S, {"name": "fp8"})
    player.desk.record("energy", START_S, {})
    assert kinds(player) == ["call", "call_refused"]
    player.play(START_S, event())
    player.desk.record("quality", START_S, {"name": "fp8"})
    assert kinds(player)[-1] == "quality"


def test_a_day_of_a_standing_limit_is_recorded_more_thinly(tmp_path):
    standing = event(start_s=START_S - 200_000, end_s=START_S + 200_000)
    player = Player(tmp_path, from_s=START_S)
    player.play(START_S + 600, standing)
    assert 10 <= kinds(player).count("tick") <= 22
    assert len(set(times(player))) >= 560
    player.close()


def test_an_event_that_is_recorded_while_another_one_is_has_evidence_of_its_own(tmp_path):
    """What was told as the first began lies before what belongs to the second: it is told once more."""
    start_s = START_S + LENGTH_S + 1800.0
    later = event(event_id="later", start_s=start_s, end_s=start_s + LENGTH_S, notice_s=START_S - 60.0)
    player = Player(tmp_path)
    player.play(start_s + 60.0, event(), later)
    player.close()
    evidence = read_event(player.path, "later")
    assert evidence.first > 1
    assert evidence.programme == PROGRAMME
    assert [each.limit_w for each in evidence.events] == [LIMIT_W]
    assert [each.payload["wattroute"] for each in evidence.software] == ["1.2.3"]
    first = next(each.payload for each in flowing(player.path, "later", Kept))
    assert {"plan", "table"} <= first.keys()
    assert len(read_event(player.path, "evening").software) == 1, "the same is read once"


def test_an_event_that_is_over_is_accounted_for(tmp_path):
    closed = []
    player = Player(tmp_path, close=lambda span: closed.append(span) or {"intervals": []})
    player.play(START_S + LENGTH_S + 3700.0, event())
    player.close()
    assert [each.subject for each in closed] == [span().subject]
    again = Ledger(player.path)
    assert again.records("account")[0].payload == {"intervals": [], "subject": span().subject}
    again.close()


@pytest.mark.parametrize("again_s", [START_S + 110.0, START_S + 300.0])
def test_a_process_that_was_away_during_an_event_leaves_a_gap_that_is_told(tmp_path, again_s):
    first = Player(tmp_path)
    first.play(START_S + 100, event())
    first.ledger.close()
    second = Player(tmp_path, from_s=again_s)
    second.play(again_s + 10, event())
    (gap,) = second.ledger.records("gap")
    assert gap.payload["from_s"] == pytest.approx(START_S + 95)
    assert gap.payload["until_s"] == again_s
    assert gap.payload["reason"] == "no controller was recording"
    second.close()


def test_a_process_that_begins_after_the_end_still_records_the_hour_after_it(tmp_path):
    first = Player(tmp_path)
    first.play(START_S + LENGTH_S + 10, event())
    first.ledger.close()
    second = Player(tmp_path, from_s=START_S + LENGTH_S + 30)
    second.play(START_S + LENGTH_S + 60)
    assert second.ledger.records("tick", last=1)[0].time_s > START_S + LENGTH_S + 30
    second.close()


def test_evidence_that_cannot_be_written_waits_and_the_ledger_is_written(tmp_path):
    class Failing:
        def __init__(self):
            self.records = []
            self.fails = True

        def record(self, kind, time_s, payload):
            if self.fails:
                raise StoreError("disk is full")
            self.records.append(kind)

    broken, rolling = Failing(), []

    class Rolling(NoLedger):
        def record(self, kind, time_s, payload):
            rolling.append(kind)

    file = PatientLedger(broken, max_waiting=10)
    desk = EvidenceDesk(EvidenceParts(Rolling(), file, {}, {}))
    desk.record("call", START_S, call_record())  # a call is taken in: it is in the ledger, and waits here
    assert (rolling, broken.records, file.waiting) == (["call"], [], 1)
    broken.fails = False
    desk.record("call", START_S, call_record())
    assert broken.records == ["call", "call"]
    desk.close()


def test_a_call_that_the_ledger_does_not_take_is_no_evidence_and_a_sample_is(tmp_path):
    class Rolling(NoLedger):
        def record(self, kind, time_s, payload):
            raise StoreError("disk is full")

    player = Player(tmp_path)
    player.play(START_S, event())
    player.desk._parts = EvidenceParts(Rolling(), player.file, {}, {})
    before = len(kinds(player))
    with pytest.raises(StoreError, match="disk is full"):
        player.call()
    assert len(kinds(player)) == before
    with pytest.raises(StoreError, match="disk is full"):
        player.desk.record("actuation", START_S, {"verb": "wake"})
    assert kinds(player)[-1] == "actuation"
    player.close()


def test_an_hour_of_an_event_takes_about_a_megabyte(tmp_path):
    path = played(tmp_path)
    ledger = Ledger(path)
    rows = ledger.records()
    hours = (rows[-1].time_s - START_S + 60) / 3600.0
    size_bytes = sum(len(str(record.payload)) + 64 for record in rows)
    assert size_bytes / hours < 1.5e6
    ledger.close()
