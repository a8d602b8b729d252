"""Which canary is sent next, and what its answer means. Pure but for the chance it is given.

Every serving instance is asked in turn, the reference's own among them. Once a pool is under suspicion most canaries go
to it, two thirds of them to its most suspected instance and one to its others: a pool that is broken as a whole and one
bad instance in it are both told apart and found soon. Prompts are drawn at random, so that a prompt that a lower
precision always answers otherwise counts as chance.

The answer beside which others are put comes from an instance of the reference that is not itself under suspicion.
While there is none - it sleeps under a power limit, say - it is the answer that the reference gave to the same built-in
prompt before. Whatever the reference answers to those is put beside what it answered before: that tells how often it
differs from itself, and that it is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.model.fleet import Pool, Site
from controller.model.observation import InstanceObservation, InstanceState
from controller.quality.answers import Answer, Comparison, compare
from controller.quality.bars import Bars, Change
from controller.quality.evidence import Rule, Share, Tally
from controller.quality.prompts import Prompt, built_in
from controller.quality.trust import ReferenceTrust
from router.contract import InstanceId, PoolId, Precision

SUSPECT = 0.1
"""Share of the way to an alarm, on its logarithmic scale, from which an instance is asked more often: about two
canaries in a row that do not agree."""
_TO_SUSPECTS = 0.9
_TO_WORST = 2 / 3
_TO_SAMPLES = 0.5
MAX_SAMPLES = 64
MAX_TALLIES = 512
"""Pairs of pool and class that are told apart; classes come from the routers."""
_RANK = {precision: rank for rank, precision in enumerate(Precision)}


class Chance(Protocol):
    """A generator of random numbers."""

    def random(self) -> float:
        """The next one, 0..1."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One canary.

    Attributes:
        target: instance that is tested.
        reference: instance that is asked beside it; None where a kept answer serves, or is to be kept.
        floor_frac: least share of agreement of a sound pool, as known now.
        is_held: whether an alarm against the target must wait, see `controller.quality.trust`.
    """

    prompt: Prompt
    target: InstanceId
    reference: InstanceId | None
    floor_frac: float
    is_held: bool = False

    @property
    def asked(self) -> tuple[InstanceId, ...]:
        """Who is asked: the target, and the reference where one is."""
        return (self.target,) if self.reference is None else (self.target, self.reference)


@dataclass(frozen=True, slots=True)
class Pause:
    """Why no canary can be sent: ``no_target`` or ``no_reference``."""

    reason: str


@dataclass(frozen=True, slots=True)
class PoolReport:
    """What canaries tell of a pool.

    Attributes:
        is_reference: whether others are put beside it; its share is then its agreement with itself.
        agreement: share of its canaries that agreed.
        by_class: the same by class of request, `prompts.BUILT_IN` among them.
        mean_parted_at: mean equal tokens before answers part, None where none did.
        mean_logprob_gap: mean absolute difference of log-probabilities, None where engines tell none.
        suspicion_frac: share of the way to an alarm, on a logarithmic scale.
    """

    pool_id: PoolId
    is_reference: bool
    agreement: Share
    by_class: tuple[tuple[str, Share], ...]
    mean_parted_at: float | None
    mean_logprob_gap: float | None
    suspicion_frac: float


class Canaries:
    """The canaries of a site.

    Args:
        site: whose instances are asked.
        bars: what is known against them.
        rule: what a sound pool is.
        chance: for prompts and turns.
        reference: precision that others are put beside; None for the best there is.

    Raises:
        ValueError: no pool has that precision.
    """

    def __init__(self, site: Site, bars: Bars, rule: Rule, chance: Chance, reference: Precision | None = None) -> None:
        best = reference or min((pool.precision for pool in site.pools), key=_RANK.__getitem__)
        self._pools = {pool.pool_id: pool for pool in site.pools}
        self._references = {pool.pool_id for pool in site.pools if pool.precision is best}
        if not self._references:
            raise ValueError(f"no pool is of precision {best.value}, which canaries are to be put beside")
        self._bars = bars
        self._rule = rule
        self._chance = chance
        self._prompts = built_in()
        self._samples: list[Prompt] = []
        self._kept: dict[str, Answer] = {}
        self._asked: dict[InstanceId, int] = {}
        self._turn = 0
        self._itself = Tally()
        self._trust = ReferenceTrust()
        self._by_class: dict[tuple[PoolId, str], Tally] = {}

    def follow(self, site: Site) -> None:
        """Go by the instances there are."""
        self._pools = {pool.pool_id: pool for pool in site.pools}
        there = {instance.instance_id for pool in site.pools for instance in pool.instances}
        self._asked = {name: turn for name, turn in self._asked.items() if name in there}

    def take_samples(self, prompts: Sequence[Prompt]) -> None:
        """Take up clients' requests, of which the newest are kept."""
        self._samples = [*self._samples, *prompts][-MAX_SAMPLES:]

    def next(self, instances: Sequence[InstanceObservation]) -> Errand | Pause:
        """The next canary, for the instances as they are observed."""
        serving = [seen for seen in instances if seen.state is InstanceState.SERVING and seen.pool_id in self._pools]
        if not serving:
            return Pause("no_target")
        references = [seen.instance_id for seen in serving if self._may_judge(seen)]
        judged = serving if references or self._kept else []
        if not judged:
            return Pause("no_reference")
        target = self._choose(judged)
        self._turn += 1
        self._asked[target.instance_id] = self._turn
        floor_frac = self._itself.floor_frac(self._rule)
        held = self._trust.holds(len({seen.pool_id for seen in serving} - self._references))
        if target.pool_id in self._references:
            return Errand(self._draw(self._prompts), target.instance_id, None, floor_frac)
        if not references:
            kept = [prompt for prompt in self._prompts if prompt.key in self._kept]
            return Errand(self._draw(kept), target.instance_id, None, floor_frac, held)
        reference = references[int(self._chance.random() * len(references))]
        if self._samples and self._chance.random() < _TO_SAMPLES:
            return Errand(self._draw(self._samples), target.instance_id, reference, floor_frac, held)
        return Errand(self._draw(self._prompts), target.instance_id, reference, floor_frac, held)

    def take(
        self, errand: Errand, answer: Answer, reference: Answer | None, now_s: float
    ) -> tuple[Comparison | None, tuple[Change, ...]]:
        """What an errand brought home: the comparison, None where there was nothing sound to compare with.

        Args:
            errand: as it was given.
            answer: the target's.
            reference: of the instance asked beside it, None where none was.
            now_s: wall clock.
        """
        changes: tuple[Change, ...] = ()
        if not all(self._bars.knows(name) for name in errand.asked):
            return None, changes  # it is gone: nobody is to be judged by it
        if errand.reference is not None and reference is not None and errand.prompt.key is not None:
            itself, changes = self._judge_reference(errand.reference, errand, reference, now_s)
            if itself is not None and not itself.agrees:
                return None, changes  # beside an answer that is doubtful itself nothing is told of the target
        if self._pool_of(errand.target) in self._references:
            return self._judge_reference(errand.target, errand, answer, now_s)
        beside = reference if reference is not None else self._kept.get(errand.prompt.key or "")
        if beside is None:
            return None, changes
        compared = compare(beside, answer)
        self._trust.take(agrees=compared.agrees)
        return compared, (*changes, *self._count(errand.target, errand, compared, now_s))

    def _judge_reference(
        self, instance_id: InstanceId, errand: Errand, answer: Answer, now_s: float
    ) -> tuple[Comparison | None, tuple[Change, ...]]:
        """Put an answer of the reference beside the kept one, or keep it."""
        key = errand.prompt.key or ""
        kept = self._kept.get(key)
        if kept is None:
            if self._bars.suspicion(instance_id) < SUSPECT and not self._bars.is_barred(instance_id):
                self._kept[key] = answer
            return None, ()
        compared = compare(kept, answer)
        self._itself.add(compared)
        return compared, self._count(instance_id, errand, compared, now_s)

    def _count(self, instance_id: InstanceId, errand: Errand, compared: Comparison, now_s: float) -> tuple[Change, ...]:
        key = (self._pool_of(instance_id), errand.prompt.class_id)
        if key in self._by_class or len(self._by_class) < MAX_TALLIES:
            self._by_class.setdefault(key, Tally()).add(compared)
        may_bar = not errand.is_held or self._trust.is_confirmed
        return self._bars.take(instance_id, compared, floor_frac=errand.floor_frac, now_s=now_s, may_bar=may_bar)

    def is_urgent(self, instances: Sequence[InstanceObservation]) -> bool:
        """Whether something that serves is under suspicion and not barred yet."""
        return any(
            self._doubt(seen) >= SUSPECT
            for seen in instances
            if seen.state is InstanceState.SERVING and seen.pool_id in self._pools
        )

    @property
    def is_reference_doubted(self) -> bool:
        """Whether all that were asked differ from a reference with which nobody ever agreed."""
        asked = {pool for pool, _ in self._by_class} - self._references
        return self._trust.is_doubted([self._bars.own_suspicion(pool) for pool in asked])

    @property
    def references(self) -> tuple[PoolId, ...]:
        """Pools that others are put beside."""
        return tuple(sorted(self._references))

    def forget_kept(self, name: str) -> None:
        """Forget the kept answers if a pool or instance of the reference is meant: it may serve other weights now.

        What was counted against others by a reference that was doubted is forgotten with them.
        """
        if name in self._references or any(name == i.instance_id for p in self._reference_pools() for i in p.instances):
            if self.is_reference_doubted:
                others = [pool for pool in self._pools.values() if pool.pool_id not in self._references]
                self._bars.forgive(
                    n for pool in others for n in (pool.pool_id, *(i.instance_id for i in pool.instances))
                )
            self._kept.clear()
            self._itself, self._trust = Tally(), ReferenceTrust()

    def reports(self) -> tuple[PoolReport, ...]:
        """What is known of every pool, in the site's order."""
        out = []
        for pool_id, pool in self._pools.items():
            tally = self._bars.tally(pool_id)
            out.append(
                PoolReport(
                    pool_id=pool_id,
                    is_reference=pool_id in self._references,
                    agreement=tally.share,
                    by_class=tuple((cls, own.share) for (of, cls), own in self._by_class.items() if of == pool_id),
                    mean_parted_at=tally.mean_parted_at,
                    mean_logprob_gap=tally.mean_logprob_gap,
                    suspicion_frac=max((self._bars.suspicion(i.instance_id) for i in pool.instances), default=0.0),
                )
            )
        return tuple(out)

    def _reference_pools(self) -> list[Pool]:
        return [self._pools[pool_id] for pool_id in self._references]

    def _pool_of(self, instance_id: InstanceId) -> PoolId:
        return next(k for k, pool in self._pools.items() if any(i.instance_id == instance_id for i in pool.instances))

    def _may_judge(self, seen: InstanceObservation) -> bool:
        if seen.pool_id not in self._references or self._bars.is_barred(seen.instance_id):
            return False
        return self._bars.suspicion(seen.instance_id) < SUSPECT

    def _choose(self, judged: Sequence[InstanceObservation]) -> InstanceObservation:
        """The instance whose turn it is; see the module."""
        worst = max(judged, key=self._doubt)
        told_apart = self._trust.is_confirmed or all(
            seen.pool_id in (worst.pool_id, *self._references) for seen in judged
        )
        if not told_apart or self._doubt(worst) < SUSPECT or self._chance.random() >= _TO_SUSPECTS:
            return min(judged, key=lambda seen: self._asked.get(seen.instance_id, 0))
        others = [seen for seen in judged if seen.pool_id == worst.pool_id and seen is not worst]
        if not others or self._chance.random() < _TO_WORST:
            return worst
        return min(others, key=lambda seen: self._asked.get(seen.instance_id, 0))

    def _doubt(self, seen: InstanceObservation) -> float:
        """Suspicion; what is barred already can wait its turn."""
        return 0.0 if self._bars.is_barred(seen.instance_id) else self._bars.own_suspicion(seen.instance_id)

    def _draw(self, prompts: Sequence[Prompt]) -> Prompt:
        return prompts[int(self._chance.random() * len(prompts))]
