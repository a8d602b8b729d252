"""The study `events`: from its settings to its result and report."""

from __future__ import annotations

from controller.study.events.parts import play_parts
from controller.study.events.report import report
from controller.study.events.result import result
from controller.study.events.settings import EventsStudySettings
from controller.study.study import Outcome, Progress, Study, Working


def run(settings: EventsStudySettings, progress: Progress) -> Outcome:
    """Play all events in this process.

    Raises:
        ConfigError: a drawn fleet cannot be made.
    """
    return run_parts(settings, progress, Working())


def run_parts(settings: EventsStudySettings, progress: Progress, working: Working) -> Outcome:
    """Play some of the events, in several processes.

    Raises:
        ConfigError: no such event, a drawn fleet cannot be made, or the folder holds figures of another scenario.
    """
    first, end = working.parts or (0, settings.events)
    count = max(1, end - first)
    found = result(play_parts(settings, working, lambda done: progress(done / count, f"{done} of {count} events")))
    return Outcome({"result": found}, report(settings, found))


STUDY = Study("events", EventsStudySettings, run, run_parts)
