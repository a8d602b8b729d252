"""What is wanted of each pool now: instances that serve, and instances that are loaded; pure."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from controller.lifecycle.memory import Phase
from controller.lifecycle.views import View
from controller.model.fleet import Site
from controller.model.observation import InstanceState


@dataclass(frozen=True, slots=True)
class Targets:
    """What the plan wants now, a pool each.

    Attributes:
        on: instances serving.
        loaded: instances serving or asleep.
    """

    on: tuple[int, ...]
    loaded: tuple[int, ...]

    def but_left(self, site: Site, found: Targets, unforeseen: Container[int] = ()) -> Targets:
        """These, but for pools that are held, or were not foreseen, of which is wanted what is found."""
        left = [pool.is_held or k in unforeseen for k, pool in enumerate(site.pools)]

        def counts(wanted: tuple[int, ...], there: tuple[int, ...]) -> tuple[int, ...]:
            each = zip(left, wanted, there, strict=True)
            return tuple(is_ if stays else planned for stays, planned, is_ in each)

        return Targets(counts(self.on, found.on), counts(self.loaded, found.loaded))


def as_found(site: Site, views: tuple[View, ...]) -> Targets:
    """What serves, and what is loaded, a pool each; what is on its way serves, unless others have sent for it."""
    on, loaded = [0] * len(site.pools), [0] * len(site.pools)
    for view in views:
        if view.state is not InstanceState.UNREACHABLE:
            comes = view.intent.phase is Phase.WAKE and not site.pools[view.pool_index].is_held
            on[view.pool_index] += view.intent.phase is Phase.SERVE or comes
            loaded[view.pool_index] += view.intent.phase is not Phase.OFF
    return Targets(tuple(on), tuple(loaded))
