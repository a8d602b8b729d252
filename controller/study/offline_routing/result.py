"""What a run of the study found. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.study.offline_routing.case import Point
from controller.study.offline_routing.online import Flow
from controller.study.offline_routing.zeta import Choice


@dataclass(frozen=True, slots=True)
class Swept:
    """One zeta of the sweep.

    Attributes:
        blind_energy_j: least energy of a router that is as accurate without looking at a query's length; None where
            none is, or where the models' ranges differ.
    """

    point: Point
    blind_energy_j: float | None


@dataclass(frozen=True, slots=True)
class Alone:
    """A model that serves all queries; `point` is None where some are outside of its range."""

    model: str
    point: Point | None


@dataclass(frozen=True, slots=True)
class OnlineSwept:
    """One zeta, routed as the queries arrive: by cost alone, and with waiting at a price."""

    zeta: float
    unaware: Flow
    aware: Flow


@dataclass(frozen=True, slots=True)
class Online:
    """Routing as queries arrive.

    Attributes:
        zeta: the one that `flows` use.
        flows: one a rule.
        sweep: rules by cost at every zeta.
    """

    zeta: float
    flows: tuple[Flow, ...]
    sweep: tuple[OnlineSwept, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """All figures of a run.

    Attributes:
        models: names, in the order of all counts.
        groups: lengths that differ; queries of equal length share a coefficient.
        below_zero_frac: share of fitted energies below zero, raised to it.
    """

    models: tuple[str, ...]
    sources: tuple[str, ...]
    queries: int
    queries_left_out: int
    queries_source: str
    groups: int
    below_zero_frac: float
    alone: tuple[Alone, ...]
    sweep: tuple[Swept, ...]
    choices: tuple[Choice, ...]
    online: Online | None
