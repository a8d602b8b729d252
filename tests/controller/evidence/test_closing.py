import pytest

from controller.evidence.closing import accounted
from controller.evidence.read import read_event
from controller.evidence.series import unpack
from controller.evidence.spans import AFTER_S
from controller.store.ledger import Ledger, canonical
from controller.utc_text import utc_text
from tests.fakes.played_event import LENGTH_S, START_S, Player, event, played, span

SECOND_S = START_S + LENGTH_S + 1800.0


def test_the_account_holds_what_was_delivered_in_each_interval(tmp_path):
    account = accounted(played(tmp_path), span())
    (interval,) = account["intervals"]
    assert interval["settlement"]["intervals"][2]["delivered_w"] > 1000.0
    assert interval["performance"]["factor"] > 1.0
    assert canonical(account, "account")


def test_what_never_came_to_a_limit_has_none(tmp_path):
    player = Player(tmp_path, from_s=START_S - 300)
    player.call()
    player.play(START_S - 200, event())
    player.call("cancelled", cancelled_s=START_S - 200)
    player.close()
    assert accounted(player.path, span()) is None


@pytest.mark.parametrize("later_s", [SECOND_S, START_S + 90_000.0], ids=["within the hour", "a day later"])
def test_an_event_whose_id_comes_again_within_the_hour_is_recorded_to_its_end_and_has_its_own_account(
    tmp_path, later_s
):
    path = tmp_path / "evidence.sqlite"
    player = Player(tmp_path, close=lambda span: accounted(path, span))
    again = event(limit_w=3000.0, start_s=later_s, end_s=later_s + LENGTH_S)
    player.play(START_S + LENGTH_S + 600.0, event())
    player.play(START_S + LENGTH_S + AFTER_S + 60.0, again)
    player.now_s = max(player.now_s, later_s - 60.0)
    player.play(later_s + LENGTH_S + AFTER_S + 60.0, again)
    player.close()
    first = read_event(path, f"evening@{utc_text(START_S)}")
    second = read_event(path, "evening")
    assert [(each.limit_w, each.start_s) for each in first.events] == [(4000.0, START_S)]
    assert [(each.limit_w, each.start_s) for each in second.events] == [(3000.0, later_s)]
    for evidence, start_s in ((first, START_S), (second, later_s)):
        (interval,) = evidence.account["intervals"]
        assert (interval["start_s"], interval["limit_w"]) == (start_s, evidence.events[0].limit_w)
    times_s = [
        sample.time_s
        for record in player_records(path)
        if "samples" in record.payload
        for sample in unpack(record.payload["samples"])
    ]
    after = [time_s for time_s in times_s if START_S + LENGTH_S <= time_s < START_S + LENGTH_S + AFTER_S]
    assert len(after) >= AFTER_S - 10, "each second of the hour after it"


def player_records(path):
    ledger = Ledger(path)
    records = ledger.records()
    ledger.close()
    return records
