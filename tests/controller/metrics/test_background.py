from random import Random

from prometheus_client import CollectorRegistry

from controller.background import Work, Works, in_background
from controller.metrics.background import BackgroundMetrics
from tests.fakes.fake_sse import until


async def test_failures_are_told_by_kind_from_the_first_scrape_on():
    registry, works, faults = (
        CollectorRegistry(),
        Works(Random(1), first_s=0.0),
        [ValueError("a fault"), OSError("another")],
    )
    BackgroundMetrics(registry, works)

    def told(work):
        return registry.get_sample_value("wattroute_controller_background_failures_total", {"work": work})

    assert {work: told(work) for work in Work} == dict.fromkeys(Work, 0.0)

    async def work():
        if faults:
            raise faults.pop()

    async with in_background(work, Work.OPENADR, "utility", works=works):
        await until(lambda: told("openadr") == 2.0)
    assert told("feed") == 0.0
