"""From a request as it came to an `Ask`: class, pin, what it belongs to, and whether its tenant may have it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from router.accounting import BYTES_PER_TOKEN, Accounts
from router.affinity import position_of
from router.classify import Classifier
from router.contract import ClassId
from router.exchange import Ask, Hints, Refusal
from router.openai import RequestFacts, read_facts, read_facts_and_prefix
from router.policy import ClassPolicy
from router.settings import Affinity, RouterFile
from router.tenants.charge import Charge
from router.tenants.counts import TenantCounts
from router.tenants.keys import Key
from router.tenants.roster import BAD_KEY, Roster
from router.tenants.tenant import Tenant


class Intake:
    """Classifies, admits and counts.

    Args:
        settings: the router's sections of the configuration file.
        policies: of every class.
        accounts: where to count.
        roster: who may use the router, or None where everybody may.

    Attributes:
        read_facts: reads of a body what `ask` needs.
    """

    def __init__(
        self,
        settings: RouterFile,
        policies: Mapping[ClassId, ClassPolicy],
        accounts: Accounts,
        roster: Roster | None,
    ) -> None:
        self._classifier = Classifier(settings)
        self._default_class = ClassId(settings.default_class or settings.classes[0].name)
        self._policies = policies
        self._accounts = accounts
        self._roster = roster
        affinity, instances = settings.router.affinity, sum(len(pool.instances) for pool in settings.pools)
        self._keeps_sessions = affinity is not Affinity.NONE
        reads_prefix = affinity is Affinity.PREFIX and instances > 1
        self.read_facts: Callable[[bytes | bytearray], RequestFacts] = (
            read_facts_and_prefix if reads_prefix else read_facts
        )

    @property
    def has_tenants(self) -> bool:
        """Whether a request needs a tenant's key."""
        return self._roster is not None

    def hints(self, fields: Mapping[bytes, bytes]) -> Hints | Refusal:
        """What a head's fields say; see `Dispatcher.hints`."""
        if self._roster is None:
            return self._classifier.hints(fields)
        key = self._roster.identify(fields)
        return key if isinstance(key, Refusal) else self._classifier.hints(fields, key)

    def check_key(self, hints: Hints | Refusal, now_s: float) -> Refusal | None:
        """See `Dispatcher.check_key`."""
        if isinstance(hints, Refusal):
            return self._refuse_head(hints) if hints.status == BAD_KEY.status else None
        if hints.key is not None and now_s >= hints.key.until_s:
            return self._refuse_head(BAD_KEY)
        return None

    def ask(self, hints: Hints | Refusal, facts: RequestFacts, now_s: float) -> Ask | Refusal:
        """See `Dispatcher.ask`."""
        if type(hints) is Refusal:
            return self._refuse_head(hints)
        key, model = hints.key, facts.model
        if key is not None or facts.service_tier is not None or hints.precision is not None:
            return self._ask_closely(hints, facts, now_s)
        if model is not None and "@" in model:
            return self._ask_closely(hints, facts, now_s)
        # Most requests are of this kind.
        class_id = hints.class_id or self._default_class
        policy = self._policies[class_id]
        policy.counts.requests += 1
        expected, most = policy.expected_tokens, facts.max_tokens
        if most is not None and most < expected:
            expected = float(most)
        session = hints.session_key or facts.session_key
        if session is not None and self._keeps_sessions:
            return Ask(facts, class_id, None, None, expected, position_of(session), True, None, hints.wants_energy)
        return Ask(facts, class_id, None, None, expected, facts.prefix, False, None, hints.wants_energy)

    def _ask_closely(self, hints: Hints, facts: RequestFacts, now_s: float) -> Ask | Refusal:
        key = hints.key
        if key is not None and now_s >= key.until_s:
            return self._refuse_head(BAD_KEY)
        cls = self._classifier.class_of(hints, facts)
        if isinstance(cls, Refusal):
            return self.refuse(None, cls, key)
        class_id = ClassId(cls.name)
        pin = self._classifier.pin_of(hints, facts)
        if isinstance(pin, Refusal):
            return self.refuse(class_id, pin, key)
        precision, engine_model = pin
        if precision is not None:
            refusal = self._classifier.check_pin(cls, precision, key)
            if refusal is not None:
                return self.refuse(class_id, refusal, key)
        policy = self._policies[class_id]
        expected, most = policy.expected_tokens, facts.max_tokens
        if most is not None and most < expected:
            expected = float(most)
        charge = None if key is None else self._charge(key, facts, expected, now_s)
        if isinstance(charge, Refusal):
            return self.refuse(class_id, charge, key)
        policy.counts.requests += 1
        session = hints.session_key or facts.session_key
        is_session = session is not None and self._keeps_sessions
        position = position_of(session) if session is not None and is_session else facts.prefix
        return Ask(facts, class_id, precision, engine_model, expected, position, is_session, charge, hints.wants_energy)

    def turn_away(self, ask: Ask, refusal: Refusal) -> Refusal:
        """Refuse a request that was accepted for routing, and count that."""
        charge = ask.charge
        if charge is not None:
            charge.end_unless_held()
            charge.refused(refusal.reason)
            refusal = msgspec.structs.replace(refusal, fields=charge.told_fields())
        return self.refuse(ask.class_id, refusal)

    def refuse(self, class_id: ClassId | None, refusal: Refusal, key: Key[Tenant] | None = None) -> Refusal:
        """Count a refusal."""
        self._accounts.refused(class_id, refusal.reason)
        if key is not None:
            key.owner.counts.count_refusal(refusal.reason)
        return refusal

    def tenant_counts(self) -> list[TenantCounts]:
        """What is counted by tenant."""
        return [] if self._roster is None else self._roster.counts()

    def _charge(self, key: Key[Tenant], facts: RequestFacts, expected: float, now_s: float) -> Charge | Refusal | None:
        """Charge a tenant; a request without a JSON body is no work for a model and costs no tokens."""
        if self._roster is None:
            return None
        tokens = facts.body_bytes // BYTES_PER_TOKEN + expected if facts.valid else 0.0
        return self._roster.admit(key.owner, tokens, now_s)

    def _refuse_head(self, refusal: Refusal) -> Refusal:
        if self._roster is not None and refusal.status == BAD_KEY.status:
            self._roster.count_refusal(None, refusal.reason)
        return self.refuse(None, refusal)


def nothing_usable(ask: Ask, retry_after_s: float) -> Refusal:
    """What a request is told for which no instance is fit."""
    at = f" at {ask.precision.value}" if ask.precision is not None else ""
    message = f"no instance can serve class '{ask.class_id}'{at} now; retry later"
    return Refusal(503, "no_instance", message, retry_after_s)
