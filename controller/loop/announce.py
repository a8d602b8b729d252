"""Log events where a decision stands on another step of a ladder, or breaks a promise, than the one before.

One line a change, at most one for each ladder, class and promise at a tick; what stays as it is says nothing again.
"""

from __future__ import annotations

import logging

from controller.lifecycle.diagnostics import Diagnostics, Fallback, Foreseen
from controller.model.plan import Slack

log = logging.getLogger(__name__)


class Announcer:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, str], str] = {}
        self._broken: frozenset[tuple[str, str]] = frozenset()
        self._foreseen: frozenset[tuple[str, str]] = frozenset()

    def take(self, diagnostics: Diagnostics) -> None:
        """Tell what has changed since the decision before."""
        self._take_steps({(each.ladder, each.subject): each for each in diagnostics.steps_down})
        self._take_slack({(slack.promise, slack.subject): slack for slack in diagnostics.slack})
        self._take_foreseen({(each.promise, each.subject): each for each in diagnostics.foreseen})

    def _take_steps(self, lowest: dict[tuple[str, str], Fallback]) -> None:
        for (ladder, subject), fallback in lowest.items():
            if self._steps.get((ladder, subject)) != fallback.step:
                told = {"ladder": ladder, "subject": subject, "step": fallback.step, "reason": fallback.reason}
                log.warning("standing on a lower step", extra=told)
        for ladder, subject in self._steps.keys() - lowest.keys():
            log.info("back at the top", extra={"ladder": ladder, "subject": subject})
        self._steps = {key: fallback.step for key, fallback in lowest.items()}

    def _take_slack(self, broken: dict[tuple[str, str], Slack]) -> None:
        for promise, subject in sorted(broken.keys() - self._broken):
            slack = broken[promise, subject]
            told = {"promise": promise, "subject": subject, "amount": slack.amount, "unit": slack.unit}
            log.warning("a promise cannot be kept", extra=told)
        for promise, subject in sorted(self._broken - broken.keys()):
            log.info("a promise is kept again", extra={"promise": promise, "subject": subject})
        self._broken = frozenset(broken)

    def _take_foreseen(self, coming: dict[tuple[str, str], Foreseen]) -> None:
        for promise, subject in sorted(coming.keys() - self._foreseen):
            each = coming[promise, subject]
            told = {"promise": promise, "subject": subject, "amount": each.amount, "unit": each.unit}
            log.warning("a promise will not be kept under a limit", extra={**told, "begins_s": each.begins_s})
        self._foreseen = frozenset(coming)
