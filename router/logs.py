"""Log lines of all processes: the event, then its values as ``key=value``, on standard error."""

from __future__ import annotations

import logging
import sys

_KNOWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


class ValuesFormatter(logging.Formatter):
    """Appends the values given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """One event, on one line unless it carries a traceback."""
        values = [f"{key}={_shown(value)}" for key, value in vars(record).items() if key not in _KNOWN]
        head, *rest = super().format(record).split("\n", 1)
        return "\n".join([" ".join([head, *values]), *rest])


def _shown(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return repr(text) if " " in text or "\n" in text or not text else text


def to_stderr(level: int) -> None:
    """Send the log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ValuesFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
