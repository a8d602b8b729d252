"""What is told to be sheddable without notice, and what is then drawn: ``python -m tests.bench.sheds [--loads N ...]``.

A simulated fleet of three pools under the service's own decisions, once for each random load
(`tests.fakes.called_fleet`; curves of an H100's order, stated estimates). Each limit that is told without notice is
called with a ramp as long as its lead, and so is one 5 % below it, which should cost more. What is drawn is read off
the simulated meter, and what a call costs off the promises that its ticks break from the ramp's end on.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.capability import Offer, QosCost
from tests.fakes.called_fleet import CalledFleet, drawn, told

LASTS_S, MEAN_S = 300.0, 10.0
"""A call goes on for so long beyond its ramp; what is drawn at a time is the mean of the seconds after it."""
LOOKS_S = (30.0, 60.0, 290.0)
BELOW = 0.95
"""Share of what is told that should cost more."""


@dataclass(frozen=True, slots=True)
class Called:
    """What came of a call.

    Attributes:
        drawn_w: after each of `LOOKS_S`.
        mean_w: from the ramp's end to the end.
        is_kept: the mean is at or below the limit, no promise is broken that the cost does not let yield, none is lost.
    """

    drawn_w: tuple[float, ...]
    mean_w: float
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One offer, called; and 5 % less."""

    load: int
    before_w: float
    offer: Offer
    called: Called
    below: Called

    @property
    def tightness_frac(self) -> float:
        """What is drawn, as a share of the limit that is told."""
        return self.called.mean_w / self.offer.achievable_w


def call(base: CalledFleet, limit_w: float, offer: Offer) -> Called:
    """Play a call from now on."""
    loop = copy.deepcopy(base)
    now_s, lost, breaks = loop.fleet.now_s, loop.lost, 0
    from_s = loop.call(limit_w, offer.lead_s, LASTS_S)
    for _ in range(round(LASTS_S / 2.0) - 1):
        breaks += bool(loop.run(2.0).broken(offer.cost))
    mean_w = loop.mean_w(from_s)
    looks_w = tuple(loop.mean_w(now_s + after_s, now_s + after_s + MEAN_S) for after_s in LOOKS_S)
    return Called(looks_w, mean_w, mean_w <= limit_w and breaks == 0 and loop.lost == lost)


def rows(load: int) -> list[Row]:
    """The different offers without notice of one load."""
    base = drawn(load)
    known, seen, found = told(base.facts), set[int](), list[Row]()
    for cost in QosCost:
        offer = known.at(known.leads_s[0], cost)
        if offer is None or offer.broken or round(offer.achievable_w) in seen:
            continue
        seen.add(round(offer.achievable_w))
        below = call(base, BELOW * offer.achievable_w, offer)
        found.append(Row(load, known.drawn_w or 0.0, offer, call(base, offer.achievable_w, offer), below))
    return found


def table(found: Sequence[Row]) -> str:
    """A row for each offer, and the whole."""
    lines = [
        "| load | cost | drawn before, kW | told, kW | after 30 s | 1 min | 5 min | drawn / told | kept |"
        " 5 % less costs more |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in found:
        looks = " | ".join(f"{watts / 1e3:.2f}" for watts in row.called.drawn_w)
        lines.append(
            f"| {row.load} | `{row.offer.cost.value}` | {row.before_w / 1e3:.2f} | {row.offer.achievable_w / 1e3:.2f} |"
            f" {looks} | {row.tightness_frac:.3f} | {said(row.called.is_kept)} | {said(not row.below.is_kept)} |"
        )
    shares = [row.tightness_frac for row in found]
    kept, tight = (sum(flags) for flags in zip(*((r.called.is_kept, not r.below.is_kept) for r in found), strict=True))
    lines.append(
        f"\n{len(found)} offers: {kept} kept, {tight} of which 5 % less costs more; drawn / told"
        f" {min(shares):.3f} to {max(shares):.3f}, median {statistics.median(shares):.3f}"
    )
    return "\n".join(lines) + "\n"


def said(flag: bool) -> str:
    """For people."""
    return "yes" if flag else "no"


def main(loads: Sequence[int]) -> None:
    """Run and print the table."""
    sys.stdout.write(table([row for load in loads for row in rows(load)]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, nargs="+", default=list(range(1, 13)))
    main(parser.parse_args().loads)
