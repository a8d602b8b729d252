"""Who leads, as the page and the API show it; pure."""

from __future__ import annotations

from typing import Any

from controller.loop.leadership import LeadershipStatus, Role

Json = dict[str, Any]


def election_json(status: LeadershipStatus) -> Json:
    """The part `election` of a snapshot; None is not known."""
    return {
        "role": status.role.value,
        "identity": status.identity,
        "leader": status.leader,
        "leader_address": status.address,
        "has_standby": status.has_standby,
        "failure": status.failure,
    }


def election_steps(status: LeadershipStatus) -> list[Json]:
    """Lines of the ladder: that this controller stands by, that none could take over, that the lease cannot be had."""
    steps = []
    if status.role is Role.STANDBY:
        leader = "nobody is known to lead" if status.leader is None else f"the leader is {status.leader}"
        where = "" if status.address is None else f" at {status.address}"
        steps.append(("standby", f"{leader}{where}; what is shown here is planned, not done"))
    elif status.has_standby is False:
        steps.append(("no_standby", "no other controller has been seen within 20 s: none would take over"))
    if status.failure is not None:
        steps.append(("failing", status.failure))
    return [{"ladder": "election", "step": step, "reason": reason, "subject": ""} for step, reason in steps]
