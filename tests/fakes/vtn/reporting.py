"""A reporter beside a follower of a fake VTN; the meter reads what a test says."""

from __future__ import annotations

import dataclasses
import itertools
import random
from pathlib import Path

from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.openadr.report_inputs import ReportInputs
from controller.openadr.report_maker import MakerSpec, ReportMaker
from controller.openadr.report_metrics import ReportMetrics
from controller.openadr.report_queue import ReportQueue
from controller.openadr.report_source import Known, LiveSource
from controller.openadr.reporter import Reporter, ReporterParts
from controller.openadr.reports import Reporting
from tests.fakes.vtn.follower import Follower


def steady(power_w: float, quality: Quality = Quality.DIRECT):
    """A meter that always read the same."""

    def means(from_s: float, until_s: float, step_s: float) -> tuple[Mean, ...]:
        steps = round((until_s - from_s) / step_s + 0.4999)
        edges_s = [min(from_s + n * step_s, until_s) for n in range(max(1, steps) + 1)]
        return tuple(Mean(a, b, power_w, quality, 1.0) for a, b in itertools.pairwise(edges_s) if b > a)

    return means


def known(site: Follower, **changes: object) -> Known:
    return dataclasses.replace(Known(site.book, means=steady(20_000.0)), **changes)


def reporter(site: Follower, folder: Path, **changes: object) -> tuple[Reporter, ReportQueue]:
    """As after a start of the process: a queue that is opened anew."""
    queue = ReportQueue(folder / "reports.sqlite")
    metrics = ReportMetrics(site.registry) if not hasattr(site, "report_metrics") else site.report_metrics
    site.report_metrics = metrics
    acknowledges = bool(changes.pop("acknowledges", False))
    shed_cost = changes.pop("shed_cost", {})
    source = LiveSource(known(site, **changes))
    who = Reporting("ven-1", ("hall-a",), site.ven.spec.own, site.ven.spec.source)
    maker = ReportMaker(MakerSpec("utility", who, acknowledges, {}, shed_cost), queue, source, metrics)
    parts = ReporterParts(
        "utility",
        site.ven.client,
        queue,
        maker,
        source,
        metrics,
        site.clock,
        random.Random(3),
        lambda: site.ven.desk.followed,
    )
    return Reporter(parts), queue


def inputs_of(site: Follower) -> ReportInputs:
    return LiveSource(known(site)).present(site.clock.wall_s())
