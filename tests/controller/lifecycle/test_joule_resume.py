import pytest

from controller.lifecycle.joule_resume import MAX_AWAY_S, KeptAccount


@pytest.mark.parametrize(
    ("away_s", "usable"),
    [(0.0, True), (60.0 + MAX_AWAY_S, True), (61.0 + MAX_AWAY_S, False), (-1.0, False)],
)
def test_an_account_is_gone_on_with_where_it_is_recent_and_not_of_the_future(away_s, usable):
    assert KeptAccount(1000.0, (), ()).is_usable(1000.0 + away_s, 60.0) is usable
