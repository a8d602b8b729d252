import pytest

from controller.dashboard.load_target_request import read_schedule, read_target
from controller.errors import CallRefused
from controller.grid.load_target import Target
from controller.model.grid import FOREVER_S

NOW_S = 1_784_000_000.0  # 2026-07-14T03:33:20Z


def test_a_target_holds_from_now_for_ever_unless_it_says_so():
    assert read_target({"target_w": 9000}, NOW_S) == Target(NOW_S, FOREVER_S, 9000.0)
    assert read_target({"target_w": None, "start_in_s": 5, "duration_s": 60}, NOW_S) == Target(
        NOW_S + 5, NOW_S + 65, None
    )
    dated = {"target_w": 1, "start": "2026-07-14T03:34:20Z", "end": "2026-07-14T03:35:20Z", "correlation_id": "c"}
    assert read_target(dated, NOW_S) == Target(NOW_S + 60, NOW_S + 120, 1.0, "c")


def test_a_start_in_the_past_is_now():
    assert read_target({"target_w": 1, "start": "2026-07-14T00:00:00Z"}, NOW_S).start_s == NOW_S


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "a JSON object is expected"),
        ({}, "target_w is missing"),
        ({"target_w": "9"}, "target_w is '9'; write a number"),
        ({"target_w": True}, "target_w is True"),
        ({"target_w": float("nan")}, "target_w is nan"),
        ({"target_w": -1}, "outside 0"),
        ({"target_w": 1, "limit_w": 1}, "unknown key 'limit_w'"),
        ({"target_w": 1, "start": "2026-07-14T04:00:00Z", "start_in_s": 1}, "start and start_in_s say the same"),
        ({"target_w": 1, "end": "2026-07-14T04:00:00Z", "duration_s": 1}, "end and duration_s say the same"),
        ({"target_w": 1, "end": "2026-07-14T00:00:00Z"}, "end is over"),
        ({"target_w": 1, "start_in_s": 7200, "end": "2026-07-14T04:00:00Z"}, "not after the start"),
        ({"target_w": 1, "start": "2026-07-14T04:00:00"}, "with its offset"),
        ({"target_w": 1, "correlation_id": "a\nb"}, "printable"),
        ({"target_w": 1, "correlation_id": 7}, "printable"),
    ],
)
def test_what_is_wrong_is_named(data, message):
    with pytest.raises(CallRefused, match=message):
        read_target(data, NOW_S)


def test_of_a_schedule_the_place_is_named():
    assert [t.value_w for t in read_schedule({"targets": [{"target_w": 1}, {"target_w": 2}]}, NOW_S)] == [1.0, 2.0]
    with pytest.raises(CallRefused, match=r"targets\[1\]\.target_w is missing"):
        read_schedule({"targets": [{"target_w": 1}, {}]}, NOW_S)
    for wrong in ({}, {"targets": {}}, {"targets": [{"target_w": 1}] * 257}):
        with pytest.raises(CallRefused, match="at most 256 targets"):
            read_schedule(wrong, NOW_S)
