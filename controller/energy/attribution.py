"""Metered energy, told off to the requests that caused it; pure.

Energy is kept like goods in a store whose price is the moving average. In each interval an instance's metered energy
comes in, parted into prefill, decode and idle; the tokens that routers tell take out what they cost; what belongs to
requests that have told nothing yet (a plain answer tells its tokens at its end) stays in stock. Nothing is made or
lost on the way, so that at any time

    Σ requests + in stock + idle + unattributed = metered                                   [J]

holds to rounding. An interval of an instance whose energy is E, over d seconds, with P prompt tokens and D output
tokens at a mean batch of B:

    idle     I = min(E, idle_w · d), all of E where nothing ran
    weights  w_p = P0 · prefill_s + prefill_j,  w_d = A/B + C        [J/token], of the curves, see model/perf.py
    active   E - I = k · (w_p · P + w_d · D)    gives k and so the rates k·w_p, k·w_d
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.energy.joule_share import NOTHING, Share, summed
from controller.model.perf import PoolCurves
from router.contract import InstanceId, PoolId

LEAK_S = 60.0
"""Time constant with which stock passes to the requests that do tell their tokens. Without it a router that counts a
little less than the engine (its estimate of a prompt, say) would have stock grow for ever."""


class IdlePolicy(StrEnum):
    """What becomes of the energy that instances draw whether they serve or not."""

    SHARED = "shared"
    """The requests of the interval bear the idle energy of their pool, in proportion to their active energy."""
    KEPT = "kept"
    """It is an account of its own."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Prompt tokens and output tokens."""

    prefill: float = 0.0
    decode: float = 0.0

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self.prefill > 0 or self.decode > 0


@dataclass(frozen=True, slots=True)
class Signals:
    """What a joule at the GPUs cost in the interval; None where it is not known.

    Attributes:
        usd_per_j, kg_per_j: at the meter, so with the site's overhead (PUE).
    """

    usd_per_j: float | None
    kg_per_j: float | None


@dataclass(frozen=True, slots=True)
class Interval:
    """One instance over one interval.

    Attributes:
        energy_j: metered, or modelled where no meter is at hand.
        batch: mean number of sequences in decode.
        engine: what the engine itself counted; None where it is not known.
        told: (name, tokens) that routers told within the interval; a name is a class or whatever is to be told apart.
        silent: requests under way that have told no token yet; those of routers that are not heard count as one.
        is_running: whether the engine has work by its own report.
    """

    instance_id: InstanceId
    pool_id: PoolId
    curves: PoolCurves
    duration_s: float
    energy_j: float
    batch: float
    engine: Tokens | None
    told: tuple[tuple[str, Tokens], ...]
    silent: int
    is_running: bool

    @property
    def weights(self) -> Tokens:
        """Marginal J of a prompt token and of an output token, by the curves."""
        curves = self.curves
        prefill = curves.p0_w * curves.prefill_s_per_token + curves.prefill_j_per_token
        return Tokens(prefill, curves.step_base_j / max(1.0, self.batch) + curves.step_per_seq_j)

    @property
    def told_tokens(self) -> Tokens:
        """Sum of what was told."""
        return Tokens(
            math.fsum(tokens.prefill for _, tokens in self.told), math.fsum(tokens.decode for _, tokens in self.told)
        )

    @property
    def made(self) -> Tokens:
        """Tokens made in the interval: the engine's own count, else what was told."""
        return self.engine if self.engine else self.told_tokens

    @property
    def seq_tokens_per_s(self) -> float:
        """Output tokens a second of one sequence, about."""
        return self.made.decode / max(1.0, self.batch) / self.duration_s if self.duration_s > 0 else 0.0

    @property
    def has_work(self) -> bool:
        """Whether anything ran that its energy could be for."""
        return bool(self.made) or self.is_running or self.silent > 0

    @property
    def idle_j(self) -> float:
        """Part of the energy that is drawn whether anything runs or not."""
        return min(self.energy_j, self.curves.idle_w * self.duration_s) if self.has_work else self.energy_j


@dataclass(frozen=True, slots=True)
class Stock:
    """Energy of an instance that nobody has told tokens for yet, and the tokens it was spent on."""

    share: Share = NOTHING
    tokens: Tokens = Tokens()


@dataclass(frozen=True, slots=True)
class Rate:
    """What a token costs on an instance in an interval, with its part of the idle energy; J/token."""

    prefill_j: float
    decode_j: float


@dataclass(frozen=True, slots=True)
class Attributed:
    """What became of one instance's interval.

    Attributes:
        shares: of each name that told tokens.
        stock: what stays for requests that are yet to tell.
        idle: idle energy that nobody bears.
        unattributed: active energy of which no router knows a request: asked past the routers, or given up.
        borne_j: what requests bear of the interval, now or when they tell their tokens.
        rate: None where no token was made, or no energy is left for those that were: what they cost is not known.
    """

    interval: Interval
    shares: Mapping[str, Share]
    stock: Stock
    idle: Share
    unattributed: Share
    borne_j: float
    rate: Rate | None


def attribute(
    intervals: tuple[Interval, ...], stocks: Mapping[InstanceId, Stock], policy: IdlePolicy, signals: Signals
) -> tuple[Attributed, ...]:
    """Tell the energy of intervals of the same time off to names.

    The idle energy of a pool is that of all its instances given here, also of those that rest; a pool without work
    keeps it.
    """
    factors = {pool_id: _idle_factor(intervals, pool_id, policy) for pool_id in {each.pool_id for each in intervals}}
    return tuple(
        _one(each, stocks.get(each.instance_id, Stock()), factors[each.pool_id], signals) for each in intervals
    )


def _idle_factor(intervals: tuple[Interval, ...], pool_id: PoolId, policy: IdlePolicy) -> float | None:
    """Idle J that each active J bears in the pool; None where idle energy is kept apart."""
    own = [each for each in intervals if each.pool_id == pool_id]
    active_j = math.fsum(each.energy_j - each.idle_j for each in own)
    if policy is IdlePolicy.KEPT or active_j <= 0:
        return None
    return math.fsum(each.idle_j for each in own) / active_j


def _one(interval: Interval, stock: Stock, factor: float | None, signals: Signals) -> Attributed:
    active_j = interval.energy_j - interval.idle_j
    # What an instance bears of its pool's idle energy is another sum than its own idle energy; the pool's is the same.
    borne_j = 0.0 if factor is None else factor * active_j
    idle = _priced(Share(idle_j=interval.idle_j), signals) if factor is None else NOTHING
    inflow, rate = _parted(interval, active_j, borne_j)
    full = Stock(
        stock.share + _priced(inflow, signals),
        Tokens(stock.tokens.prefill + interval.made.prefill, stock.tokens.decode + interval.made.decode),
    )
    shares, left = _draw(interval, full)
    if not interval.told_tokens and interval.silent == 0 and not interval.is_running:
        return Attributed(interval, shares, Stock(), idle, left.share, inflow.energy_j, rate)
    return Attributed(interval, shares, left, idle, NOTHING, inflow.energy_j, rate)


def _parted(interval: Interval, active_j: float, borne_j: float) -> tuple[Share, Rate | None]:
    """The interval's energy by phase, and what a token costs."""
    made, weights = interval.made, interval.weights
    weighed = weights.prefill * made.prefill + weights.decode * made.decode
    if weighed <= 0:
        # Work without a token: a long prompt, which engines count when it is done.
        return Share(prefill_j=active_j, idle_j=borne_j), None
    if active_j <= 0:
        # The model booked the energy ahead, the meter lags behind the engine, or idle power is put too high.
        return Share(idle_j=borne_j), None
    scale = active_j / weighed
    prefill_j = min(active_j, scale * weights.prefill * made.prefill)
    with_idle = scale * (1.0 + borne_j / active_j)
    rate = Rate(with_idle * weights.prefill, with_idle * weights.decode)
    return Share(prefill_j, active_j - prefill_j, borne_j), rate


def _priced(share: Share, signals: Signals) -> Share:
    """The share with its cost and emissions; those without a price count what they are without."""
    energy_j, usd, kg = share.energy_j, signals.usd_per_j, signals.kg_per_j
    return replace(
        share,
        usd=0.0 if usd is None else energy_j * usd,
        carbon_kg=0.0 if kg is None else energy_j * kg,
        unpriced_j=energy_j if usd is None else 0.0,
        uncounted_j=energy_j if kg is None else 0.0,
    )


def _draw(interval: Interval, stock: Stock) -> tuple[dict[str, Share], Stock]:
    """What those who told tokens take out of the stock, and what stays."""
    told = interval.told_tokens
    if not told:
        return {}, stock
    kept = stock.tokens
    leak = 1.0 if interval.silent == 0 else -math.expm1(-interval.duration_s / LEAK_S)
    prefill_frac = _taken_frac(told.prefill, kept.prefill, leak)
    decode_frac = _taken_frac(told.decode, kept.decode, leak)
    share = stock.share
    taken_j = (prefill_frac * share.prefill_j, decode_frac * share.decode_j)
    active_j = share.prefill_j + share.decode_j
    idle_frac = sum(taken_j) / active_j if active_j > 0 else max(prefill_frac, decode_frac)
    prefills, decodes = _parts(interval, told)
    actives = [(prefill * taken_j[0], decode * taken_j[1]) for prefill, decode in zip(prefills, decodes, strict=True)]
    parts = _in_proportion([sum(pair) for pair in actives]) or prefills
    taken = {
        name: Share(*active, part * idle_frac * share.idle_j)
        for (name, _), active, part in zip(interval.told, actives, parts, strict=True)
    }
    taken = _with_costs(taken, share)
    return taken, _left(stock, taken, Tokens(prefill_frac, decode_frac))


def _taken_frac(told: float, kept: float, leak: float) -> float:
    """Share of the stock of a phase that leaves it."""
    frac = min(1.0, told / kept) if kept > 0 else float(told > 0)
    return frac + (1.0 - frac) * leak


def _parts(interval: Interval, told: Tokens) -> tuple[list[float], list[float]]:
    """Each name's part of what leaves a phase; by all its tokens where nobody told tokens of the phase."""
    weights = interval.weights
    overall = _in_proportion(
        [weights.prefill * tokens.prefill + weights.decode * tokens.decode for _, tokens in interval.told]
    ) or _in_proportion([tokens.prefill + tokens.decode for _, tokens in interval.told])
    prefills = [tokens.prefill / told.prefill for _, tokens in interval.told] if told.prefill > 0 else overall
    decodes = [tokens.decode / told.decode for _, tokens in interval.told] if told.decode > 0 else overall
    return prefills, decodes


def _in_proportion(values: list[float]) -> list[float]:
    total = math.fsum(values)
    return [value / total for value in values] if total > 0 else []


def _with_costs(taken: dict[str, Share], stock: Share) -> dict[str, Share]:
    """Costs leave the stock in proportion to the energy: those of the stock's mean joule."""
    total_j = stock.energy_j
    if total_j <= 0:
        return taken
    return {name: share.costing(stock, share.energy_j / total_j) for name, share in taken.items()}


def _left(stock: Stock, taken: Mapping[str, Share], frac: Tokens) -> Stock:
    left = stock.share.less(summed(taken.values()))
    tokens = Tokens(stock.tokens.prefill * (1.0 - frac.prefill), stock.tokens.decode * (1.0 - frac.decode))
    return Stock(left, tokens)
