"""Every decision about a request, behind one object that the data path calls. Pure; time is an argument.

`now_s` is the **wall clock** (`router.clock.wall_s`) everywhere in this module, since tables expire by it. Durations
(`ttft_s`, `duration_s`) are measured by the caller on its monotonic clock.

Life of a request::

    hints -> ask -> choose -> Choice ---------------------> first_byte -> release
                           -> None -> enqueue -> grant(Choice | Refusal)
                           -> Refusal
    release(outcome) -> may_retry -> choose(tried=...) -> ...

Each `Choice`, whether returned by `choose` or given to `grant`, must be released exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from router.accounting import BYTES_PER_TOKEN, Accounts, tokens_of
from router.admission import Admission, Grant, Ticket
from router.classify import Classifier
from router.contract import AllocationTable, ClassId, InstanceId, PoolId, Precision
from router.discovery.static import list_instances
from router.exchange import Ask, Choice, Hints, InstanceSpec, Outcome, Refusal
from router.failover import RetryBudget
from router.fleet import EngineLoad, Fleet, Slot
from router.ladder import Ladder
from router.openai import RequestFacts, Usage
from router.policy import ClassPolicy, Unavailable
from router.settings import ClassSettings, RouterFile
from router.snapshot import InstanceView, Snapshot, TableView
from router.tenants.charge import Charge
from router.tenants.keys import Key
from router.tenants.roster import BAD_KEY, Roster
from router.tenants.tenant import Tenant, TenantSpec

__all__ = ["Ask", "Choice", "Dispatcher", "Outcome", "Refusal"]

QUEUE_FULL_RETRY_S = 1.0
"""Retry-After of a refusal where no event's end is known: a queue moves within seconds."""
UNUSABLE_RETRY_S = 5.0
"""Retry-After where no instance can serve: a few probes' time."""

_RANK = {precision: rank for rank, precision in enumerate(Precision)}


class Dispatcher:
    """Decides for one worker process.

    Args:
        settings: the router's sections of the configuration file.
        workers: how many workers share the port; in-flight caps are divided among them.
        worker: number of this one, from 0.
        tenants: who may use the router where the settings have a section on tenants: see `tenants.source`.
    """

    def __init__(
        self, settings: RouterFile, *, workers: int = 1, worker: int = 0, tenants: Sequence[TenantSpec] = ()
    ) -> None:
        self._specs = list_instances(settings.pools)
        self._fleet = Fleet(
            self._specs,
            {PoolId(pool.name): pool.static_weight for pool in settings.pools},
            health=settings.router.health,
            workers=workers,
            worker=worker,
        )
        self._classifier = Classifier(settings)
        self._admission = Admission(settings.classes)
        self._budget = RetryBudget(settings.router.retry)
        self._ladder = Ladder(settings.table)
        self._policies = {ClassId(cls.name): self._policy_of(cls) for cls in settings.classes}
        self._best_rank = {
            class_id: min(_RANK[pool.precision] for pool in policy.pools) for class_id, policy in self._policies.items()
        }
        self._accounts = Accounts(tuple(self._policies))
        self._roster = (
            None
            if settings.tenants is None
            else Roster(tenants, max_labels=settings.tenants.max_tenant_labels, workers=workers, worker=worker)
        )
        self._held: dict[int, Slot] = {}
        self._serial = 0
        self._sequence = -1
        self._unknown_names = 0
        self._is_pumping = False
        self._obey(None)

    @property
    def has_tenants(self) -> bool:
        """Whether a request needs a tenant's key; the key then goes no further than to the router."""
        return self._roster is not None

    def hints(self, fields: Mapping[bytes, bytes]) -> Hints | Refusal:
        """What a head's fields (values by lower-case name) say; give the result to `ask`, once for every request.

        A pure reading that counts nothing, so that the data path may keep the result with a head it has seen before.
        """
        if self._roster is None:
            return self._classifier.hints(fields)
        key = self._roster.identify(fields)
        return key if isinstance(key, Refusal) else self._classifier.hints(fields, key)

    def check_key(self, hints: Hints | Refusal, now_s: float) -> Refusal | None:
        """Whether a request that the router answers itself, without `ask`, has to be refused for want of a key."""
        if isinstance(hints, Refusal):
            return self._refuse_head(hints) if hints.status == BAD_KEY.status else None
        if hints.key is not None and now_s >= hints.key.until_s:
            return self._refuse_head(BAD_KEY)
        return None

    def ask(self, hints: Hints | Refusal, facts: RequestFacts, now_s: float) -> Ask | Refusal:
        """Classify a request by its head and its body, and count it; a refusal of the head is counted here, too.

        A tenant's request is admitted here as well: held to its rights and charged to its limits.
        """
        if isinstance(hints, Refusal):
            return self._refuse_head(hints)
        key = hints.key
        if key is not None and now_s >= key.until_s:
            return self._refuse_head(BAD_KEY)
        cls = self._classifier.class_of(hints, facts)
        if isinstance(cls, Refusal):
            return self._refuse(None, cls, key)
        class_id = ClassId(cls.name)
        pin = self._classifier.pin_of(hints, facts)
        if isinstance(pin, Refusal):
            return self._refuse(class_id, pin, key)
        precision, engine_model = pin
        if precision is not None:
            refusal = self._classifier.check_pin(cls, precision, key)
            if refusal is not None:
                return self._refuse(class_id, refusal, key)
        expected = self._policies[class_id].expected_tokens
        if facts.max_tokens is not None:
            expected = min(expected, float(facts.max_tokens))
        charge = None if key is None else self._charge(key, facts, expected, now_s)
        if isinstance(charge, Refusal):
            return self._refuse(class_id, charge, key)
        self._accounts.asked(class_id)
        session_key = hints.session_key or facts.session_key
        return Ask(facts, class_id, precision, session_key, engine_model, expected, charge)

    def choose(self, ask: Ask, now_s: float, tried: tuple[InstanceId, ...] = ()) -> Choice | Refusal | None:
        """Pick an instance that is not in `tried` and reserve a slot; None if all are at their caps: then `enqueue`."""
        if now_s >= self._ladder.expires_at_s:
            self._drop_expired(now_s)
        if not tried:
            self._budget.note_request(now_s)
        found = self._policies[ask.class_id].pick(ask, tried)
        if isinstance(found, Slot):
            return self._reserve(ask, found)
        if found is Unavailable.FULL:
            return None
        return self._turn_away(ask, self._nothing_usable(ask, now_s))

    def enqueue(self, ask: Ask, now_s: float, grant: Grant) -> Ticket | Refusal:
        """Wait for a slot; gives a ticket, or a Refusal if the queue is full (then `grant` is never called).

        `grant` is called at most once, synchronously from within another method (`release`, `probed`,
        `apply_table`, `expire`), never from within `enqueue`.
        """
        ticket = self._admission.push(ask, now_s, grant)
        if ticket is not None:
            if ask.charge is not None:
                ask.charge.hold()
            return ticket
        message = f"{self._admission.queued(ask.class_id)} requests of class '{ask.class_id}' wait already; retry later"
        retry_after_s = self._ladder.retry_after_s(now_s, QUEUE_FULL_RETRY_S)
        return self._turn_away(ask, Refusal(429, "queue_full", message, retry_after_s))

    def cancel(self, ticket: object) -> None:
        """The waiting client left; its `grant` is not called any more. Harmless after the grant."""
        if isinstance(ticket, Ticket) and self._admission.remove(ticket) and ticket.ask.charge is not None:
            ticket.ask.charge.drop(0.0)

    def expire(self, now_s: float) -> None:
        """Refuse those who waited too long and drop an expired table. Call about four times a second."""
        self._drop_expired(now_s)
        for ticket in self._admission.expired(now_s):
            message = f"no slot became free for class '{ticket.ask.class_id}' in time; retry later"
            retry_after_s = self._ladder.retry_after_s(now_s, QUEUE_FULL_RETRY_S)
            if ticket.ask.charge is not None:
                ticket.ask.charge.drop(0.0)
            ticket.grant(self._turn_away(ticket.ask, Refusal(503, "wait_too_long", message, retry_after_s)))

    def may_retry(self, ask: Ask, outcome: Outcome, attempts: int, now_s: float) -> bool:
        """Whether a request of which no answer byte was passed on may be tried again after `attempts` attempts.

        True also counts the retry, so call it once per failed attempt and only when meaning to retry.
        """
        allowed = self._budget.may_retry(outcome, attempts, now_s)
        if allowed:
            self._accounts.retried(outcome)
        return allowed

    def first_byte(self, choice: Choice, ttft_s: float) -> None:
        """The first bytes of the answer's body came `ttft_s` after the request."""
        self._accounts.first_byte(choice, ttft_s)

    def release(
        self,
        choice: Choice,
        ask: Ask,
        outcome: Outcome,
        *,
        usage: Usage | None,
        chunks: int,
        duration_s: float,
        now_s: float,
        ttft_s: float | None = None,
    ) -> None:
        """Give the slot back and account the attempt; a second release of one choice does nothing.

        Args:
            choice: what `choose` or `grant` gave.
            ask: the request.
            outcome: how the attempt ended.
            usage: tokens as told by the engine, if it did.
            chunks: events of a stream that were passed on (0 for a plain answer).
            duration_s: from the request's arrival to the end of the attempt.
            now_s: wall clock.
            ttft_s: as given to `first_byte`, for the inter-token latency.
        """
        slot = self._held.pop(choice.serial, None)
        if slot is None:
            return
        self._fleet.give(slot, outcome)
        tokens = tokens_of(ask, outcome, usage=usage, chunks=chunks)
        policy = self._policies[choice.class_id]
        if choice.charged_tokens:
            policy.settle(slot.pool, charged_tokens=choice.charged_tokens, output_tokens=float(tokens.output_tokens))
        self._accounts.released(choice, outcome, tokens)
        if ask.charge is not None:
            _settle(ask.charge, tokens, is_known=outcome is not Outcome.CLIENT_GONE or usage is not None or chunks > 0)
        if outcome is Outcome.OK:
            self._accounts.timed(choice, duration_s=duration_s, ttft_s=ttft_s, chunks=chunks)
            if tokens.output_tokens:
                policy.learn_length(tokens.output_tokens)
        if self._admission.waiting:
            self._pump()

    def apply_table(self, table: AllocationTable, now_s: float) -> bool:
        """Obey a table, or note that the one obeyed is still the source's; True if the table is new.

        Give every table the source gives, also one that did not change: that is what keeps it fresh. A table that
        has expired, is older than the one obeyed or differs from it under the same sequence is counted and left.
        """
        before = self._ladder.table
        is_new = self._ladder.offer(table, now_s)
        if is_new or self._ladder.table is not before:
            self._obey(self._ladder.table)
            self._pump()
        return is_new

    def apply_tenants(self, tenants: Sequence[TenantSpec]) -> None:
        """Know these tenants from now on; keys that are gone end at once, even for heads kept by the data path.

        A head that was refused for want of a key may be known now: the data path must forget such heads.
        """
        if self._roster is not None:
            self._roster.apply(tenants)

    def refuse_table(self, reason: str) -> None:
        """Count a table that the source could not read; `reason` is a word of a fixed list."""
        self._ladder.refused[reason] += 1

    def count_refusal(self, reason: str, class_id: ClassId | None = None) -> None:
        """Count a request that the data path refused by itself; `reason` is a word of a fixed list."""
        self._accounts.refused(class_id, reason)

    def probed(self, instance_id: InstanceId, *, ok: bool, load: EngineLoad | None, now_s: float) -> None:
        """Take a probe of an instance into account."""
        self._fleet.probed(self._fleet.slots[instance_id], ok=ok, load=load, now_s=now_s)
        if self._admission.waiting:
            self._pump()

    def instances(self) -> tuple[InstanceSpec, ...]:
        """Every instance, for probes and for merging /v1/models."""
        return self._specs

    def has_usable(self) -> bool:
        """Whether any instance could take a request now, caps aside."""
        return any(pool.ready for pool in self._fleet.pools.values())

    def state(self, now_s: float) -> Snapshot:
        """Everything this worker has to tell on the admin port."""
        for class_id, counts in self._accounts.classes.items():
            counts.queued = self._admission.queued(class_id)
        return Snapshot(
            now_s=now_s,
            ready=self.has_usable(),
            table=self._table_view(now_s),
            classes=list(self._accounts.classes.values()),
            traffic=list(self._accounts.traffic.values()),
            instances=[_view(slot) for slot in self._fleet.slots.values()],
            retries=self._accounts.retries,
            unclassified=self._accounts.unclassified,
            tenants=[] if self._roster is None else self._roster.counts(),
        )

    def _policy_of(self, cls: ClassSettings) -> ClassPolicy:
        pools = [pool for pool in self._fleet.pools.values() if not cls.precisions or pool.precision in cls.precisions]
        return ClassPolicy(pools, cls.expected_output_tokens)

    def _obey(self, table: AllocationTable | None) -> None:
        """Follow a table, or the static settings; names the router does not know are counted and left aside."""
        weights = {entry.class_id: entry.pools for entry in table.weights} if table is not None else {}
        unknown = sum(class_id not in self._policies for class_id in weights)
        for class_id, policy in self._policies.items():
            known = {pool.pool_id for pool in policy.pools}
            told = {entry.pool_id: entry.weight for entry in weights.get(class_id, ())}
            unknown += sum(pool_id not in known for pool_id in told)
            shares = [told.get(pool.pool_id, 0.0) for pool in policy.pools]
            policy.set_weights(shares if any(shares) else [pool.static_weight for pool in policy.pools])
        caps = {cap.instance_id: cap.max_in_flight for cap in table.caps} if table is not None else {}
        draining = frozenset(table.draining) if table is not None else frozenset()
        unknown += len((caps.keys() | draining) - self._fleet.slots.keys())
        self._fleet.constrain(caps, draining)
        self._unknown_names = unknown
        self._sequence = table.sequence if table is not None else -1

    def _drop_expired(self, now_s: float) -> None:
        if self._ladder.drop_expired(now_s):
            self._obey(None)
            self._pump()

    def _reserve(self, ask: Ask, slot: Slot) -> Choice:
        self._serial += 1
        policy = self._policies[ask.class_id]
        pool = slot.pool
        self._fleet.take(slot, self._serial)
        has_weight = policy.has_weight(pool)
        charged = policy.charge(pool, ask.expected_tokens) if has_weight else 0.0
        spec = slot.spec
        degraded = ask.precision is None and _RANK[spec.precision] > self._best_rank[ask.class_id]
        choice = Choice(spec, ask.class_id, self._sequence, degraded, self._serial, charged)
        self._held[self._serial] = slot
        self._accounts.reserved(choice, off_allocation=not has_weight)
        if ask.charge is not None:
            ask.charge.hold()
        return choice

    def _pump(self) -> None:
        """Grant free slots to those who wait, longest first, until no line's head can be served.

        A grant may call back and free or take slots; the outer call then goes on, the inner one returns at once.
        """
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while self._admission.waiting and self._grant_one():
                pass
        finally:
            self._is_pumping = False

    def _grant_one(self) -> bool:
        for ticket in self._admission.heads():
            found = self._policies[ticket.ask.class_id].pick(ticket.ask)
            if isinstance(found, Slot):
                self._admission.remove(ticket)
                choice = self._reserve(ticket.ask, found)
                if ticket.ask.charge is not None:
                    ticket.ask.charge.drop(0.0)
                ticket.grant(choice)
                return True
        return False

    def _nothing_usable(self, ask: Ask, now_s: float) -> Refusal:
        at = f" at {ask.precision.value}" if ask.precision is not None else ""
        message = f"no instance can serve class '{ask.class_id}'{at} now; retry later"
        return Refusal(503, "no_instance", message, self._ladder.retry_after_s(now_s, UNUSABLE_RETRY_S))

    def _charge(self, key: Key[Tenant], facts: RequestFacts, expected: float, now_s: float) -> Charge | Refusal | None:
        """Charge a tenant; a request without a JSON body is no work for a model and costs no tokens."""
        if self._roster is None:
            return None
        tokens = facts.body_bytes // BYTES_PER_TOKEN + expected if facts.valid else 0.0
        return self._roster.admit(key.owner, tokens, now_s)

    def _refuse_head(self, refusal: Refusal) -> Refusal:
        if self._roster is not None and refusal.status == BAD_KEY.status:
            self._roster.count_refusal(None, refusal.reason)
        return self._refuse(None, refusal)

    def _turn_away(self, ask: Ask, refusal: Refusal) -> Refusal:
        """Refuse a request that was accepted for routing."""
        charge = ask.charge
        if charge is not None:
            charge.end_unless_held()
            charge.refused(refusal.reason)
            refusal = msgspec.structs.replace(refusal, fields=charge.told_fields())
        return self._refuse(ask.class_id, refusal)

    def _refuse(self, class_id: ClassId | None, refusal: Refusal, key: Key[Tenant] | None = None) -> Refusal:
        self._accounts.refused(class_id, refusal.reason)
        if key is not None:
            key.owner.counts.count_refusal(refusal.reason)
        return refusal

    def _table_view(self, now_s: float) -> TableView:
        table = self._ladder.table
        state = self._ladder.state(now_s).value
        refused = dict(self._ladder.refused)
        if table is None or now_s >= self._ladder.expires_at_s:
            return TableView(state, -1, refused=refused, unknown_names=self._unknown_names)
        return TableView(
            state,
            table.sequence,
            issuer=table.issuer,
            issued_at_s=table.issued_at_s,
            expires_at_s=self._ladder.expires_at_s,
            refused=refused,
            unknown_names=self._unknown_names,
        )


def _settle(charge: Charge, tokens: Usage, *, is_known: bool) -> None:
    """Correct a tenant's charge; it stands where the client left before anything told what it cost the engine."""
    charge.count(input_tokens=tokens.input_tokens, output_tokens=tokens.output_tokens)
    charge.drop(tokens.input_tokens + tokens.output_tokens if is_known else charge.tokens)


def _view(slot: Slot) -> InstanceView:
    return InstanceView(
        instance_id=slot.spec.instance_id,
        pool_id=slot.spec.pool_id,
        precision=slot.spec.precision.value,
        url=slot.spec.url,
        state=slot.state,
        in_flight=slot.in_flight,
        max_in_flight=slot.max_in_flight,
        draining=slot.draining,
    )
