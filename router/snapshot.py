"""The state of a worker at one moment, and the sum of several. Pure; encodable with msgspec.

A router with several workers passes snapshots from each to the process that answers the admin port.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from router.accounting import ClassCounts, Traffic, add_counts
from router.canary import Sample
from router.histogram import Histogram
from router.ladder import TableState
from router.spent import Spent, merge_spent
from router.tenants.counts import TenantCounts, merge_tenants

_RUNGS = [TableState.FRESH.value, TableState.LAST_GOOD.value, TableState.STATIC.value]
INSTANCE_STATES = ("up", "suspect", "ejected", "asleep")
"""States of an instance, each worse than the one before."""
LOADS_STATES = ("shared", "own")


class TableView(msgspec.Struct):
    """The allocation table obeyed; sequence -1 and the rest None without one.

    Attributes:
        issued_at_s, expires_at_s: by the router's clock, of which the issuer's is `clock_ahead_s` behind.
    """

    state: str
    sequence: int
    issuer: str | None = None
    issued_at_s: float | None = None
    expires_at_s: float | None = None
    clock_ahead_s: float | None = None
    refused: dict[str, int] = {}
    unknown_names: int = 0


class InstanceView(msgspec.Struct):
    """One instance: `in_flight` is this worker's, `max_in_flight` holds for all workers together.

    Attributes:
        probe_age_s: time since it last answered a probe, None if it never did.
    """

    instance_id: str
    pool_id: str
    precision: str
    url: str
    state: str
    in_flight: int
    max_in_flight: int
    draining: bool
    probe_age_s: float | None = None


class DiscoveryView(msgspec.Struct):
    """What is known of the engines of one pool that has discovery.

    Attributes:
        kind: of the source.
        told: whether the source has told at least once.
        age_s: time since what is known was last confirmed, None before the source has told.
        endpoints: how many there are, by state: ``ready``, ``draining``, ``unready``, ``left_out``.
        failures: how often the source could not tell.
        error: why it cannot tell now, None if it does.
        problems: what is wrong with engines that were left out.
    """

    pool_id: str
    kind: str
    told: bool
    age_s: float | None
    endpoints: dict[str, int]
    failures: int
    error: str | None = None
    problems: tuple[str, ...] = ()


class LeavingView(msgspec.Struct):
    """An engine that is no longer configured, and the requests it has yet."""

    url: str
    pool_id: str
    precision: str
    in_flight: int


class ConfigView(msgspec.Struct):
    """The configuration obeyed.

    Attributes:
        workers_by_hash: how many processes go by the configuration of each hash; one hash where all agree.
        loaded_at_s: wall clock when the latest was taken, None while the one of the start holds.
        reloads: attempts to take a changed one, by result.
        error: why the last attempt failed, None if it did not.
        needs_restart: keys that were changed in the file but hold only from the next start on.
        in_clear: settings by which the table, or an engine's key, goes unencrypted between machines.
    """

    workers_by_hash: dict[str, int] = {}
    loaded_at_s: float | None = None
    reloads: dict[str, int] = {}
    error: str | None = None
    needs_restart: tuple[str, ...] = ()
    in_clear: tuple[str, ...] = ()


class LoadsView(msgspec.Struct):
    """Whose looks at the engines the router goes by.

    Attributes:
        state: ``shared`` while the controller's stand for most of its own, ``own`` while it goes by its own alone.
        age_s: since the controller told them last, None before the first time.
        routers: how many share them by the controller's word, None while it tells nothing.
        agreed: instances of which the controller says what the router has seen itself.
        refused: documents of loads that could not be used.
    """

    state: str
    age_s: float | None = None
    routers: int | None = None
    agreed: int = 0
    refused: int = 0


class RedisView(msgspec.Struct):
    """How the router stands with the Redis that it follows.

    Attributes:
        rights_missing: what its user lacks, by the part of the router that does without it.
        name_taken: whether another router goes on to tell of itself under this one's name.
    """

    rights_missing: dict[str, str] = {}
    name_taken: bool = False


class Snapshot(msgspec.Struct):
    """Everything told on the admin port.

    Attributes:
        now_s: the router's steady clock.
        ready: whether any instance could take a request and the router is not draining.
        retries: attempts tried again, by the outcome that caused it.
        leaving: engines that are no longer configured and have requests in flight yet.
        unclassified: refusals of requests that have no class, by reason.
        counters: further counts, by name without prefix and ``_total``; summed over workers.
        gauges: further values, by name without prefix; the largest of the workers counts.
        sums: further values, by name without prefix; summed over workers.
        tenants: by label, at most as many as the settings allow; empty where there are no tenants.
        spent: tokens by instance and class, answers under way included.
        draining: whether the router is going out of service.
        engine_connections: connections to engines, ``busy`` and ``idle``.
        overhead: time from receiving a request to sending it to the engine that answered.
        config: the configuration obeyed.
        samples: requests kept for canaries.
        discovery: of each pool whose instances are found, not listed.
        untold: those of which nothing was told since the start, which keep the router from being ready.
        loads: whose looks at the engines count; None from a worker among several, and where no table is followed.
        redis: how it stands with Redis; None from a worker among several, and where none is followed.
    """

    now_s: float
    ready: bool
    table: TableView
    classes: list[ClassCounts]
    traffic: list[Traffic]
    instances: list[InstanceView]
    retries: dict[str, int]
    leaving: list[LeavingView] = []
    unclassified: dict[str, int] = {}
    counters: dict[str, int] = {}
    gauges: dict[str, float] = {}
    sums: dict[str, float] = {}
    tenants: list[TenantCounts] = []
    spent: list[Spent] = []
    draining: bool = False
    engine_connections: dict[str, int] = {}
    overhead: Histogram | None = None
    config: ConfigView = msgspec.field(default_factory=ConfigView)
    samples: list[Sample] = []
    discovery: list[DiscoveryView] = []
    untold: tuple[str, ...] = ()
    loads: LoadsView | None = None
    redis: RedisView | None = None


def merge(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Sum over workers; where they differ on the table or an instance, the most pessimistic view counts.

    Raises:
        ValueError: there is none to merge.
    """
    if not snapshots:
        raise ValueError("no worker gave a snapshot")
    copies = [msgspec.convert(msgspec.to_builtins(snapshot), Snapshot) for snapshot in snapshots]
    whole = copies[0]
    for other in copies[1:]:
        whole.now_s = max(whole.now_s, other.now_s)
        whole.ready = whole.ready or other.ready
        whole.table = _merge_tables(whole.table, other.table)
        _merge_counts(whole, other)
        _merge_instances(whole.instances, other.instances)
        _merge_leaving(whole.leaving, other.leaving)
        add_counts(whole.retries, other.retries)
        add_counts(whole.unclassified, other.unclassified)
        add_counts(whole.counters, other.counters)
        merge_tenants(whole.tenants, other.tenants)
        whole.samples += other.samples
        merge_spent(whole.spent, other.spent)
        _merge_process(whole, other)
    return whole


def counts_of(ended: Snapshot) -> Snapshot:
    """What remains of a worker that has ended: what it had counted, and nothing of how it was."""
    counts = Snapshot(
        now_s=ended.now_s,
        ready=False,
        table=msgspec.structs.replace(ended.table, refused=dict(ended.table.refused)),
        classes=[msgspec.structs.replace(item, in_flight=0, queued=0, queued_bytes=0) for item in ended.classes],
        traffic=ended.traffic,
        instances=[],
        retries=ended.retries,
        unclassified=ended.unclassified,
        counters=ended.counters,
        tenants=[msgspec.structs.replace(item, in_flight=0) for item in ended.tenants],
        spent=[msgspec.structs.replace(item, streams=0) for item in ended.spent],
        overhead=ended.overhead,
    )
    counts.config.reloads = ended.config.reloads
    return counts


def _merge_process(whole: Snapshot, other: Snapshot) -> None:
    for name, value in other.gauges.items():
        whole.gauges[name] = max(value, whole.gauges.get(name, value))
    for name, value in other.sums.items():
        whole.sums[name] = value + whole.sums.get(name, 0.0)
    whole.draining = whole.draining or other.draining
    add_counts(whole.engine_connections, other.engine_connections)
    if whole.overhead is None:
        whole.overhead = other.overhead
    elif other.overhead is not None:
        whole.overhead.add(other.overhead)
    mine, theirs = whole.config, other.config
    add_counts(mine.workers_by_hash, theirs.workers_by_hash)
    add_counts(mine.reloads, theirs.reloads)
    mine.loaded_at_s = max(filter(None, (mine.loaded_at_s, theirs.loaded_at_s)), default=None)
    mine.error = mine.error or theirs.error
    mine.needs_restart = tuple(dict.fromkeys((*mine.needs_restart, *theirs.needs_restart)))


def _merge_tables(mine: TableView, theirs: TableView) -> TableView:
    worst = max(mine.state, theirs.state, key=_RUNGS.index)
    oldest = mine if mine.sequence <= theirs.sequence else theirs
    refused = dict(mine.refused)
    add_counts(refused, theirs.refused)
    return msgspec.structs.replace(
        oldest, state=worst, refused=refused, unknown_names=max(mine.unknown_names, theirs.unknown_names)
    )


def _merge_counts(whole: Snapshot, other: Snapshot) -> None:
    classes = {counts.class_id: counts for counts in whole.classes}
    for counts in other.classes:
        if counts.class_id in classes:
            classes[counts.class_id].add(counts)
        else:
            whole.classes.append(counts)
    traffic = {(item.class_id, item.pool_id): item for item in whole.traffic}
    for item in other.traffic:
        if (item.class_id, item.pool_id) in traffic:
            traffic[item.class_id, item.pool_id].add(item)
        else:
            whole.traffic.append(item)


def _merge_instances(whole: list[InstanceView], others: list[InstanceView]) -> None:
    known = {instance.instance_id: instance for instance in whole}
    for other in others:
        mine = known.get(other.instance_id)
        if mine is None:
            whole.append(other)
            continue
        mine.in_flight += other.in_flight
        mine.max_in_flight = max(mine.max_in_flight, other.max_in_flight)
        mine.draining = mine.draining and other.draining
        ages = [age for age in (mine.probe_age_s, other.probe_age_s) if age is not None]
        mine.probe_age_s = min(ages, default=None)
        mine.state = max(mine.state, other.state, key=INSTANCE_STATES.index)


def _merge_leaving(whole: list[LeavingView], others: list[LeavingView]) -> None:
    known = {view.url: view for view in whole}
    for other in others:
        if other.url in known:
            known[other.url].in_flight += other.in_flight
        else:
            whole.append(other)
