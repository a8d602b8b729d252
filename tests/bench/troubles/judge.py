"""Whether what was seen is what is promised. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.troubles.crowd import WHOLE, Asked
from tests.bench.troubles.script import Kind, Trouble

NOTICED_S = 1.5
"""Until a balancer has seen that a router is gone."""


@dataclass(frozen=True, slots=True)
class Look:
    """What routers and controllers said at one moment.

    Attributes:
        sequences: of the table that each router obeys freshly, -1 where none.
        leaders: controllers that said that they lead.
        has_call: whether the leader has the call in force; None where nobody leads.
    """

    at_s: float
    sequences: Mapping[str, int]
    leaders: tuple[str, ...]
    has_call: bool | None


@dataclass(frozen=True, slots=True)
class Requests:
    """How many.

    Attributes:
        with_router: that ended with the router that had them, which was killed.
        begun: streams that broke off, as the engine that wrote them was killed, deleted or frozen.
        lost: all others that are not whole, by what came instead, when they were asked for and of which router.
    """

    whole: int
    with_router: int
    begun: int
    lost: Mapping[str, int]


def requests(asked: Iterable[Asked], script: Sequence[Trouble], begin_s: float, routers: Sequence[str]) -> Requests:
    """Of a play that began at `begin_s`, by the clock of `asked`."""
    counts: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for each in asked:
        during = [
            one for one in script if each.at_s - begin_s < one.end_s + NOTICED_S and one.at_s < each.end_s - begin_s
        ]
        if each.outcome == WHOLE:
            counts["whole"] += 1
        elif any(_ends_with(each.router, one, routers) for one in during):
            counts["with_router"] += 1
        elif each.has_begun and any(one.group == "engine" for one in during):
            counts["begun"] += 1
        else:
            lost[f"{each.outcome} at {each.at_s - begin_s:.1f} s of {each.router}"] += 1
    return Requests(counts["whole"], counts["with_router"], counts["begun"], lost)


def _ends_with(router: str, trouble: Trouble, routers: Sequence[str]) -> bool:
    return trouble.group == "router" and trouble.kind is Kind.KILL and routers[trouble.number] == router


def faults(looks: Sequence[Look], script: Sequence[Trouble], begin_s: float, routers: Sequence[str]) -> list[str]:
    """Tables that went back at a router that was not started anew, two who lead, a call that is forgotten."""
    found = []
    newest: dict[str, int] = {}
    births = sorted((begin_s + one.end_s, routers[one.number]) for one in script if _is_birth(one))
    for look, following in zip(looks, [*looks[1:], None], strict=True):
        while births and births[0][0] <= look.at_s:
            newest.pop(births.pop(0)[1], None)
        for router, sequence in look.sequences.items():
            if -1 < sequence < newest.get(router, -1):
                found.append(f"{look.at_s - begin_s:.1f} s: {router} went back from {newest[router]} to {sequence}")
            newest[router] = max(sequence, newest.get(router, -1))
        if following is not None and len(look.leaders) > 1 and len(following.leaders) > 1:
            found.append(f"{look.at_s - begin_s:.1f} s: {look.leaders} lead")
        if look.has_call is False:
            found.append(f"{look.at_s - begin_s:.1f} s: {look.leaders} knows nothing of the call")
    return found


def _is_birth(trouble: Trouble) -> bool:
    return trouble.group == "router" and trouble.kind is Kind.KILL


def out_of_bounds(written: Iterable[int], least: int, most: int) -> list[int]:
    """Replicas that were written and may not be."""
    return [replicas for replicas in written if not least <= replicas <= most]
