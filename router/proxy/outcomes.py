"""What an engine's status means for the attempt, and what a client is told when no attempt succeeded."""

from __future__ import annotations

from router.exchange import Outcome

OK = Outcome.OK
CLIENT_ERROR = Outcome.CLIENT_ERROR
ENGINE_BUSY = Outcome.ENGINE_BUSY
ENGINE_ERROR = Outcome.ENGINE_ERROR

FAILURES = {
    Outcome.CONNECT_FAILED: (503, "engine_unreachable", "no engine could be reached"),
    Outcome.RESET: (502, "engine_reset", "the engine closed the connection before it answered"),
    Outcome.TIMED_OUT: (504, "engine_timeout", "the engine did not answer in time"),
    Outcome.ENGINE_ERROR: (502, "engine_error", "the engine's answer is not HTTP that can be passed on"),
}
"""Status, reason and message of the router's own answer, where no engine gave one that could be passed on."""


def outcome_of(status: int) -> Outcome:
    """What an engine's status says about the attempt."""
    if status < 400:
        return OK
    if status in (429, 503):
        return ENGINE_BUSY
    return ENGINE_ERROR if status >= 500 else CLIENT_ERROR
