"""The fleet as configured: site, pools, instances and the request classes they serve."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.model.mode import Mode
from controller.model.perf import PoolCurves
from router.contract import ClassId, InstanceId, PoolId, Precision


@dataclass(frozen=True, slots=True)
class Instance:
    """One engine: its address and the GPUs it occupies; without an address, a place in which one may be started."""

    instance_id: InstanceId
    url: str
    gpu_uuids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """Instances of one model at one precision on one kind of machine.

    Attributes:
        quality_loss_frac: mean score lost against the model's best precision, 0.006 = 0.6 %, by classes that do not
            tell their own.
        min_on, max_on: bounds on the instances kept serving.
        min_up_s: least time between an instance's wake and its next sleep.
        lower_after_s: least time between a wake in the pool and the next sleep in it, unless a limit calls.
        start_usd: cost set on waking an instance, against needless switching.
        places: most instances that may exist where they are discovered and can be started; 0 where others decide that.
        can_sleep: whether its instances can rest; those that cannot are stopped in place of that.
        may_stop: whether its instances may be stopped, whatever holds for the others.
        in_order: whether the one of the highest number goes first, whatever it serves.
        lets_go: whether its instances are let go, for an autoscaler to take away, in place of being stopped.
        rests_awake: whether one that rests is drained and idle, as its engines cannot sleep: its curves' `sleeping_w`
            is their `idle_w`, and it is back at once.
        mode: how far the controller goes with its instances, at most.
    """

    pool_id: PoolId
    precision: Precision
    gpu: str
    gpus_per_instance: int
    instances: tuple[Instance, ...]
    curves: PoolCurves
    quality_loss_frac: float = 0.0
    min_on: int = 0
    max_on: int | None = None
    min_up_s: float = 60.0
    start_usd: float = 0.0
    places: int = 0
    can_sleep: bool = True
    may_stop: bool = False
    in_order: bool = False
    lower_after_s: float = 0.0
    lets_go: bool = False
    rests_awake: bool = False
    mode: Mode = Mode.ACT

    @property
    def is_held(self) -> bool:
        """Whether the controller leaves its instances as they are: they are planned as they are found."""
        return self.mode is not Mode.ACT

    @property
    def rests_untold(self) -> bool:
        """Whether one that rests is told nothing, so that nobody but the controller knows that it does."""
        return self.rests_awake and not self.lets_go and not self.is_held

    @property
    def max_instances(self) -> int:
        """Most instances that may serve."""
        return len(self.instances) if self.max_on is None else min(self.max_on, len(self.instances))


def free_to_move(site: Site) -> Site:
    """The site as it would be if the controller acted on the pools in mode ``recommend`` too."""
    pools = (replace(pool, mode=Mode.ACT) if pool.mode is Mode.RECOMMEND else pool for pool in site.pools)
    return replace(site, pools=tuple(pools))


def resting_awake(pool: Pool) -> Pool:
    """The pool where one that rests is drained and idle, and back at once."""
    curves = replace(pool.curves, sleeping_w=pool.curves.idle_w, sleep_s=0.0, wake_s=0.0)
    return replace(pool, curves=curves, can_sleep=True, rests_awake=True)


@dataclass(frozen=True, slots=True)
class PoolRoster:
    """The instances of one pool as they were last told, where they are discovered: pods come and go.

    Attributes:
        instances: those that take requests or may do so again; one that is being taken away is none.
        starting: those that are there and take none yet.
        told_s: wall clock at which they were told, or were still known to be so.
    """

    pool_id: PoolId
    instances: tuple[Instance, ...]
    told_s: float
    starting: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestClass:
    """A class of requests and what it was promised.

    Attributes:
        precisions: allowed ones; empty allows all.
        quality_budget_frac: mean quality loss allowed over `quality_window_s`.
        quality_may_overdraw: whether an event may burn more than the budget has left, to be paid back in the intervals
            that follow it.
        quality_usd_per_mtoken: cost set on a million output tokens served at a loss of 1.0 (100 %).
        serve_usd_per_mtoken: worth of a million output tokens; where not all can be served, the class of least worth
            yields first.
        quality_loss_frac: mean score that its requests lose at a precision, where it is not what the pools say: code
            and mathematics suffer where chat does not.
        itl_slo_s, ttft_slo_s: latency targets, means over requests.
        survives_loss: whether the pools it may use keep the capacity of one instance free (N-1).
        priority: classes of higher priority are served before those of lower; one below 0 may wait.
    """

    class_id: ClassId
    precisions: tuple[Precision, ...] = ()
    quality_budget_frac: float = 0.0
    quality_window_s: float = 86_400.0
    quality_may_overdraw: bool = False
    quality_usd_per_mtoken: float = 0.0
    serve_usd_per_mtoken: float = 1000.0
    itl_slo_s: float = 0.06
    ttft_slo_s: float = 2.0
    expected_input_tokens: float = 1024.0
    expected_output_tokens: float = 256.0
    survives_loss: bool = False
    quality_loss_frac: tuple[tuple[Precision, float], ...] = ()
    priority: int = 0

    @property
    def may_wait(self) -> bool:
        """Whether its requests wait first where there is too little for all."""
        return self.priority < 0

    def loss_frac(self, precision: Precision, of_pool: float) -> float:
        """Mean score that its requests lose at a precision, as far as it tells; else what the pool says."""
        return dict(self.quality_loss_frac).get(precision, of_pool)

    def may_use(self, pool: Pool) -> bool:
        """Whether the class may be served by the pool's precision."""
        return not self.precisions or pool.precision in self.precisions


@dataclass(frozen=True, slots=True)
class Site:
    """One metering point.

    Attributes:
        gpus: GPUs installed; those of instances plus spare ones.
        spare_gpu_w: power of an installed GPU that no instance occupies.
        pue: facility power over IT power.
        aux_w: constant load behind the meter that is not GPUs.
        import_limit_w: physical or contractual import limit, None where there is none.
    """

    name: str
    gpus: int
    pools: tuple[Pool, ...]
    classes: tuple[RequestClass, ...]
    pue: float = 1.0
    aux_w: float = 0.0
    spare_gpu_w: float = 0.0
    import_limit_w: float | None = None

    @property
    def losses(self) -> tuple[tuple[float, ...], ...]:
        """[r][k], mean score that a class loses at a pool."""
        return tuple(
            tuple(cls.loss_frac(pool.precision, pool.quality_loss_frac) for pool in self.pools) for cls in self.classes
        )

    def find(self, instance_id: InstanceId) -> tuple[Pool, Instance] | None:
        """An instance and its pool; None where the site has no such instance."""
        for pool in self.pools:
            for instance in pool.instances:
                if instance.instance_id == instance_id:
                    return pool, instance
        return None

    def pool(self, pool_id: PoolId) -> Pool:
        """The pool of that name.

        Raises:
            KeyError: the site has no such pool.
        """
        for pool in self.pools:
            if pool.pool_id == pool_id:
                return pool
        raise KeyError(pool_id)
