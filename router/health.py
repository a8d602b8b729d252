"""Whether an instance is up, suspect or ejected, from what requests and probes met. Pure.

::

    up --failures >= suspect_after--> suspect --failures >= eject_after--> ejected
    suspect --one answer or one good probe--> up          ejected --recover_after good probes in a row--> up

One that is ejected and has answered its last probe is the last means: better than none at all.

Failures of requests and failures of probes are counted apart: an engine may answer /health while every request to it
hangs, so a good probe lifts suspicion but does not forget the requests that failed.
"""

from __future__ import annotations

from enum import StrEnum

from router.exchange import Outcome
from router.settings import HealthSettings

FAILURES = frozenset({Outcome.CONNECT_FAILED, Outcome.RESET, Outcome.TIMED_OUT, Outcome.ENGINE_ERROR})
"""Outcomes that speak against the instance. A client's error and a full engine do not."""


class HealthState(StrEnum):
    """What is known of an instance."""

    UP = "up"
    SUSPECT = "suspect"
    EJECTED = "ejected"


class Health:
    """State machine of one instance. It starts up, so that a first request need not wait for a probe.

    Attributes:
        state: where it stands.
        failed_requests: requests that failed since the last one that was answered.
        failed_probes: probes that failed since the last good one.
        is_answering: the last probe was good, and nothing has failed since.
    """

    __slots__ = ("_good_probes", "_settings", "failed_probes", "failed_requests", "is_answering", "state")

    def __init__(self, settings: HealthSettings) -> None:
        self._settings = settings
        self._good_probes = 0
        self.state = HealthState.UP
        self.failed_requests = 0
        self.failed_probes = 0
        self.is_answering = False

    def adopt(self, old: Health) -> None:
        """Stand where another one stood, for settings that have changed meanwhile."""
        self.state = old.state
        self.failed_requests = old.failed_requests
        self.failed_probes = old.failed_probes
        self.is_answering = old.is_answering
        self._good_probes = old._good_probes

    def request_ended(self, outcome: Outcome) -> bool:
        """Take the end of an attempt into account; True if the state changed."""
        before = self.state
        if outcome in FAILURES:
            self.is_answering = False
            self.failed_requests += 1
            self._worsen(self.failed_requests)
        elif outcome is Outcome.OK and before is not HealthState.EJECTED:
            self.failed_requests = 0
            self.state = HealthState.UP
        return self.state is not before

    def probed(self, ok: bool) -> bool:
        """Take a probe into account; True if the state changed."""
        before = self.state
        self.is_answering = ok
        if not ok:
            self._good_probes = 0
            self.failed_probes += 1
            self._worsen(self.failed_probes)
            return self.state is not before
        self.failed_probes = 0
        self._good_probes += 1
        if before is HealthState.SUSPECT:
            self.state = HealthState.UP
        elif before is HealthState.EJECTED and self._good_probes >= self._settings.recover_after:
            self.state = HealthState.UP
            self.failed_requests = 0
        return self.state is not before

    def _worsen(self, failures: int) -> None:
        if failures >= self._settings.eject_after:
            if self.state is not HealthState.EJECTED:
                self._good_probes = 0
            self.state = HealthState.EJECTED
        elif failures >= self._settings.suspect_after and self.state is HealthState.UP:
            self.state = HealthState.SUSPECT
