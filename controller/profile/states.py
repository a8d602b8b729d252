"""What a profile says of an instance without work: measured where it was, else what is known or assumed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.perf import Evidence
from controller.profile.cells import Rest
from controller.profile.design import Limits
from controller.settings.curves_file import GroupSection

ASSUMED_CHANGE_S = 5.0
ASSUMED_START_S = 120.0
"""Cold start within the published 30 to more than 100 s, and some."""


@dataclass(frozen=True, slots=True)
class States:
    """Power without work, and times to change state.

    Attributes:
        group: where the figures come from.
    """

    idle_w: float
    sleeping_w: float
    off_w: float
    wake_s: float
    sleep_s: float
    start_s: float
    group: GroupSection


@dataclass(frozen=True, slots=True)
class Given:
    """What the operator knows; None where he said nothing."""

    sleeping_w: float | None = None
    off_w: float | None = None
    wake_s: float | None = None
    sleep_s: float | None = None
    start_s: float | None = None


def states(rest: Rest, given: Given) -> States:
    """Measured before given before assumed; an assumption never promises a saving that was not measured."""
    told: list[str] = ["idle power measured"]

    def pick(name: str, measured: float | None, known: float | None, assumed: float, why: str) -> float:
        if measured is not None:
            told.append(f"{name} measured")
            return measured
        if known is not None:
            told.append(f"{name} given by the operator")
            return known
        told.append(f"{name} assumed {why}")
        return assumed

    sleeping_w = pick("sleeping power", rest.sleeping_w, given.sleeping_w, rest.idle_w, "to be the idle power")
    off_w = pick("power of a stopped process", None, given.off_w, sleeping_w, "to be the sleeping power")
    sleep_s = pick("time to fall asleep", rest.sleep_s, given.sleep_s, ASSUMED_CHANGE_S, f"{ASSUMED_CHANGE_S:g} s")
    wake_s = pick("time to wake", rest.wake_s, given.wake_s, ASSUMED_CHANGE_S, f"{ASSUMED_CHANGE_S:g} s")
    start_s = pick("cold start", None, given.start_s, ASSUMED_START_S, f"{ASSUMED_START_S:g} s")
    is_measured = rest.sleeping_w is not None
    evidence = Evidence.MEASURED if is_measured else Evidence.ESTIMATED
    group = GroupSection(evidence=evidence, source="; ".join(told))
    return States(rest.idle_w, sleeping_w, off_w, wake_s, sleep_s, start_s, group)


def context(limits: Limits, largest: int, tokens: int) -> tuple[int, int, GroupSection]:
    """Room for context, largest batch, and where both come from.

    Args:
        limits: as the engine tells them.
        largest: batch measured.
        tokens: context that it held then.
    """
    told = "told by the engine" if limits.kv_capacity_tokens else "only what was seen to be held"
    batch = "told by the engine" if limits.max_num_seqs else "the largest load measured"
    is_told = bool(limits.kv_capacity_tokens and limits.max_num_seqs)
    return (
        limits.kv_capacity_tokens or tokens,
        limits.max_num_seqs or largest,
        GroupSection(
            evidence=Evidence.MEASURED if is_told else Evidence.ESTIMATED,
            source=f"room for context {told}; largest batch {batch}",
        ),
    )
