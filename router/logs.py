"""Log lines of all processes: the event, then its values as ``key=value``, on standard error."""

from __future__ import annotations

import datetime
import logging
import sys

_MOMENTS_S = (1e9, 2.5e11)
"""Seconds in this range are a wall clock's, which is told as a date; no duration is as long."""
_KNOWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


class ValuesFormatter(logging.Formatter):
    """Appends the values given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """One event, on one line unless it carries a traceback."""
        values = [f"{key}={_shown(key, value)}" for key, value in vars(record).items() if key not in _KNOWN]
        head, *rest = super().format(record).split("\n", 1)
        return "\n".join([" ".join([head, *values]), *rest])


def _shown(key: str, value: object) -> str:
    if isinstance(value, float) and key.endswith("_s") and _MOMENTS_S[0] <= value < _MOMENTS_S[1]:
        moment = datetime.datetime.fromtimestamp(value, datetime.UTC).replace(tzinfo=None)
        return f"{moment.isoformat(timespec='milliseconds')}Z"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return repr(text) if " " in text or "\n" in text or not text else text


def to_stderr(level: int) -> None:
    """Send the log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ValuesFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
