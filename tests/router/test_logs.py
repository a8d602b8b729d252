import logging

import pytest

from router.logs import ValuesFormatter, to_stderr


def line(message: str, **extra: object) -> str:
    record = logging.LogRecord("router.x", logging.INFO, "", 0, message, (), None)
    vars(record).update(extra)
    return ValuesFormatter("%(levelname)s %(message)s").format(record)


def test_values_follow_the_event() -> None:
    assert line("engine lost", instance_id="bf16-0", after_s=1.5, count=2) == (
        "INFO engine lost instance_id=bf16-0 after_s=1.5 count=2"
    )


def test_a_wall_clocks_time_is_told_as_a_date_and_a_duration_as_it_is() -> None:
    assert line("limit", start_s=1_795_337_280.25, hold_s=86_400.0, end_s=253_402_300_800.0, sent=1.5e9) == (
        "INFO limit start_s=2026-11-22T08:48:00.250Z hold_s=86400 end_s=2.53402e+11 sent=1.5e+09"
    )


def test_values_that_would_blur_the_line_are_quoted() -> None:
    assert line("e", reason="no route", empty="", two="a\nb") == "INFO e reason='no route' empty='' two='a\\nb'"


def test_the_process_logs_to_standard_error_at_its_level(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        to_stderr(logging.INFO)
        logging.getLogger("router.y").info("heard", extra={"k": 1})
        logging.getLogger("router.y").debug("unheard")
    finally:
        root.handlers[:], root.level = before
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "INFO router.y heard k=1" in shown.err
    assert "unheard" not in shown.err
