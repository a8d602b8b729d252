"""The numbers of one planning problem, free of any solver.

Index sets: sites c, classes r, pools k, intervals t of the horizon. Matrices are tuples of rows, `[r][k]` or `[k][t]`.
A class is the demand for one model under one set of promises; a pool is one precision of one model on one kind of GPU
at one site. Which pools a class may use says which model it asks for and which sites it reaches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.plan import Horizon
from router.contract import ClassId, PoolId


@dataclass(frozen=True, slots=True)
class PoolData:
    """One pool's instances and what they draw.

    Attributes:
        instances: instances that can be reached, in whatever state.
        on_now, sleeping_now: of these, those serving, waking or draining, and those asleep; the rest is off.
        min_on, max_on: bounds on those serving.
        locked: per interval, instances that may not yet be put to sleep (least up-time).
        late: per interval, instances on that do not serve yet, as a fraction of the interval, summed.
        gpus_per_instance: GPUs held by an instance that is on or asleep.
        p0_w, sleeping_w, off_w: one instance decoding at rate zero, asleep, stopped.
        quality_loss_frac: mean score lost against the best precision, unless the problem tells it by class.
        wake_s, start_s: from asleep, and from off, to serving.
        start_usd: cost set on a wake or start.
        exchange_usd: price of a wake or start that others must make room for, an interval each; () for none.
        min_up_steps: least intervals between a planned wake and the next sleep.
        site: index of the site it is at.
        stop_usd: cost set on a stop; None for that of the cold start it makes necessary later.
        may_sleep: whether its engines can sleep; those that cannot are on or off.
        may_stop: whether its instances may be stopped even where those of other pools must not be.
        is_held: whether they stay as they are, whatever else holds: `min_on` and `max_on` are those on.
    """

    pool_id: PoolId
    instances: int
    on_now: int
    sleeping_now: int
    min_on: int
    max_on: int
    locked: tuple[int, ...]
    late: tuple[float, ...]
    gpus_per_instance: int
    p0_w: float
    sleeping_w: float
    off_w: float
    quality_loss_frac: float
    wake_s: float
    start_s: float
    start_usd: float
    min_up_steps: int
    site: int = 0
    stop_usd: float | None = None
    may_sleep: bool = True
    may_stop: bool = False
    exchange_usd: tuple[float, ...] = ()
    is_held: bool = False

    @property
    def most_sleeping(self) -> int:
        """Most of them that may be asleep."""
        return self.instances if self.may_sleep and not self.is_held else self.sleeping_now


@dataclass(frozen=True, slots=True)
class BatteryData:
    """A battery behind a site's meter.

    Attributes:
        capacity_wh, min_wh: most and least it may hold.
        soc_wh: what it holds now.
        charge_w, discharge_w: largest power into it, out of it, at its terminals.
        charge_frac, discharge_frac: share of the charged energy that is stored, of the stored energy that comes out.
        wear_usd_per_mwh: cost of a MWh charged or discharged.
        final_wh: what it is to hold at the horizon's end, as far as that can be reached.
    """

    capacity_wh: float
    soc_wh: float
    min_wh: float
    charge_w: float
    discharge_w: float
    charge_frac: float
    discharge_frac: float
    wear_usd_per_mwh: float
    final_wh: float


@dataclass(frozen=True, slots=True)
class ResponseData:
    """A demand-response programme that pays for power not drawn; every tuple has one entry an interval.

    Attributes:
        baseline_w: what the site is taken to draw without an event.
        reward_usd_per_mwh: paid for each MWh below the baseline, paid back for each MWh above it.
        most_w: largest reduction that is paid; 0 outside of events, where nothing is settled.
    """

    baseline_w: tuple[float, ...]
    reward_usd_per_mwh: tuple[float, ...]
    most_w: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SiteData:
    """One metering point and the GPUs behind it.

    Attributes:
        gpus: GPUs installed.
        pue: facility power over IT power.
        spare_w: IT power of GPUs that belong to no instance.
        aux_w: constant load behind the meter that is not IT.
        bias_w: correction from measured power, added to the site's predicted power.
        limit_w: per interval, most the site is planned to draw, None without a limit.
        price_usd_per_mwh, carbon_kg_per_mwh: per interval.
        ramp_w, ramp_down_w: largest planned rise, fall, of power between intervals, None for no bound. What a limit
            demands is not bound.
        drawn_before_w: power drawn one interval before the first, in the plan's own model; None where it is unknown,
            and the step into the first interval is then not bound.
        pv_w: per interval, what its photovoltaics can give; () without any.
        battery: behind its meter, if any.
        response: the programme it takes part in, if any.
    """

    site_id: str
    gpus: int
    pue: float
    spare_w: float
    aux_w: float
    bias_w: float
    limit_w: tuple[float | None, ...]
    price_usd_per_mwh: tuple[float, ...]
    carbon_kg_per_mwh: tuple[float, ...]
    ramp_w: float | None = None
    ramp_down_w: float | None = None
    drawn_before_w: float | None = None
    pv_w: tuple[float, ...] = ()
    battery: BatteryData | None = None
    response: ResponseData | None = None

    @property
    def has_assets(self) -> bool:
        """Whether what is drawn from the grid may differ from what the site takes."""
        return bool(self.pv_w) or self.battery is not None

    @property
    def has_ramp(self) -> bool:
        """Whether its power may not change at once."""
        return self.ramp_w is not None or self.ramp_down_w is not None

    @property
    def most_first_w(self) -> float | None:
        """Power up to which the ramp lets the first interval rise; None without such a bound."""
        return None if self.ramp_w is None or self.drawn_before_w is None else self.drawn_before_w + self.ramp_w

    @property
    def least_first_w(self) -> float:
        """Power down to which the ramp lets the first interval fall, or a limit makes it; 0 without such a bound."""
        if self.ramp_down_w is None or self.drawn_before_w is None:
            return 0.0
        limit_w = self.limit_w[0]
        falls_to_w = self.drawn_before_w - self.ramp_down_w
        return max(0.0, falls_to_w if limit_w is None else min(falls_to_w, limit_w))

    def is_tightened(self, t: int) -> bool:
        """Whether a limit begins in interval t >= 1, or is lower than before: it may demand any fall."""
        before_w, limit_w = self.limit_w[t - 1], self.limit_w[t]
        return limit_w is not None and (before_w is None or limit_w < before_w)


@dataclass(frozen=True, slots=True)
class ClassData:
    """One class's demand and promises.

    Attributes:
        demand_tokens_per_s: output tokens, per interval.
        quality_budget_frac: largest mean quality loss, per interval.
        quality_usd_per_mtoken: cost of a million output tokens at a loss of 1.
        serve_usd_per_token: price of an output token that is not served.
        defer_steps: intervals that the demand of one interval may wait; 0 for a class that may not be deferred.
        backlog_tokens_per_s: what waits now, as a rate over one interval, by when it is due: entry i must be served by
            the end of interval i. At most `defer_steps` entries.
        survives_loss: whether the pools it may use keep the capacity of one instance free.
        quality_window: whether its quality budget holds over the horizon together rather than in each interval.
        may_wait: whether it is held first where a limit cannot be kept otherwise.
    """

    class_id: ClassId
    demand_tokens_per_s: tuple[float, ...]
    quality_budget_frac: tuple[float, ...]
    quality_usd_per_mtoken: float
    serve_usd_per_token: float
    defer_steps: int = 0
    backlog_tokens_per_s: tuple[float, ...] = ()
    survives_loss: bool = False
    quality_window: bool = False
    may_wait: bool = False

    @property
    def asked_tokens_per_s(self) -> float:
        """What the first interval asks for where nobody waits beyond it: its demand and what waits already."""
        return self.demand_tokens_per_s[0] + sum(self.backlog_tokens_per_s)


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier plan's instances over a problem's intervals: good plans are often near.

    Attributes:
        on, sleeping: [k][t]; they need neither suffice nor be possible.
    """

    on: tuple[tuple[int, ...], ...]
    sleeping: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ProblemData:
    """Sites, pools and classes over one horizon.

    Attributes:
        allowed: [r][k], whether the class may use the pool.
        busy_s_per_token: [r][k], engine time an output token takes, its share of prompt work included; dearer on pools
            where the time to first token asks for more room than η leaves.
        j_per_token: [r][k], energy above P0·time of an output token, its share of prompt work included.
        utilisation_frac: η, share of the engine time that is planned.
        peak_frac: share that may be used at a price before a promise to a class is broken.
        headroom_usd_per_s: price of one instance's engine time beyond η.
        carbon_usd_per_kg: price set on emissions.
        limit_usd_per_j: price of energy drawn above a limit.
        quality_usd_per_token: price of an output token at a loss of 1 beyond the class's budget.
        may_stop: whether sleeping instances may be stopped.
        ramp_usd_per_w: price of a rise or fall beyond a site's ramp.
        from_scratch: the moves of the first interval cost nothing, take no time and bind nobody: a plan that need not
            begin with the present state.
        moves_anywhen: instances may move at every interval, not only where a change makes it likely to pay.
        move_usd_per_token: [r][k], cost of bringing an output token's request to the pool's site; () for none.
        quality_loss_frac: [r][k], mean score that the class loses at the pool; () where each loses what the pool says.
        earlier: a plan near which instances are searched as well; it allows and forbids nothing.
    """

    horizon: Horizon
    sites: tuple[SiteData, ...]
    pools: tuple[PoolData, ...]
    classes: tuple[ClassData, ...]
    allowed: tuple[tuple[bool, ...], ...]
    busy_s_per_token: tuple[tuple[float, ...], ...]
    j_per_token: tuple[tuple[float, ...], ...]
    utilisation_frac: float
    carbon_usd_per_kg: float
    limit_usd_per_j: float
    quality_usd_per_token: float
    may_stop: bool = True
    peak_frac: float = 0.97
    headroom_usd_per_s: float = 0.01
    ramp_usd_per_w: float = 1e-3
    from_scratch: bool = False
    moves_anywhen: bool = False
    move_usd_per_token: tuple[tuple[float, ...], ...] = ()
    quality_loss_frac: tuple[tuple[float, ...], ...] = ()
    earlier: Earlier | None = None

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Every (r, k) whose class may use the pool, by class."""
        return tuple((r, k) for r, row in enumerate(self.allowed) for k, may in enumerate(row) if may)

    @property
    def energy_usd_per_w(self) -> tuple[tuple[float, ...], ...]:
        """[c][t], cost of one watt over each interval: energy and carbon, USD/W."""
        mwh_per_w = self.horizon.dt_s / 3.6e9
        return tuple(
            tuple(
                (price + self.carbon_usd_per_kg * carbon) * mwh_per_w
                for price, carbon in zip(site.price_usd_per_mwh, site.carbon_kg_per_mwh, strict=True)
            )
            for site in self.sites
        )

    def losses(self, r: int) -> tuple[float, ...]:
        """(K,) mean score that a class loses at each pool."""
        return self.quality_loss_frac[r] if self.quality_loss_frac else tuple(p.quality_loss_frac for p in self.pools)

    def kind_for(self, classes: Iterable[int], k: int) -> tuple[tuple[float, float] | None, ...]:
        """What a token of each class takes and loses at a pool, None where it may not; equal for pools alike."""
        return tuple((self.busy_s_per_token[r][k], self.losses(r)[k]) if self.allowed[r][k] else None for r in classes)

    def stops_in(self, pool: PoolData) -> bool:
        """Whether instances of a pool may be stopped."""
        return (self.may_stop or pool.may_stop) and not pool.is_held

    def pools_at(self, c: int) -> tuple[int, ...]:
        """Indices of a site's pools."""
        return tuple(k for k, pool in enumerate(self.pools) if pool.site == c)
