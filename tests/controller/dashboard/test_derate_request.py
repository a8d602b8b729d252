import pytest

from controller.dashboard.derate_request import read_derate
from controller.errors import CallRefused
from controller.model.derate import Derate

NOW_S = 1_700_000_000.0
WHOLE = {"shed_w": 20_000, "duration_s": 14_400, "reason": "a chiller is out"}


def test_it_begins_now_and_has_an_id_that_is_free():
    made = read_derate(WHOLE, (), NOW_S)
    assert made == Derate("derate-1700000000", 20e3, NOW_S, NOW_S + 14_400, "a chiller is out", NOW_S)
    assert read_derate(WHOLE, {"derate-1700000000"}, NOW_S).derate_id == "derate-1700000000-2"


def test_it_may_begin_later_and_be_named():
    later = read_derate({**WHOLE, "start_in_s": 60, "derate_id": "chiller", "shed_w": 0}, (), NOW_S)
    assert (later.derate_id, later.shed_w, later.start_s, later.end_s) == ("chiller", 0.0, NOW_S + 60, NOW_S + 14_460)
    assert read_derate({**WHOLE, "start": "2023-11-14T23:13:20Z"}, (), NOW_S).start_s == NOW_S + 3600


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"shed_w": -1}, r"shed_w is -1, outside 0 to 1e\+09"),
        ({"shed_w": "20kW"}, "shed_w is '20kW'; write a number"),
        ({"shed_w": None}, "shed_w is missing"),
        ({"duration_s": 0}, "duration_s is 0, outside 1 to 604800"),
        ({"duration_s": 604_801}, "outside 1 to 604800"),
        ({"reason": " "}, "reason is ' '; write a text of 1 to 500 characters"),
        ({"reason": None}, "reason is None"),
        ({"derate_id": "a b"}, "is not a name of 1 to 64"),
        ({"start": "17:00"}, "start is '17:00'; write a time with its offset"),
        ({"start": "2031-01-01T00:00:00Z"}, "s ahead, more than"),
        ({"start": "2023-11-14T23:13:20Z", "start_in_s": 5}, "leave one out"),
        ({"shed_kw": 20}, "unknown key 'shed_kw'"),
    ],
)
def test_what_is_wrong_is_named(wrong, says):
    with pytest.raises(CallRefused, match=says):
        read_derate({**WHOLE, **wrong}, (), NOW_S)


def test_what_is_no_object_is_refused():
    with pytest.raises(CallRefused, match="a JSON object is expected"):
        read_derate([], (), NOW_S)
