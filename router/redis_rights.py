"""Which rights in Redis the router's user lacks, and when what takes them is asked for again. Pure.

A right that is missing costs the part of the router that needs it, and nothing else. It is said once, and once more
when it is had.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from enum import StrEnum

from router.backoff import backoff_s

log = logging.getLogger(__name__)

FIRST_S = 5.0
LONGEST_S = 60.0
"""Waits before what was refused is asked for again: who grants the right sees it used within a minute."""
_COMMAND = re.compile(r"to run the '([^']+)' command")


class Part(StrEnum):
    """What the router has of Redis."""

    TABLE = "table"
    ANNOUNCEMENTS = "announcements"
    ENERGY = "energy"
    LOADS = "loads"
    PRESENCE = "presence"


MEANWHILE = {
    Part.TABLE: "the last table holds until it expires, then static weights do",
    Part.ANNOUNCEMENTS: "a new table is found by the next read, table.poll_interval_s later at the most",
    Part.ENERGY: "clients are not told the energy of their requests",
    Part.LOADS: "the router asks every engine itself",
    Part.PRESENCE: "other routers and the controller do not hear of this one; its share of caps stays as it is",
}
"""What holds while the right is missing."""


class Rights:
    """Of one user.

    Args:
        source: Redis, for the log.
        draw: gives numbers from 0 to 1 by chance, which spread what is asked for again.

    Attributes:
        missing: the right, by the part of the router that does without it.
    """

    def __init__(self, source: str, draw: Callable[[], float]) -> None:
        self._source = source
        self._draw = draw
        self._failures: dict[Part, int] = {}
        self._again_s: dict[Part, float] = {}
        self.missing: dict[str, str] = {}

    def may_ask(self, part: Part, now_s: float) -> bool:
        """Whether to ask for it: it was not refused, or long enough ago; `now_s` is monotonic."""
        return now_s >= self._again_s.get(part, now_s)

    def wait_s(self, part: Part, now_s: float) -> float:
        """How long not to ask for it."""
        return max(0.0, self._again_s.get(part, now_s) - now_s)

    def refused(self, part: Part, right: str, error: Exception, now_s: float) -> None:
        """Note that Redis has refused it.

        Args:
            part: of the router.
            right: to the key or the channel; where the error names a command, the right to that one is missing.
            error: Redis' answer.
            now_s: monotonic.
        """
        failures = self._failures[part] = self._failures.get(part, 0) + 1
        self._again_s[part] = now_s + backoff_s(failures, self._draw(), first_s=FIRST_S, longest_s=LONGEST_S)
        command = _COMMAND.search(str(error))
        missing = right if command is None else f"+{command[1]}"
        if self.missing.get(part.value) != missing:
            self.missing[part.value] = missing
            extra = {"source": self._source, "part": part.value, "right": missing, "meanwhile": MEANWHILE[part]}
            log.warning("Redis refuses a right; add it to the router's user", extra=extra)

    def granted(self, part: Part) -> None:
        """Note that Redis has given it."""
        if part in self._failures:
            del self._failures[part], self._again_s[part]
            right = self.missing.pop(part.value)
            extra = {"source": self._source, "part": part.value, "right": right}
            log.info("Redis refuses the right no longer", extra=extra)
