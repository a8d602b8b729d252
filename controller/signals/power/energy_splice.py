"""One growing energy for a GPU whose sources change; pure.

Counters of different sources begin at different values. Where a reading comes from another source than the one before,
the energy between the two is the mean power times the time, and counting goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.model.observation import Reading

MAX_GAP_S = 60.0
"""Longest time that is bridged with mean power; a longer one is left out, as nobody knows what was drawn in it."""


@dataclass(slots=True)
class _Spliced:
    last: Reading
    offset_j: float
    until_s: float
    """Up to when energy has been counted; readings of another source may lie before it."""


class EnergySplice:
    """Follows the GPUs of a site, by UUID."""

    def __init__(self) -> None:
        self._gpus: dict[str, _Spliced] = {}

    def take(self, uuid: str, reading: Reading) -> Reading:
        """The reading with an energy that only grows, whichever source it is from.

        A reading of a source without a counter has none.
        """
        if reading.energy_j is None:
            return reading
        known = self._gpus.get(uuid)
        if known is None:
            known = self._gpus[uuid] = _Spliced(reading, 0.0, reading.observed_at_s)
        last = known.last
        last_j = (last.energy_j or 0.0) + known.offset_j
        if reading.source != last.source or reading.energy_j < (last.energy_j or 0.0):
            gap_s = reading.observed_at_s - known.until_s
            bridged_j = 0.5 * (reading.value_w + last.value_w) * gap_s if 0 < gap_s <= MAX_GAP_S else 0.0
            known.offset_j = last_j + max(0.0, bridged_j) - reading.energy_j
        known.last = reading
        known.until_s = max(known.until_s, reading.observed_at_s)
        return replace(reading, energy_j=reading.energy_j + known.offset_j)
