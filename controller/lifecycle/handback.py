"""Giving instances back: none that sleeps by the controller's command is left asleep when the controller lets go.

The controller lets go of the instances when it ends, and when it comes back in a mode that does not act, for all or for
their pool. What it put to sleep is then woken, as nobody else knows that it should be; under a limit in force only as
much as fits below it. What others put to sleep is not touched.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.model.fleet import Pool, Site
from controller.model.observation import InstanceObservation, InstanceState
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId

SETTLE_S = 30.0
"""Time within which a command to sleep shows in the instance's state."""
_RESTING = {Verb.SLEEP, Verb.STOP}
_VERB_OF_STATE = {InstanceState.SLEEPING: Verb.WAKE, InstanceState.OFF: Verb.START}


class OnExit(StrEnum):
    """What becomes of the instances that sleep by the controller's command when it lets go of them.

    Attributes:
        WAKE: they are woken, under a limit in force only as far as it leaves room.
        LEAVE: they stay asleep, for a controller that comes back soon, or for somebody else to wake.
    """

    WAKE = "wake"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Sleeper:
    """An instance that sleeps or is off by the controller's command, given at `since_s`, or is being woken by it.

    Attributes:
        is_woken: whether it was told to wake since, and has not answered: whatever it says of itself, it is to prove
            that it serves.
    """

    instance_id: InstanceId
    since_s: float
    is_woken: bool = False


@dataclass(frozen=True, slots=True)
class HandBack:
    """What is to be done.

    Attributes:
        commands: wakes and starts, to be given now.
        left: instances that stay asleep, with the reason.
    """

    commands: tuple[InstanceCommand, ...]
    left: tuple[tuple[InstanceId, str], ...]


def commanded(
    sleepers: tuple[Sleeper, ...], commands: tuple[InstanceCommand, ...], now_s: float
) -> tuple[Sleeper, ...]:
    """The sleepers once these commands are given; to be kept before they are, so that none is forgotten."""
    known = {sleeper.instance_id: sleeper for sleeper in sleepers}
    for command in commands:
        name = command.instance_id
        if command.verb in _RESTING:
            known[name] = Sleeper(name, now_s)
        elif command.verb is Verb.WAKE:
            known[name] = replace(known.get(name, Sleeper(name, now_s)), is_woken=True)
    return tuple(known[name] for name in sorted(known))


def unproven(sleepers: tuple[Sleeper, ...]) -> tuple[InstanceId, ...]:
    """Those that were told to wake and have not answered."""
    return tuple(sleeper.instance_id for sleeper in sleepers if sleeper.is_woken)


def still_asleep(
    site: Site,
    sleepers: tuple[Sleeper, ...],
    instances: tuple[InstanceObservation, ...],
    busy: Collection[InstanceId],
    now_s: float,
) -> tuple[Sleeper, ...]:
    """The sleepers less those that serve again and those that are not configured any more.

    Args:
        site: the fleet.
        sleepers: known so far.
        instances: as observed; one that is `waking` is still to prove that it serves.
        busy: instances with a command under way, whose state may be about to change.
        now_s: wall clock.
    """
    configured = {instance.instance_id for pool in site.pools for instance in pool.instances}
    serving = {seen.instance_id for seen in instances if seen.state is InstanceState.SERVING} - set(busy)
    return tuple(
        sleeper
        for sleeper in sleepers
        if sleeper.instance_id in configured
        and not (sleeper.instance_id in serving and abs(now_s - sleeper.since_s) > SETTLE_S)
    )


def hand_back(
    site: Site,
    sleepers: tuple[Sleeper, ...],
    instances: tuple[InstanceObservation, ...],
    headroom_w: float | None,
    *,
    reason: str,
) -> HandBack:
    """Wake or start the sleepers, those of the smallest power first, as far as the headroom goes.

    Those that are coming up already take their part of it first: their power does not show yet.

    Args:
        site: the fleet.
        sleepers: instances to give back; those that are none of the fleet's are left out.
        instances: as observed.
        headroom_w: power that may be added at the meter, None where no limit forbids more.
        reason: for the records.
    """
    pools = {instance.instance_id: pool for pool in site.pools for instance in pool.instances}
    sleepers = tuple(sleeper for sleeper in sleepers if sleeper.instance_id in pools)
    states = {seen.instance_id: seen.state for seen in instances}
    commands: list[InstanceCommand] = []
    left: list[tuple[InstanceId, str]] = []
    room_w = math.inf if headroom_w is None else headroom_w
    room_w -= sum(
        _added_w(site, pools[sleeper.instance_id], states[sleeper.instance_id])
        for sleeper in sleepers
        if states.get(sleeper.instance_id) in (InstanceState.WAKING, InstanceState.STARTING)
    )
    for sleeper in sorted(sleepers, key=lambda s: (pools[s.instance_id].curves.p0_w, s.instance_id)):
        instance_id = sleeper.instance_id
        state = states.get(instance_id, InstanceState.UNREACHABLE)
        if state is InstanceState.UNREACHABLE:
            left.append((instance_id, "it does not answer"))
        elif (verb := _VERB_OF_STATE.get(state)) is not None:
            added_w = _added_w(site, pools[instance_id], state)
            if added_w > room_w:
                left.append((instance_id, f"it would add {added_w:.0f} W where {max(0.0, room_w):.0f} W are left"))
                continue
            room_w -= added_w
            commands.append(InstanceCommand(verb, instance_id, reason))
    return HandBack(tuple(commands), tuple(left))


def _added_w(site: Site, pool: Pool, state: InstanceState) -> float:
    """Power at the meter that an instance adds once it decodes, W."""
    resting_w = pool.curves.sleeping_w if state in (InstanceState.SLEEPING, InstanceState.WAKING) else pool.curves.off_w
    return site.pue * (pool.curves.p0_w - resting_w)
