from datetime import UTC, datetime, timedelta

from controller.errors import StoreError
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.openadr2.telemetry import MAX_VALUES, reading

T0 = datetime(2026, 7, 1, tzinfo=UTC)
STEP = timedelta(minutes=1)


def means(*found):
    def read(from_s, until_s, step_s):
        start_s = T0.timestamp()
        return tuple(
            Mean(start_s + n * step_s, start_s + (n + 1) * step_s, power_w, quality, frac)
            for n, (power_w, quality, frac) in enumerate(found)
        )

    return read


MIXED = means(
    (6000.0, Quality.DIRECT, 1.0),
    (7000.0, Quality.ESTIMATED, 1.0),
    (None, None, 0.0),
    (8000.0, Quality.DIRECT, 0.5),
    (9000.0, Quality.EMULATED, 1.0),
)


async def told(kind, quality, source=MIXED):
    values = await reading(source, kind, quality)(date_from=T0, date_to=T0 + 5 * STEP, sampling_interval=STEP)
    return [(round((moment - T0) / STEP), value) for moment, value in values]


async def test_each_value_is_in_the_series_of_its_quality_and_what_is_missing_in_none():
    assert await told("power", Quality.DIRECT) == [(0, 6000.0)]
    assert await told("power", Quality.ESTIMATED) == [(1, 7000.0), (3, 8000.0)]
    assert await told("energy", Quality.DIRECT) == [(0, 100.0)]


async def test_what_is_read_at_once_is_bounded():
    asked = []

    def read(from_s, until_s, step_s):
        asked.append((until_s - from_s) / step_s)
        return ()

    ask = reading(read, "power", Quality.DIRECT)
    await ask(date_from=T0, date_to=T0 + timedelta(days=400), sampling_interval=timedelta(0))
    assert asked == [MAX_VALUES]


async def test_a_store_that_fails_is_told_and_gives_no_values(caplog):
    def read(from_s, until_s, step_s):
        raise StoreError("meter.sqlite: disk I/O error")

    assert await told("power", Quality.DIRECT, read) == []
    assert "telemetry not told" in caplog.text
