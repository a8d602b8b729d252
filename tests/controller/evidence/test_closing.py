from controller.evidence.closing import accounted
from controller.store.ledger import canonical
from tests.fakes.played_event import START_S, Player, event, played, span


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
