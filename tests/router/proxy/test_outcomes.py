import pytest

from router.exchange import Outcome
from router.proxy.outcomes import FAILURES, outcome_of


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.OK),
        (304, Outcome.OK),
        (400, Outcome.CLIENT_ERROR),
        (404, Outcome.CLIENT_ERROR),
        (429, Outcome.ENGINE_BUSY),
        (500, Outcome.ENGINE_ERROR),
        (502, Outcome.ENGINE_ERROR),
        (503, Outcome.ENGINE_BUSY),
        (504, Outcome.ENGINE_ERROR),
    ],
)
def test_what_a_status_says(status: int, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome


def test_every_failure_without_an_answer_has_one_of_the_routers() -> None:
    without_answer = {Outcome.CONNECT_FAILED, Outcome.RESET, Outcome.TIMED_OUT, Outcome.ENGINE_ERROR}
    assert set(FAILURES) == without_answer
    assert {status for status, _, _ in FAILURES.values()} == {502, 503, 504}
