import pytest

from router.clocks_apart import SAME_S, ahead_s, read_date_s

NOW_S = 1_700_000_000.0


@pytest.mark.parametrize("issuer_now_s", [None, NOW_S, NOW_S - SAME_S + 0.01, NOW_S + SAME_S - 0.01])
def test_clocks_that_differ_by_little_or_nobody_knows_how_much_count_as_one(issuer_now_s):
    assert ahead_s(NOW_S, issuer_now_s) == 0.0


@pytest.mark.parametrize("apart_s", [SAME_S, -SAME_S, 7200.0, -7200.0])
def test_others_are_told(apart_s):
    assert ahead_s(NOW_S, NOW_S - apart_s) == apart_s


@pytest.mark.parametrize("value", ["Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:20 -0000"])
def test_a_date_is_read(value):
    assert read_date_s(value) == NOW_S


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", "Tue, 99 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 99999 1:1:1 GMT"]
)
def test_what_is_no_date_says_nothing(value):
    assert read_date_s(value) is None
