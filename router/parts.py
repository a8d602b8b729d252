"""What a dispatcher is made of: built from settings, and later from others, with what goes on taken over. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from router.accounting import Accounts
from router.admission import Admission
from router.contract import ClassId, InstanceId, PoolId, Precision
from router.discovery.static import list_instances
from router.exchange import InstanceSpec
from router.failover import RetryBudget
from router.fleet import Fleet
from router.intake import Intake
from router.policy import ClassPolicy, Lane
from router.settings import ClassSettings, RouterFile
from router.slot import Slot
from router.tenants.roster import Roster
from router.tenants.shared_limits import TenantBook
from router.tenants.tenant import TenantSpec

Held = dict[int, tuple[Slot, Lane]]
"""Where each request in flight is counted, by the serial of its reservation."""

_RANK = {precision: rank for rank, precision in enumerate(Precision)}


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that depends on settings, but for the ladder of tables.

    Attributes:
        classes: of the settings, and those that are gone but have requests in flight or waiting.
    """

    specs: tuple[InstanceSpec, ...]
    classes: dict[ClassId, ClassSettings]
    fleet: Fleet
    admission: Admission
    budget: RetryBudget
    accounts: Accounts
    policies: dict[ClassId, ClassPolicy]
    roster: Roster | None
    intake: Intake


def make_parts(settings: RouterFile, tenants: Sequence[TenantSpec], book: TenantBook | None = None) -> Parts:
    """Parts that know nothing yet."""
    classes = {ClassId(cls.name): cls for cls in settings.classes}
    specs, fleet = _make_fleet(settings)
    accounts = Accounts(classes)
    policies = {class_id: _make_policy(cls, fleet, accounts) for class_id, cls in classes.items()}
    roster = _make_roster(settings, tenants, book)
    return Parts(
        specs=specs,
        classes=classes,
        fleet=fleet,
        admission=Admission(settings.classes),
        budget=RetryBudget(settings.router.retry),
        accounts=accounts,
        policies=policies,
        roster=roster,
        intake=Intake(settings, policies, accounts, roster),
    )


def succeed(
    old: Parts, held: Held, settings: RouterFile, tenants: Sequence[TenantSpec], book: TenantBook | None = None
) -> tuple[Parts, Held]:
    """Parts for other settings, and where what is in flight is counted from now on; `old` is not to be used again.

    Engines are recognised by their addresses, classes and pools by their names. A class that is gone gets no new
    request and ends with its last one.
    """
    specs, fleet = _make_fleet(settings)
    stayed = fleet.adopt(old.fleet)
    classes = {**_ending(old), **{ClassId(cls.name): cls for cls in settings.classes}}
    old.accounts.keep(classes, fleet.pools)
    policies = {class_id: _make_policy(cls, fleet, old.accounts) for class_id, cls in classes.items()}
    for class_id, policy in policies.items():
        if class_id in old.policies:
            policy.adopt(old.policies[class_id])
    admission = Admission(classes.values())
    admission.adopt(old.admission)
    budget = RetryBudget(settings.router.retry)
    budget.adopt(old.budget)
    roster = _make_roster(settings, tenants, book, old.roster)
    parts = Parts(
        specs=specs,
        classes=classes,
        fleet=fleet,
        admission=admission,
        budget=budget,
        accounts=old.accounts,
        policies=policies,
        roster=roster,
        intake=Intake(settings, policies, old.accounts, roster),
    )
    return parts, {serial: _moved(slot, lane, stayed, policies) for serial, (slot, lane) in held.items()}


def names_of(parts: Parts) -> Iterator[InstanceId]:
    """Of the instances, those that left and have requests yet included."""
    return (slot.spec.instance_id for slot in (*parts.fleet.slots.values(), *parts.fleet.leaving))


def _ending(parts: Parts) -> dict[ClassId, ClassSettings]:
    """Classes with requests in flight or waiting."""
    counts, admission = parts.accounts.classes, parts.admission
    return {
        class_id: cls
        for class_id, cls in parts.classes.items()
        if counts[class_id].in_flight or admission.queued(class_id)
    }


def _moved(
    slot: Slot, lane: Lane, stayed: Mapping[Slot, Slot], policies: Mapping[ClassId, ClassPolicy]
) -> tuple[Slot, Lane]:
    """Where a request in flight is counted from now on: one on an engine that is gone, where it was."""
    to = stayed.get(slot)
    if to is None:
        return slot, lane
    new = policies[ClassId(lane.tally.traffic.class_id)].lane_of.get(to.pool.number)
    return to, new if new is not None and new.pool.pool_id == lane.pool.pool_id else lane


def _make_fleet(settings: RouterFile) -> tuple[tuple[InstanceSpec, ...], Fleet]:
    specs = list_instances(settings.pools)
    weights = {PoolId(pool.name): pool.static_weight for pool in settings.pools}
    pools = [(PoolId(pool.name), pool.precision) for pool in settings.pools]
    return specs, Fleet(specs, weights, health=settings.router.health, pools=pools)


def _make_policy(cls: ClassSettings, fleet: Fleet, accounts: Accounts) -> ClassPolicy:
    class_id = ClassId(cls.name)
    pools = [pool for pool in fleet.pools.values() if not cls.precisions or pool.precision in cls.precisions]
    # A class that is ending may be left without any pool.
    best = min((_RANK[pool.precision] for pool in pools), default=0)
    lanes = [
        Lane(pool, accounts.tally_of(class_id, pool.pool_id), is_degraded=_RANK[pool.precision] > best)
        for pool in pools
    ]
    return ClassPolicy(fleet, lanes, accounts.classes[class_id], cls.expected_output_tokens)


def _make_roster(
    settings: RouterFile, tenants: Sequence[TenantSpec], book: TenantBook | None, old: Roster | None = None
) -> Roster | None:
    if settings.tenants is None:
        if old is not None:
            old.reconfigure((), max_labels=0)  # ends the keys, and lets go of what is shared
        return None
    most = settings.tenants.max_tenant_labels
    if old is None:
        return Roster(tenants, max_labels=most, book=book)
    old.reconfigure(tenants, max_labels=most)
    return old
