"""One instance as one worker sees it: its caps, its load and whether it may get requests. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from router.exchange import InstanceSpec
from router.health import Health, HealthState

if TYPE_CHECKING:
    from router.pool import Pool


@final
class Slot:
    """One instance.

    Attributes:
        ordinal: position in the configuration, from 0.
        cap: most requests that this worker may have on it: what the others leave of `max_in_flight`.
        max_in_flight: most requests that all workers together may have on it; 0 closes the instance.
        in_flight: requests of this worker on it.
        others: requests of the other workers on it, as of the last look; they count in `extra`.
        row: where the workers' shared book has it.
        extra: its load that is not this worker's, in requests, as of the last probe and the last look.
        load: `in_flight` + `extra`.
        load_at_s: when it last told its load.
        probed_at_s: when it last answered a probe, None if it never did.
        asked: a probe of it has ended, well or not.
        proven: it has told its load at least once.
        used: [input, output] tokens of the answers that ended on it, by class.
        withheld: it was asked and has not, while another instance is known to be awake; or it joined since.
        ready: it is among its pool's instances to choose from.
        free: it is ready and below its cap, and so stands in a circle.
        after, before: its neighbours there.
    """

    __slots__ = (
        "after",
        "asked",
        "before",
        "cap",
        "draining",
        "extra",
        "free",
        "health",
        "in_flight",
        "load",
        "load_at_s",
        "max_in_flight",
        "ordinal",
        "others",
        "pool",
        "probed_at_s",
        "proven",
        "ready",
        "row",
        "sleeping",
        "spec",
        "used",
        "withheld",
    )

    def __init__(self, spec: InstanceSpec, pool: Pool, health: Health, ordinal: int) -> None:
        self.spec = spec
        self.pool = pool
        self.health = health
        self.ordinal = ordinal
        self.cap = 0
        self.max_in_flight = 0
        self.in_flight = 0
        self.others = 0
        self.row = -1
        self.extra = 0
        self.load = 0
        self.load_at_s = 0.0
        self.probed_at_s: float | None = None
        self.sleeping = False
        self.draining = False
        self.asked = False
        self.proven = False
        self.withheld = False
        self.ready = False
        self.free = False
        self.used: dict[str, list[int]] = {}
        self.after = self.before = self

    def adopt(self, old: Slot) -> None:
        """Take over what is known of the same engine under other settings, and its requests; its pool is to refresh."""
        self.health.adopt(old.health)
        self.in_flight = old.in_flight
        self.others = old.others
        self.extra = old.extra
        self.load = old.load
        self.load_at_s = old.load_at_s
        self.probed_at_s = old.probed_at_s
        self.sleeping = old.sleeping
        self.asked = old.asked
        self.proven = old.proven
        self.used = old.used

    def spend(self, class_id: str, input_tokens: int, output_tokens: int) -> None:
        """Count the tokens of an answer that ended here."""
        used = self.used.get(class_id)
        if used is None:
            used = self.used[class_id] = [0, 0]
        used[0] += input_tokens
        used[1] += output_tokens

    @property
    def is_open(self) -> bool:
        """Whether it may get requests at all, health aside."""
        return self.max_in_flight > 0 and not self.draining and not self.sleeping and not self.withheld

    @property
    def is_last_means(self) -> bool:
        """Whether it may get requests though it is ejected, where no other can serve."""
        return self.is_open and self.health.state is HealthState.EJECTED and self.health.is_answering

    @property
    def state(self) -> str:
        """For people and the controller: ``up``, ``suspect``, ``ejected`` or ``asleep``."""
        if self.health.state is not HealthState.EJECTED and self.sleeping:
            return "asleep"
        return self.health.state.value
