"""Every decision about a request, behind one object that the data path calls. Pure; time is an argument.

`now_s` is the **steady clock** (`router.clock.steady`) in this module, but the wall clock for `check_key` and `ask`, as
keys name times. Durations (`ttft_s`, `duration_s`) are measured by the caller on its monotonic clock.

Life of a request::

    hints -> ask -> choose -> Choice ---------------------> first_byte -> release
                           -> None -> enqueue -> grant(Choice | Refusal)
                           -> Refusal
    release(outcome) -> may_retry -> choose(tried=...) -> count_retry -> ...

Each `Choice`, whether returned by `choose` or given to `grant`, must be released exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.accounting import Answer, tokens_of
from router.admission import Grant, Ticket
from router.allocation import Allocation
from router.contract import AllocationTable, ClassId, InstanceId
from router.contract_rates import EnergyRates
from router.energy import EnergyBook
from router.exchange import Ask, Choice, Hints, InstanceSpec, Outcome, Refusal
from router.fleet import EngineLoad
from router.health import HealthState
from router.intake import nothing_usable
from router.openai import RequestFacts, Usage
from router.parts import Held, Parts, make_parts, names_of, succeed
from router.policy import LENGTH_GAIN, ClassPolicy, Unavailable
from router.settings import RouterFile
from router.shared_slots import SharedSlots, SlotBook
from router.slot import Slot
from router.snapshot import Snapshot
from router.tenants.shared_limits import TenantBook
from router.tenants.tenant import TenantSpec
from router.views import snapshot_of
from router.waiting_room import WaitingRoom

__all__ = ["Ask", "Choice", "Dispatcher", "Outcome", "Refusal"]

UNUSABLE_RETRY_S = 5.0
"""Retry-After where no instance can serve: a few probes' time."""

# An enumeration's members are slow to reach.
_OK = Outcome.OK
_UP = HealthState.UP


class Dispatcher:
    """Decides for one worker process.

    Args:
        settings: the router's sections of the configuration file.
        book: where several workers share the instances' slots; None for one that is alone.
        tenant_book: where they share what tenants use of their limits.
        tenants: who may use the router where the settings have a section on tenants: see `tenants.source`.

    Attributes:
        read_facts: reads of a request's body what `ask` needs; never raises.
        energy: what requests cost, by the controller's rates.
    """

    def __init__(
        self,
        settings: RouterFile,
        *,
        book: SlotBook | None = None,
        tenant_book: TenantBook | None = None,
        tenants: Sequence[TenantSpec] = (),
    ) -> None:
        self.energy = EnergyBook()
        self._tenant_book = tenant_book
        self._take_parts(make_parts(settings, tenants, tenant_book))
        self._shared = None if book is None else SharedSlots(self._fleet, book)
        self._allocation = Allocation(settings.table, self._fleet, self._policies)
        self._ladder = self._allocation.ladder
        self._held: Held = {}
        self._serial = 0
        self._room = WaitingRoom(self._parts, self._shared, self._reserve)

    def _take_parts(self, parts: Parts) -> None:
        self._parts = parts
        self._fleet = parts.fleet
        self._admission = parts.admission
        self._budget = parts.budget
        self._accounts = parts.accounts
        self._policies = parts.policies
        self._intake = parts.intake
        self.read_facts = parts.intake.read_facts

    def reconfigure(self, settings: RouterFile, tenants: Sequence[TenantSpec] = (), *, is_found: bool = False) -> None:
        """Go by other settings from now on; requests in flight and waiting go on, see `parts.succeed`.

        What the data path keeps of `hints` must be forgotten. `is_found`: none but the found instances have changed.
        """
        if not is_found:
            self.energy.forget()
        parts, self._held = succeed(self._parts, self._held, settings, tenants, self._tenant_book)
        self._take_parts(parts)
        self._ladder.reconfigure(settings.table)
        if self._shared is not None:
            self._shared.follow(self._fleet)
        self._allocation.follow(self._fleet, self._policies)
        self._room.follow(parts)
        self.energy.keep(names_of(parts))

    @property
    def has_tenants(self) -> bool:
        """Whether a request needs a tenant's key; the key then goes no further than to the router."""
        return self._intake.has_tenants

    def hints(self, fields: Mapping[bytes, bytes]) -> Hints | Refusal:
        """What a head's fields (values by lower-case name) say; give the result to `ask`, once for every request.

        A pure reading that counts nothing, so that the data path may keep the result with a head it has seen before.
        """
        return self._intake.hints(fields)

    def check_key(self, hints: Hints | Refusal, now_s: float) -> Refusal | None:
        """Whether a request that the router answers itself, without `ask`, has to be refused for want of a key."""
        return self._intake.check_key(hints, now_s)

    def ask(self, hints: Hints | Refusal, facts: RequestFacts, now_s: float) -> Ask | Refusal:
        """Classify a request by its head and its body, and count it; a refusal of the head is counted here, too.

        A tenant's request is admitted here as well: held to its rights and charged to its limits.
        """
        return self._intake.ask(hints, facts, now_s)

    def choose(self, ask: Ask, now_s: float, tried: tuple[InstanceId, ...] = ()) -> Choice | Refusal | None:
        """Pick an instance that is not in `tried` and reserve a slot; None if all are at their caps: then `enqueue`.

        A refusal is counted, except where instances were tried already: then the caller knows better why the request
        fails, and counts that.
        """
        if now_s >= self._ladder.expires_at_s:
            self._drop_expired(now_s)
        policy = self._policies[ask.class_id]
        found = policy.pick(ask, tried)
        if not tried:
            self._budget.new_requests += 1
        if self._shared is not None:
            found = self._room.take(ask, policy, found, tried)
        if type(found) is Slot:
            return self._reserve(ask, policy, found)
        if found is Unavailable.FULL:
            return None
        refusal = nothing_usable(ask, self._ladder.retry_after_s(now_s, UNUSABLE_RETRY_S))
        return refusal if tried else self._intake.turn_away(ask, refusal)

    def enqueue(self, ask: Ask, now_s: float, grant: Grant, tried: tuple[InstanceId, ...] = ()) -> Ticket | Refusal:
        """Wait for a slot of an instance that is not in `tried`.

        Gives a ticket, or a Refusal if the queue is full (then `grant` is never called). `grant` is called at most
        once, synchronously from within another method (`release`, `probed`, `apply_table`, `expire`), never from
        within `enqueue`.
        """
        ticket = self._room.join(ask, now_s, grant, tried)
        if ticket is not None:
            return ticket
        message = f"{self._admission.queued(ask.class_id)} requests of class '{ask.class_id}' wait already; retry later"
        retry_after_s = self._admission.retry_after_s(ask.class_id, self._ladder.limit_left_s(now_s))
        return self._intake.turn_away(ask, Refusal(429, "queue_full", message, retry_after_s))

    def cancel(self, ticket: object) -> None:
        """The waiting client left; its `grant` is not called any more. Harmless after the grant."""
        if isinstance(ticket, Ticket):
            self._room.leave(ticket)

    def expire(self, now_s: float) -> None:
        """Refuse those who waited too long, drop an expired table, age what was learnt. Call several times a second."""
        self._budget.fold(now_s)
        self._accounts.settle()
        for policy in self._policies.values():
            policy.keep_pace()
        self._drop_expired(now_s)
        if self._shared is not None:
            self._fleet.forget_old_loads(now_s)
            self._shared.look()
            self._room.serve(now_s)
        self._admission.look(now_s)
        for ticket in self._room.late(now_s):
            class_id = ticket.ask.class_id
            message = f"no slot became free for class '{class_id}' in time; retry later"
            retry_after_s = self._admission.retry_after_s(class_id, self._ladder.limit_left_s(now_s))
            ticket.grant(self._intake.turn_away(ticket.ask, Refusal(503, "wait_too_long", message, retry_after_s)))

    def may_retry(self, ask: Ask, outcome: Outcome, attempts: int, now_s: float, unreached: int = 0) -> bool:
        """Whether a request of which no answer byte was passed on may be tried again; see `RetryBudget.may_retry`.

        Where there is an instance for it, or it may wait for one, `count_retry`.
        """
        return self._budget.may_retry(outcome, attempts, now_s, unreached)

    def count_retry(self, outcome: Outcome) -> None:
        """Count an attempt that is tried again, and let it cost what retries cost; `outcome` is how it ended."""
        self._budget.spend(outcome)
        self._accounts.retried(outcome)

    def first_byte(self, choice: Choice, ttft_s: float) -> None:
        """The first bytes of the answer's body came `ttft_s` after the request."""
        held = self._held.get(choice.serial)
        if held is not None:
            held[1].tally.ttfts_s.append(ttft_s)

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
            now_s: of the steady clock.
            ttft_s: as given to `first_byte`, for the inter-token latency.
        """
        held = self._held.pop(choice.serial, None)
        if held is None:
            return
        slot, lane = held
        policy = self._policies[choice.class_id]
        counts, tally = policy.counts, lane.tally
        slot.pool.count(slot, -1)
        if outcome is not _OK or slot.health.failed_requests or slot.health.state is not _UP:
            self._fleet.ended(slot, outcome)
        tokens = tokens_of(ask, outcome, usage=None, chunks=chunks) if usage is None else usage
        if choice.charged_tokens and lane.share:
            policy.charge(lane, tokens.output_tokens - choice.charged_tokens)
        slot.spend(choice.class_id, tokens.input_tokens, tokens.output_tokens)
        counts.in_flight -= 1
        if outcome is _OK:
            counts.finished += 1
            tally.answers.append(Answer(tokens, duration_s, ttft_s, choice.degraded))
            if tokens.output_tokens:
                policy.expected_tokens += LENGTH_GAIN * (tokens.output_tokens - policy.expected_tokens)
        else:
            tally.traffic.failed(outcome, tokens, degraded=choice.degraded)
        if ask.charge is not None:
            ask.charge.place(choice.class_id, choice.spec.pool_id, tokens.input_tokens, tokens.output_tokens)
            is_known = outcome is not Outcome.CLIENT_GONE or usage is not None or chunks > 0
            ask.charge.settle(input_tokens=tokens.input_tokens, output_tokens=tokens.output_tokens, is_known=is_known)
        if self._shared is not None:
            self._room.give_back(slot, now_s)
        elif self._admission.waiting:
            self._room.serve(now_s)

    def woken(self) -> None:
        """Look for free slots: another worker says that there may be one, see `router.shared_slots`."""
        self._room.woken()

    def apply_table(self, table: AllocationTable, now_s: float, ahead_s: float = 0.0) -> bool:
        """Obey a table, or note that the one obeyed is still the source's; True if the table is new.

        Give every table of the source, also one that did not change: that keeps it fresh. One that has expired, is
        older, or another of the same sequence is counted and left. `now_s` is `ahead_s` ahead of the issuer's clock.
        """
        is_new = self._allocation.offer(table, now_s, ahead_s)
        self._room.serve(now_s)
        return is_new

    def refuse_table(self, reason: str) -> None:
        """Count a table that the source could not read; `reason` is a word of a fixed list."""
        self._ladder.refused[reason] += 1

    def apply_rates(self, rates: EnergyRates, now_s: float) -> None:
        """Tell requests' energy by these rates from now on."""
        self.energy.apply(rates, now_s)

    def apply_share(self, share: float, now_s: float) -> None:
        """Go by this share of all caps, of which other routers have the rest."""
        self._fleet.take_share(share)
        if self._admission.waiting:
            self._room.serve(now_s)

    def count_refusal(self, reason: str, class_id: ClassId | None = None) -> None:
        """Count a request that the data path refused by itself; `reason` is a word of a fixed list."""
        self._accounts.refused(class_id, reason)

    def take_doubted(self) -> set[InstanceId]:
        """Instances at which requests have failed since the last call."""
        return self._fleet.take_doubted()

    def probed(self, instance_id: InstanceId, *, ok: bool | None, load: EngineLoad | None, now_s: float) -> None:
        """Take a probe of an instance into account."""
        slot = self._fleet.slots.get(instance_id)
        if slot is None:
            return  # it left the configuration while it was being asked
        self._fleet.probed(slot, ok=ok, load=load, now_s=now_s)
        if self._admission.waiting:
            self._room.serve(now_s)

    def instances(self) -> tuple[InstanceSpec, ...]:
        """Every instance, for probes and for merging /v1/models."""
        return self._parts.specs

    def has_usable(self) -> bool:
        """Whether any instance could take a request now, caps aside."""
        return self._fleet.has_ready()

    def state(self, now_s: float) -> Snapshot:
        """Everything this worker has to tell on the admin port."""
        return snapshot_of(self._parts, self._allocation, now_s)

    def _drop_expired(self, now_s: float) -> None:
        if self._allocation.drop_expired(now_s):
            self._room.serve(now_s)

    def _reserve(self, ask: Ask, policy: ClassPolicy, slot: Slot) -> Choice:
        serial = self._serial = self._serial + 1
        lane = policy.lane_of[slot.pool.number]
        slot.pool.count(slot, 1)
        policy.counts.in_flight += 1
        charged = 0.0
        if lane.share:
            charged = ask.expected_tokens
            policy.charge(lane, charged)
        else:
            policy.counts.off_allocation += 1
        policy.counts.last_means += not slot.ready and slot.is_last_means
        self._held[serial] = (slot, lane)
        if ask.charge is not None:
            ask.charge.hold()
        degraded = lane.is_degraded and ask.precision is None
        return Choice(slot.spec, ask.class_id, self._allocation.sequence, degraded, serial, charged)
