"""What a VEN of 2.0b offers as telemetry: power and energy, measured and estimated each in a series of its own (R5).

A series of 2.0b has one reading type, so that a value of the other kind is left out of it, as one that is
missing is. What an emulation told is in neither.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.errors import StoreError
from controller.model.meter import MeterReader
from controller.model.observation import Quality

log = logging.getLogger(__name__)

KINDS = {"power": ("powerReal", "RealPower", "W"), "energy": ("energyReal", "RealEnergy", "Wh")}
READINGS = {Quality.DIRECT: "Direct Read", Quality.ESTIMATED: "Estimated"}
MAX_VALUES = 2000
WHOLE_FRAC = 0.99

Ask = Callable[[datetime, datetime, timedelta], Awaitable[list[tuple[datetime, float]]]]


def reading(means: MeterReader, kind: str, quality: Quality) -> Callable[..., Awaitable[list[tuple[datetime, float]]]]:
    """What `openleadr` asks for the values of a series.

    Args:
        means: of the meter store.
        kind: ``power`` (mean, W) or ``energy`` (Wh), of each sampling interval.
        quality: of the values that belong to the series.
    """

    async def values(
        date_from: datetime, date_to: datetime, sampling_interval: timedelta
    ) -> list[tuple[datetime, float]]:
        step_s = max(1.0, sampling_interval.total_seconds())
        until_s = date_to.timestamp()
        from_s = max(date_from.timestamp(), until_s - MAX_VALUES * step_s)
        try:
            found = await asyncio.to_thread(means, from_s, until_s, step_s)
        except StoreError as error:
            log.error("telemetry not told", extra={"reason": str(error)})
            return []
        told: list[tuple[datetime, float]] = []
        for mean in found:
            told_as = mean.quality
            if told_as is Quality.DIRECT and mean.covered_frac < WHOLE_FRAC:
                told_as = Quality.ESTIMATED
            if mean.mean_w is None or told_as is not quality:
                continue
            value = mean.mean_w if kind == "power" else mean.mean_w * mean.length_s / 3600.0
            told.append((datetime.fromtimestamp(mean.start_s, UTC), value))
        return told

    return values


class FilledReports(asyncio.Queue[Any]):
    """The queue of a client's reports, without those that have no value: servers take those for malformed."""

    async def put(self, item: Any) -> None:
        """Let a report be sent, where there is something to tell."""
        if item.intervals:
            await super().put(item)


def offer(client: Any, resource: str, means: MeterReader, objects: Any) -> None:
    """Add the series to what a client of `openleadr` offers.

    Args:
        client: of `openleadr`.
        resource: whose telemetry it is.
        means: of the meter store.
        objects: module of that name of `openleadr`.
    """
    for kind, (name, description, unit) in KINDS.items():
        for quality, reading_type in READINGS.items():
            attributes = objects.PowerAttributes() if kind == "power" else None
            measurement = objects.Measurement(
                name=name, description=description, unit=unit, scale="none", power_attributes=attributes
            )
            client.add_report(
                callback=reading(means, kind, quality),
                resource_id=resource,
                measurement=measurement,
                data_collection_mode="full",
                report_specifier_id="telemetry",
                r_id=f"{resource}-{kind}-{quality.value}",
                reading_type=reading_type,
                report_type="usage",
                report_duration=timedelta(hours=1),
                sampling_rate=objects.SamplingRate(
                    min_period=timedelta(seconds=2), max_period=timedelta(hours=1), on_change=False
                ),
            )
