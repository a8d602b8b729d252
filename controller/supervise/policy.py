"""What becomes of an engine's process next: started, waited for, ended, started again later each time; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from router.backoff import backoff_s

AGAIN_S = 1.0
"""Pause between two tries to start one that may not be started yet."""


class Phase(StrEnum):
    """Where an engine stands; the values are what `GET /instances` tells."""

    OFF = "off"
    STARTING = "starting"
    SERVING = "serving"
    """Its process runs and has answered /health; it may be asleep."""
    STOPPING = "stopping"
    WAITING = "waiting"
    """It may not be started yet, through no fault of its own; that is tried again all the time."""
    CRASHED = "crashed"
    """Its process has ended by itself, and is started again after a while."""
    FAILED = "failed"
    """It has ended too often and is given up."""


class Act(StrEnum):
    """What is to be done to the process."""

    START = "start"
    TERMINATE = "terminate"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Rules:
    """Times and bounds of one engine.

    Attributes:
        ready_s: longest from the start of the process to the first good /health.
        stop_s: from SIGTERM to SIGKILL.
        first_s, longest_s: back-off after a crash: the first, and the longest.
        most_crashes, window_s: so many crashes within so long, and it is given up.
        hung_s: how long /health may fail before the process is ended and started again; None lets it be.
    """

    ready_s: float
    stop_s: float
    first_s: float
    longest_s: float
    most_crashes: int
    window_s: float
    hung_s: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of the process.

    Attributes:
        ending: how it has ended; empty while it runs.
        is_healthy: whether /health is good, as far as is known.
        ill_s: for how long it has not been.
    """

    is_alive: bool
    ending: str = ""
    is_healthy: bool = False
    ill_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Life:
    """All that is remembered of one engine.

    Attributes:
        wanted: whether it is to run.
        since_s: monotonic time since when it is in its phase.
        crashes: monotonic times of those in the window.
        retry_at_s: when a crashed one is started again, or one that waits is tried again.
        fault: why it crashed last, was given up or waits; empty once it serves or is not wanted.
        ends_for: why it is being ended although it is wanted; empty otherwise.
    """

    wanted: bool
    phase: Phase
    since_s: float
    crashes: tuple[float, ...] = ()
    retry_at_s: float = 0.0
    fault: str = ""
    ends_for: str = ""


def asked(life: Life, now_s: float, *, wanted: bool) -> Life:
    """What an order to run, or not to, changes; one that was given up and is asked for begins anew."""
    if wanted and not life.wanted:
        life = replace(life, wanted=True)
    if wanted and life.phase is Phase.FAILED:
        return Life(wanted=True, phase=Phase.OFF, since_s=now_s)
    if not wanted and life.phase in (Phase.WAITING, Phase.CRASHED, Phase.FAILED):
        return Life(wanted=False, phase=Phase.OFF, since_s=now_s)
    return replace(life, wanted=wanted)


def step(life: Life, seen: Seen, now_s: float, draw: float, rules: Rules) -> tuple[Life, Act | None]:
    """The next phase, and what is to be done now.

    Args:
        life: what is remembered.
        seen: of the process at this moment.
        now_s: monotonic.
        draw: from 0 to 1, by chance, for the back-off.
        rules: of this engine.
    """
    if life.phase in (Phase.OFF, Phase.WAITING, Phase.CRASHED, Phase.FAILED):
        return _idle(life, now_s)
    if not seen.is_alive:
        if not life.wanted:
            return Life(wanted=False, phase=Phase.OFF, since_s=now_s), None
        if life.phase is Phase.STOPPING and not life.ends_for:  # asked for again while it ended
            return Life(wanted=True, phase=Phase.OFF, since_s=now_s, crashes=life.crashes), None
        return crashed(life, life.ends_for or seen.ending, now_s, draw, rules), None
    if life.phase is Phase.STOPPING:
        return (life, Act.KILL) if now_s - life.since_s >= rules.stop_s else (life, None)
    return _running(life, seen, now_s, rules)


def crashed(life: Life, reason: str, now_s: float, draw: float, rules: Rules) -> Life:
    """A process that was wanted has ended or could not be started: again after a while, or given up."""
    crashes = (*(at_s for at_s in life.crashes if now_s - at_s < rules.window_s), now_s)
    if len(crashes) >= rules.most_crashes:
        fault = f"given up after {len(crashes)} crashes within {rules.window_s:g} s; the last one: {reason}"
        return Life(wanted=True, phase=Phase.FAILED, since_s=now_s, crashes=crashes, fault=fault)
    wait_s = backoff_s(len(crashes), draw, first_s=rules.first_s, longest_s=rules.longest_s)
    return Life(
        wanted=True, phase=Phase.CRASHED, since_s=now_s, crashes=crashes, retry_at_s=now_s + wait_s, fault=reason
    )


def postponed(life: Life, reason: str, now_s: float) -> Life:
    """One that may not be started yet waits, and that is no crash; those that it had still count."""
    since_s = life.since_s if life.phase is Phase.WAITING else now_s
    return replace(life, phase=Phase.WAITING, since_s=since_s, retry_at_s=now_s + AGAIN_S, fault=reason)


def begun(life: Life, now_s: float) -> Life:
    """Its process was started; what it waited for is over."""
    return life if life.phase is Phase.STARTING else replace(life, phase=Phase.STARTING, since_s=now_s, fault="")


def _idle(life: Life, now_s: float) -> tuple[Life, Act | None]:
    is_due = life.phase is Phase.OFF or (life.phase is not Phase.FAILED and now_s >= life.retry_at_s)
    if not life.wanted or not is_due:
        return life, None
    if life.phase is Phase.WAITING:  # it goes on to wait until its process was started
        return replace(life, retry_at_s=now_s + AGAIN_S), Act.START
    return replace(life, phase=Phase.STARTING, since_s=now_s), Act.START


def _running(life: Life, seen: Seen, now_s: float, rules: Rules) -> tuple[Life, Act | None]:
    if not life.wanted:
        return replace(life, phase=Phase.STOPPING, since_s=now_s), Act.TERMINATE
    if life.phase is Phase.STARTING:
        if seen.is_healthy:
            return replace(life, phase=Phase.SERVING, since_s=now_s, fault=""), None
        if now_s - life.since_s >= rules.ready_s:
            return _ended(life, f"/health was not good within {rules.ready_s:g} s of the start", now_s)
    elif rules.hung_s is not None and seen.ill_s >= rules.hung_s:
        return _ended(life, f"/health failed for {seen.ill_s:.0f} s", now_s)
    return life, None


def _ended(life: Life, reason: str, now_s: float) -> tuple[Life, Act]:
    return replace(life, phase=Phase.STOPPING, since_s=now_s, ends_for=reason), Act.TERMINATE
