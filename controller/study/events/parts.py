"""Plays many events in several processes, each into a file of its own, so that a run that was ended goes on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import msgspec

from controller.errors import ConfigError
from controller.store.replacing import replace_file
from controller.study.events.account import EventFigures
from controller.study.events.play_part import play_part
from controller.study.events.settings import EventsStudySettings
from controller.study.study import Working

Told = Callable[[int], None]


def play_parts(settings: EventsStudySettings, working: Working, told: Told) -> tuple[EventFigures, ...]:
    """The figures of the chosen events, by number; those that are kept already are not played again.

    Args:
        settings: of the scenario.
        working: which events, in how many processes, and where their figures are kept.
        told: hears how many are done.

    Raises:
        ConfigError: no such event, or the folder holds figures of another scenario.
    """
    numbers = _numbers(settings, working)
    kept = {number: found for number in numbers if (found := _kept(settings, working.folder, number)) is not None}
    left = [number for number in numbers if number not in kept]
    told(len(kept))
    for figures in _played(settings, left, working.jobs):
        kept[figures.number] = figures
        _keep(settings, working.folder, figures)
        told(len(kept))
    return tuple(kept[number] for number in numbers)


def _numbers(settings: EventsStudySettings, working: Working) -> range:
    first, end = working.parts or (0, settings.events)
    if not 0 <= first < end <= settings.events:
        raise ConfigError(f"--parts {first}:{end}: events are numbered 0 to {settings.events - 1}; choose among them")
    return range(first, end)


def _played(settings: EventsStudySettings, numbers: list[int], jobs: int) -> Iterator[EventFigures]:
    if jobs == 1:
        _quiet()
        for number in numbers:
            yield play_part(settings, number)
        return
    # Spawned rather than forked: solvers hold threads and locks.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        running = [pool.submit(play_part, settings, number) for number in numbers]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for each in running:
                each.cancel()


def _quiet() -> None:
    """The book of calls tells every step down of a call's references; here the figures tell."""
    logging.getLogger("controller.signals").setLevel(logging.ERROR)


def digest(settings: EventsStudySettings) -> str:
    """By which kept figures are told from those of another scenario; the number of events is no part of it."""
    written = settings.model_dump(mode="json", exclude={"title", "events"})
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:16]


def _path(folder: Path, number: int) -> Path:
    return folder / f"event-{number:05d}.json"


def _kept(settings: EventsStudySettings, folder: Path | None, number: int) -> EventFigures | None:
    if folder is None or not _path(folder, number).is_file():
        return None
    path = _path(folder, number)
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["scenario"] != digest(settings):
            raise ConfigError(f"{path}: holds figures of another scenario; name another folder, or empty this one")
        return msgspec.convert(held["figures"], EventFigures)
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: is no file of figures ({error!r}); delete it, and it is made again") from error


def _keep(settings: EventsStudySettings, folder: Path | None, figures: EventFigures) -> None:
    if folder is None:
        return
    held = {"scenario": digest(settings), "figures": msgspec.to_builtins(figures)}
    path = _path(folder, figures.number)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(held, indent=1).encode())
    except OSError as error:
        raise ConfigError(f"--keep {folder}: cannot be written: {error.strerror}; choose another place") from error
