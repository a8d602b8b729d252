import pytest

from controller.model.freshness import MAX_AHEAD_S, age_s, age_told, is_fresh
from controller.model.observation import Quality, Reading

NOW_S = 1000.0


@pytest.mark.parametrize(
    ("age", "fresh", "told"),
    [
        (0.0, True, "0 s old"),
        (15.0, True, "15 s old"),
        (15.25, False, "15 s old"),
        (-MAX_AHEAD_S, True, "0 s old"),
        (-60.0, False, "60 s ahead of this machine's clock"),
    ],
)
def test_a_reading_is_used_while_it_is_of_now(age, fresh, told):
    reading = Reading(1.0, None, NOW_S - age, "meter", Quality.DIRECT)
    assert is_fresh(reading, NOW_S, 15.0) is fresh
    assert age_told(reading, NOW_S) == told
    assert age_s(reading, NOW_S) == max(0.0, age)
