"""What one worker tells of itself, made when it is asked for. Pure."""

from __future__ import annotations

from router.allocation import Allocation
from router.parts import Parts
from router.slot import Slot
from router.snapshot import InstanceView, LeavingView, Snapshot
from router.spent import spent_of


def snapshot_of(parts: Parts, allocation: Allocation, now_s: float) -> Snapshot:
    """Everything that the decisions have to tell on the admin port."""
    accounts, admission, fleet = parts.accounts, parts.admission, parts.fleet
    for class_id, counts in accounts.classes.items():
        counts.queued = admission.queued(class_id)
        counts.queued_bytes = admission.queued_bytes(class_id)
    return Snapshot(
        now_s=now_s,
        ready=fleet.has_ready(),
        table=allocation.view(now_s),
        classes=list(accounts.classes.values()),
        traffic=accounts.traffic(),
        instances=[_instance_view(slot, now_s) for slot in fleet.slots.values()],
        retries=accounts.retries,
        leaving=[_leaving_view(slot) for slot in fleet.leaving if slot.in_flight],
        unclassified=accounts.unclassified,
        tenants=parts.intake.tenant_counts(),
        spent=spent_of(fleet.slots.values()),
    )


def _instance_view(slot: Slot, now_s: float) -> InstanceView:
    return InstanceView(
        instance_id=slot.spec.instance_id,
        pool_id=slot.spec.pool_id,
        precision=slot.spec.precision.value,
        url=slot.spec.url,
        state=slot.state,
        in_flight=slot.in_flight,
        max_in_flight=slot.max_in_flight,
        draining=slot.draining,
        probe_age_s=None if slot.probed_at_s is None else max(0.0, now_s - slot.probed_at_s),
    )


def _leaving_view(slot: Slot) -> LeavingView:
    spec = slot.spec
    return LeavingView(spec.url, spec.pool_id, spec.precision.value, slot.in_flight)
