"""What a request cost in energy, by the rates that the controller tells of each instance. Pure.

Rates change while a request runs. Their sums are kept by instance, weighted by how many tokens a sequence had at each,
so that the mean rate over any request's life is a difference of two of them: what a request costs the router does not
depend on how long it ran. By time alone the seconds in which little was made, and each token bore much of the idle
energy, would count for more tokens than they had. Times are of the router's
steady clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from router.contract_rates import EnergyRate, EnergyRates
from router.openai import Usage

FIELD = b"x-wattroute-energy"
ESTIMATED = "estimated"
STALE_FRAC = 1 / 3
"""Part of the validity of rates after which they are too old to be called measured: ten of the controller's thirty
seconds, where new ones come every second."""


class Mark(NamedTuple):
    """Sums of an instance up to a time, by the tokens of a sequence that ran all along: of both rates, J; of tokens."""

    prefill: float
    decode: float
    tokens: float


class Cost(NamedTuple):
    """Energy of one request.

    Attributes:
        source: ``direct``, ``estimated`` or ``emulated``.
        idle: whether a part of the idle energy is in it: ``shared`` or ``kept``.
    """

    energy_j: float
    source: str
    idle: str


_NEVER = Mark(0.0, 0.0, 0.0)


class _Course:
    """The rates of one instance over time."""

    __slots__ = ("expires_at_s", "mark", "rate", "since_s", "stale_at_s")

    def __init__(self) -> None:
        self.mark = _NEVER
        self.rate: EnergyRate | None = None
        self.since_s = 0.0
        self.stale_at_s = 0.0
        self.expires_at_s = 0.0

    def at(self, now_s: float) -> Mark:
        """Sums up to now."""
        rate, mark = self.rate, self.mark
        lasted_s = min(now_s, self.expires_at_s) - self.since_s
        if rate is None or lasted_s <= 0:
            return mark
        return _grown(mark, rate, lasted_s)

    def change(self, rate: EnergyRate | None, now_s: float, stale_at_s: float, expires_at_s: float) -> None:
        """Go by another rate from now on, and for the time since the last change, in which it was measured."""
        if rate is not None and self.rate is not None and now_s < self.expires_at_s:
            self.mark = _grown(self.mark, rate, max(0.0, now_s - self.since_s))
        else:
            self.mark = self.at(now_s)
        self.rate, self.since_s, self.stale_at_s, self.expires_at_s = rate, now_s, stale_at_s, expires_at_s

    def means(self, since: Mark, until: Mark, now_s: float) -> tuple[float, float] | None:
        """Mean rates between two marks; the present ones where no token lies between; None where none is known."""
        tokens = until.tokens - since.tokens
        if tokens > 1e-6:
            return (until.prefill - since.prefill) / tokens, (until.decode - since.decode) / tokens
        if self.rate is None or now_s >= self.expires_at_s:
            return None
        return self.rate.prefill_j, self.rate.decode_j


def _grown(mark: Mark, rate: EnergyRate, lasted_s: float) -> Mark:
    tokens = rate.seq_tokens_per_s * lasted_s
    return Mark(mark.prefill + rate.prefill_j * tokens, mark.decode + rate.decode_j * tokens, mark.tokens + tokens)


class EnergyBook:
    """The rates of all instances.

    Attributes:
        told, unknown: requests whose clients asked for their energy, and were or could not be told it.
    """

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}
        self._idle = "shared"
        self._issued_at_s: float | None = None
        self.told = 0
        self.unknown = 0

    def apply(self, rates: EnergyRates, now_s: float) -> None:
        """Take rates; those of instances that they do not name are not known from now on."""
        self._idle = rates.idle
        self._issued_at_s = rates.issued_at_s
        stale_at_s = rates.issued_at_s + STALE_FRAC * (rates.expires_at_s - rates.issued_at_s)
        named = {rate.instance_id for rate in rates.rates}
        for name in self._courses.keys() - named:
            self._courses[name].change(None, now_s, now_s, now_s)
        for rate in rates.rates:
            course = self._courses.get(rate.instance_id)
            if course is None:
                course = self._courses[rate.instance_id] = _Course()
            course.change(rate, now_s, stale_at_s, rates.expires_at_s)

    def age_s(self, now_s: float) -> float | None:
        """Since the last rates were issued; None before the first."""
        return None if self._issued_at_s is None else max(0.0, now_s - self._issued_at_s)

    def forget(self) -> None:
        """Settings have changed: the instances' names may mean others."""
        self._courses.clear()

    def keep(self, names: Iterable[str]) -> None:
        """Instances have come and gone: know of these alone."""
        kept = set(names)
        self._courses = {name: course for name, course in self._courses.items() if name in kept}

    def mark(self, instance_id: str, now_s: float) -> Mark:
        """Sums of an instance up to its last change: what the rate since then is, is told by the next one.

        Once the rate has expired, up to then: what a request costs that is sent later is not known.
        """
        course = self._courses.get(instance_id)
        if course is None:
            return _NEVER
        return course.mark if now_s < course.expires_at_s else course.at(now_s)

    def cost(
        self, instance_id: str, marks: tuple[Mark, Mark], tokens: Usage, *, is_counted: bool, now_s: float
    ) -> Cost | None:
        """Energy of a request that ends now, None where that is not known.

        Args:
            instance_id: who served it.
            marks: as it was sent, and as its first token came; the same for an answer that came in one piece.
            tokens: of the request.
            is_counted: whether the engine told them; else they are an estimate, and so is the energy.
            now_s: of the steady clock.
        """
        course = self._courses.get(instance_id)
        if course is None or not (tokens.input_tokens or tokens.output_tokens):
            return None
        now = course.at(now_s)
        sent, first = marks
        prefill = course.means(sent, first if first is not sent else now, now_s)
        decode = course.means(first, now, now_s)
        if prefill is None or decode is None or course.rate is None:
            return None
        energy_j = prefill[0] * tokens.input_tokens + decode[1] * tokens.output_tokens
        is_measured = is_counted and now_s < course.stale_at_s
        return Cost(energy_j, course.rate.quality if is_measured else ESTIMATED, self._idle)


def value_of(cost: Cost | None) -> bytes:
    """A cost as the client gets it, in the form of RFC 8941: a number with parameters, or ``unknown``."""
    if cost is None:
        return b"unknown"
    return f"{cost.energy_j:.3f};unit=J;source={cost.source};idle={cost.idle}".encode("ascii")
