"""What a record says of itself."""

from __future__ import annotations

import pytest

from tests.fakes.records import record


def test_the_overhead_is_what_passed_before_the_engine_was_asked() -> None:
    assert record().overhead_s == pytest.approx(0.002)
    assert record(sent_s=None).overhead_s is None


@pytest.mark.parametrize(
    ("over", "failed"),
    [
        ({}, False),
        ({"outcome": "answered"}, False),
        ({"status": 404, "outcome": "client_error"}, True),
        ({"status": 503, "outcome": "refused"}, True),
        ({"outcome": "timed_out"}, True),
        ({"status": 0, "outcome": "client_gone"}, True),
    ],
)
def test_anything_but_a_whole_good_answer_is_a_failure(over: dict, failed: bool) -> None:
    assert record(**over).has_failed is failed
