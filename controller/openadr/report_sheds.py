"""What a report of LOAD_SHED_DELTA_AVAILABLE tells: the mean reduction of an interval, if it were called for now.

At each moment of the interval the deepest offer counts that is reached by then, costs no more than may be spent, and
has not run out. Durations count from the first reduction on, since whatever costs something spends of one budget. Of
what counts no more is told than a derate leaves.
"""

from __future__ import annotations

from itertools import pairwise

from controller.model.capability import QosCost
from controller.model.derate import Derates, tightest
from controller.model.grid import Precedence
from controller.openadr.descriptors import Stretch
from controller.openadr.report_inputs import Shed

_COSTS = tuple(QosCost)


def cost_of(precedence: Precedence) -> QosCost:
    """What a call of a programme may cost those who are served, at most.

    A contract that goes before the classes also holds back those that may wait, then exceeds quality budgets; one that
    yields to them spends saved quality and no more.
    """
    return QosCost.HELD if precedence is Precedence.CONTRACT else QosCost.QUALITY


def within_cost(sheds: tuple[Shed, ...], cost: QosCost) -> tuple[Shed, ...]:
    """The offers that cost at most that."""
    return tuple(shed for shed in sheds if _COSTS.index(shed.cost) <= _COSTS.index(cost))


def mean_shed_w(sheds: tuple[Shed, ...], now_s: float, stretch: Stretch, derates: Derates = ()) -> float | None:
    """Mean over an interval of what can be shed, W; None where no offer is known, or the interval is over."""
    if not sheds or stretch.end_s <= now_s:
        return None
    first_s = max(stretch.start_s, now_s + min(shed.horizon_s for shed in sheds))
    spans = [(now_s + shed.horizon_s, _end_s(shed, first_s), shed.shed_w) for shed in sheds]
    edges = {stretch.start_s, stretch.end_s} | {edge for span in spans for edge in span[:2]}
    edges |= {edge for each in derates for edge in (each.start_s, each.end_s)}
    within = sorted(edge for edge in edges if stretch.start_s <= edge <= stretch.end_s)
    energy_j = 0.0
    for start_s, end_s in pairwise(within):
        held_w = (shed_w for from_s, until_s, shed_w in spans if from_s <= start_s and end_s <= until_s)
        derate = tightest(derates, start_s)
        most_w = float("inf") if derate is None else derate.shed_w
        energy_j += min(most_w, max(held_w, default=0.0)) * (end_s - start_s)
    return energy_j / (stretch.end_s - stretch.start_s)


def _end_s(shed: Shed, first_s: float) -> float:
    return float("inf") if shed.duration_s is None else first_s + shed.duration_s
