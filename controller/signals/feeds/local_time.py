"""Times on a local clock that is set forth and back; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from controller.errors import SignalError
from controller.signals.feeds.body import seconds_of


class LocalClock:
    """Makes seconds since the epoch of ascending times without a zone.

    In the doubled hour of autumn a time that does not come after the one before it belongs to the second pass. The
    hour that spring leaves out is no time.
    """

    def __init__(self, zone: ZoneInfo, source: str) -> None:
        self._zone = zone
        self._source = source
        self._last_s = float("-inf")

    def seconds(self, moment: datetime, where: str) -> float:
        """Seconds since the epoch of the next time.

        Raises:
            SignalError: the clock never showed it.
        """
        local = moment.replace(tzinfo=self._zone)
        try:
            if local.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != moment.replace(fold=0):
                raise SignalError(
                    self._source, f"{where} {moment.isoformat()}: clocks in {self._zone.key} left that time out"
                )
        except OverflowError as error:
            raise SignalError(self._source, f"{where} {moment.isoformat()} is not a time after 1970") from error
        found = seconds_of(local, self._source, where)
        if found <= self._last_s:
            found = max(found, seconds_of(local.replace(fold=1), self._source, where))
        self._last_s = found
        return found
