"""The ladder of power: the site's meter, the boards read on their nodes, the boards as exported, the model; pure.

Each GPU is taken from its surest fresh source, so that some may be read by NVML and others by DCGM; the site stands on
the worst rung among them. A better source is taken again only after it has been there for a while; a source that is
lost is left at once. Where two fresh sources disagree, the higher value counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.model.fleet import Site
from controller.model.freshness import age_told, is_fresh
from controller.model.observation import Missing, PowerLadder, PowerSourceState, Reading, Rung
from controller.signals.power.conflict import ConflictRules, Conflicts
from controller.signals.power.energy_splice import EnergySplice
from controller.signals.power.site_power import site_power
from controller.signals.power.steps import Step, stepped

SITE = "site"


@dataclass(frozen=True, slots=True)
class LadderRules:
    """When a reading is fresh, when a better source is taken again, and when two disagree.

    Attributes:
        stale_s: age at which a reading is not used any more.
        hold_s: how long a better source must have been fresh before it is taken again.
        alarm_after_s: how long two sources must disagree before an alarm is raised.
        gpus: when two sources disagree on a GPU.
        site: when the meter disagrees with the sum of the GPUs, which rests on a PUE and a constant load: more may lie
            between them than between two sensors. None compares them never, as behind a meter that nets own generation.
    """

    stale_s: float = 15.0
    hold_s: float = 15.0
    alarm_after_s: float = 10.0
    gpus: ConflictRules = field(default_factory=ConflictRules)
    site: ConflictRules | None = field(default_factory=lambda: ConflictRules(frac=0.15, floor_w=200.0))


@dataclass(frozen=True, slots=True)
class GpuReport:
    """What one source of GPU power had to say.

    Attributes:
        error: what could not be asked; None where all was.
    """

    name: str
    rung: Rung
    readings: Mapping[str, Reading | Missing]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class MeterReport:
    """What one meter had to say.

    Attributes:
        error_frac: share by which it may be off; None for what the plan keeps.
    """

    name: str
    reading: Reading | Missing
    error_frac: float | None = None


@dataclass(frozen=True, slots=True)
class PowerView:
    """What is known of power.

    Attributes:
        gpu_power: of every GPU of the site, by UUID.
        site_power: at the metering point.
    """

    gpu_power: Mapping[str, Reading | Missing]
    site_power: Reading | Missing
    ladder: PowerLadder


@dataclass(frozen=True, slots=True)
class _Chosen:
    reading: Reading | Missing
    rung: Rung
    reason: str = ""


class Ladder:
    """Chooses among the sources of one site, look by look."""

    def __init__(self, site: Site, rules: LadderRules) -> None:
        self._rules = rules
        self._last: dict[tuple[str, str], Reading] = {}
        self._steps: dict[str, Step] = {}
        self._counted: dict[str, Reading] = {}
        self._was_measured = False
        self._conflicts = Conflicts()
        self._splice = EnergySplice()
        self.follow(site)

    def follow(self, site: Site) -> None:
        """Go by the GPUs of the instances there are; what was known of others is forgotten."""
        self._site = site
        self._uuids = [uuid for pool in site.pools for instance in pool.instances for uuid in instance.gpu_uuids]
        there = {*self._uuids, SITE}
        self._last = {key: reading for key, reading in self._last.items() if key[1] in there}
        self._steps = {key: step for key, step in self._steps.items() if key in there}
        self._counted = {uuid: reading for uuid, reading in self._counted.items() if uuid in there}

    def look(self, gpus: tuple[GpuReport, ...], meters: tuple[MeterReport, ...], now_s: float) -> PowerView:
        """What is known after what the sources had to say now."""
        ordered = tuple(sorted(gpus, key=lambda report: report.rung.place))
        chosen = {uuid: self._gpu(uuid, ordered, now_s) for uuid in self._uuids}
        gpu_power = {uuid: one.reading for uuid, one in chosen.items()}
        best = min((report.rung for report in ordered), key=lambda rung: rung.place, default=Rung.MODEL)
        summed = site_power(self._site, gpu_power, now_s=now_s, max_age_s=self._rules.stale_s)
        boards = _boards(summed, chosen, best)
        reading, ladder = self._site_level(meters, boards, best, now_s)
        self._conflicts.keep_only((SITE, *self._uuids))
        return PowerView(
            gpu_power, reading, ladder if not gpus and not meters else self._told(ladder, gpus, meters, now_s)
        )

    def _gpu(self, uuid: str, reports: tuple[GpuReport, ...], now_s: float) -> _Chosen:
        known: list[Reading | None] = []
        for report in reports:
            said = report.readings.get(uuid)
            if isinstance(said, Reading):
                self._last[report.name, uuid] = said
            known.append(self._last.get((report.name, uuid)))
        usable = [reading is not None and self._is_fresh(reading, now_s) for reading in known]
        step = stepped(self._steps.get(uuid, Step()), usable, now_s=now_s, hold_s=self._rules.hold_s)
        self._steps[uuid] = step
        if step.place is None:
            return _Chosen(self._absent(uuid, reports, known, now_s), Rung.MODEL)
        fresh = [
            (reading, report.rung)
            for reading, report, is_usable in zip(known, reports, usable, strict=True)
            if reading and is_usable
        ]
        mine = known[step.place]
        if mine is None:
            raise ValueError(f"{uuid}: step {step.place} has no reading")
        others = [reading for reading, _ in fresh if reading is not mine]
        counted = self._conflicts.judge(uuid, mine, others, rules=self._rules.gpus, now_s=now_s)
        rung = reports[step.place].rung
        if counted is not mine:
            rung = max((rung, *(r for reading, r in fresh if reading is counted)), key=lambda r: r.place)
        self._counted[uuid] = self._splice.take(uuid, counted)
        reason = self._why_not_best(uuid, reports, known, step, now_s)
        if not reason and rung is not reports[step.place].rung:
            reason = f"{uuid}: sources disagree, and the higher value counts"
        return _Chosen(self._counted[uuid], rung, reason)

    def _why_not_best(
        self, uuid: str, reports: tuple[GpuReport, ...], known: list[Reading | None], step: Step, now_s: float
    ) -> str:
        if step.place is None or reports[step.place].rung is reports[0].rung:
            return ""
        if step.better_since_s is not None:
            return f"{uuid}: {reports[0].rung.value} is back, and must stay for {self._rules.hold_s:g} s"
        return _absence(uuid, reports[0], known[0], now_s)

    def _absent(
        self, uuid: str, reports: tuple[GpuReport, ...], known: list[Reading | None], now_s: float
    ) -> Reading | Missing:
        """The last reading that counted, or the newest of the old ones, or why there is none."""
        old = [reading for reading in known if reading is not None]
        if uuid in self._counted:
            return self._counted[uuid]
        if old:
            return replace(max(old, key=lambda reading: reading.observed_at_s), energy_j=None)
        reasons = [_absence(uuid, report, None, now_s) for report in reports]
        return Missing("gpus", "; ".join(reasons[:3]) or "no source of GPU power is configured in signals.power", now_s)

    def _site_level(
        self, meters: tuple[MeterReport, ...], boards: _Chosen, best_board: Rung, now_s: float
    ) -> tuple[Reading | Missing, PowerLadder]:
        meter = self._meter(meters, now_s)
        best = Rung.METER if meters else best_board
        is_metered = isinstance(meter, Reading) and self._is_fresh(meter, now_s)
        is_summed = isinstance(boards.reading, Reading)
        usable = [is_metered, is_summed, self._was_measured]  # before the first measurement nothing is waited for
        self._was_measured = self._was_measured or is_metered or is_summed
        step = stepped(self._steps.get(SITE, Step()), usable, now_s=now_s, hold_s=self._rules.hold_s)
        self._steps[SITE] = step
        rung = (Rung.METER, boards.rung, Rung.MODEL)[2 if step.place is None else step.place]
        reading = meter if rung is Rung.METER or (rung is Rung.MODEL and is_metered) else boards.reading
        other = boards.reading if reading is meter else meter
        site_rules = self._rules.site
        if site_rules is not None and isinstance(reading, Reading) and self._is_fresh(reading, now_s):
            others = [other] if isinstance(other, Reading) and self._is_fresh(other, now_s) else []
            counted = self._conflicts.judge(SITE, reading, others, rules=site_rules, now_s=now_s)
            if counted is not reading:
                reading, rung = counted, max((rung, boards.rung), key=lambda each: each.place)
        if isinstance(reading, Missing) and isinstance(meter, Missing) and meters:
            reading = Missing(meter.source, f"{meter.reason}; {reading.reason}", now_s)
        reason = "" if rung is best else self._why(step, meter if meters else None, boards, now_s)
        errors = (each.error_frac for each in meters if self._last.get((each.name, SITE)) is reading)
        return reading, PowerLadder(rung, best, reason, error_frac=next(errors, None))

    def _meter(self, meters: tuple[MeterReport, ...], now_s: float) -> Reading | Missing:
        """The first meter with a fresh reading, else the freshest reading, else why there is none."""
        known: list[Reading] = []
        reasons: list[str] = []
        for report in meters:
            if isinstance(report.reading, Reading):
                self._last[report.name, SITE] = report.reading
            else:
                reasons.append(f"{report.name}: {report.reading.reason}")
            if (report.name, SITE) in self._last:
                known.append(self._last[report.name, SITE])
        fresh = [reading for reading in known if self._is_fresh(reading, now_s)]
        if fresh:
            return fresh[0]
        if known:
            return max(known, key=lambda reading: reading.observed_at_s)
        return Missing("meter", "; ".join(reasons[:3]) or "no meter is configured", now_s)

    def _why(self, step: Step, meter: Reading | Missing | None, boards: _Chosen, now_s: float) -> str:
        if step.better_since_s is not None:
            return f"a better source is back, and must stay for {self._rules.hold_s:g} s"
        reasons = []
        if isinstance(meter, Missing):
            reasons.append(f"meter: {meter.reason}")
        elif meter is not None and not self._is_fresh(meter, now_s):
            reasons.append(f"meter: {meter.source} is {age_told(meter, now_s)}")
        if isinstance(boards.reading, Missing):
            reasons.append(boards.reading.reason)
        elif boards.reason:
            reasons.append(boards.reason)
        return "; ".join(reasons) or "sources disagree: the higher value counts"

    def _told(
        self, ladder: PowerLadder, gpus: tuple[GpuReport, ...], meters: tuple[MeterReport, ...], now_s: float
    ) -> PowerLadder:
        """The ladder with its conflicts and the state of each source."""
        states = [
            _state(
                report.name,
                report.rung,
                [self._last[report.name, uuid] for uuid in self._uuids if (report.name, uuid) in self._last],
                report.error,
                (now_s, self._rules.stale_s),
            )
            for report in gpus
        ]
        for report in meters:
            last = self._last.get((report.name, SITE))
            error = report.reading.reason if isinstance(report.reading, Missing) else None
            states.append(_state(report.name, Rung.METER, [last] if last else [], error, (now_s, self._rules.stale_s)))
        lasting = self._conflicts.lasting(self._rules.alarm_after_s, now_s)
        return replace(ladder, conflicts=lasting, sources=tuple(states))

    def _is_fresh(self, reading: Reading, now_s: float) -> bool:
        return is_fresh(reading, now_s, self._rules.stale_s)


def _boards(summed: Reading | Missing, chosen: Mapping[str, _Chosen], best: Rung) -> _Chosen:
    """The sum of the GPUs, the worst rung among them, and why it is not the best."""
    rung = max((one.rung for one in chosen.values()), key=lambda each: each.place, default=Rung.MODEL)
    reasons = [one.reason for one in chosen.values() if one.reason]
    more = f"; and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return _Chosen(summed, rung, f"{reasons[0]}{more}" if reasons and rung is not best else "")


def _absence(uuid: str, report: GpuReport, last: Reading | None, now_s: float) -> str:
    said = report.readings.get(uuid)
    if last is not None:
        old = f"{uuid}: {report.name} is {age_told(last, now_s)}"
        return f"{old} ({report.error})" if report.error else old
    if isinstance(said, Missing):
        return said.reason if uuid in said.reason else f"{uuid}: {said.reason}"
    return f"{report.name}: {report.error}" if report.error else f"{report.name} does not show {uuid}"


def _state(
    name: str, rung: Rung, readings: list[Reading], error: str | None, at: tuple[float, float]
) -> PowerSourceState:
    now_s, stale_s = at
    ages_s = [max(0.0, now_s - reading.observed_at_s) for reading in readings]
    fresh = sum(is_fresh(reading, now_s, stale_s) for reading in readings)
    return PowerSourceState(name, rung, fresh, max(ages_s, default=None), error)
