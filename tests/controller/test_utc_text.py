import pytest

from controller.utc_text import utc_minute, utc_text


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1_784_046_600.0, "2026-07-14T16:30:00Z"),
        (1_784_046_659.999, "2026-07-14T16:30:59Z"),
        (951_782_400.0, "2000-02-29T00:00:00Z"),
    ],
)
def test_times_to_the_second(time_s, text):
    assert utc_text(time_s) == text


def test_times_to_the_minute_and_by_another_form():
    assert utc_minute(1_784_046_659.0) == "2026-07-14T16:30Z"
    assert utc_text(1_784_046_659.0, "%Y%m%d%H%M") == "202607141630"


def test_the_machines_own_zone_does_not_matter(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert utc_text(0.0) == "1970-01-01T00:00:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()
