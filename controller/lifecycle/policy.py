"""What the operator decides about the controller's ticks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from controller.forecast.policy import ForecastPolicy
from controller.model.grid import Precedence
from controller.model.mode import Mode
from controller.model.observation import Rung

__all__ = ["Mode", "TickPolicy"]


@dataclass(frozen=True, slots=True)
class TickPolicy:
    """Intervals, margins and prices of the control loop.

    Attributes:
        mode: how far decisions reach.
        issuer: name written into tables; one running controller has one.
        slow_interval_s: time between two solves of the mixed-integer plan when nothing else calls for one.
        slow_min_gap_s: least time between two such solves when the dispatch lacks capacity.
        slow_time_limit_s: longest search of one such solve.
        step_s, steps: the plan's interval and their number.
        table_ttl_s: validity of a table from its issue; a table is renewed at half of it.
        utilisation_frac: η, share of an instance's capacity that is planned, against queueing tails.
        peak_frac: share that may be used before a promise to a class is broken.
        margin_frac: share of a limit kept free while a fresh meter is at hand, for its error and the forecast's.
        meter_error_frac: the meter's part of it; the rest gives way to the forecast's error as far as that is seen.
        nvml_margin_frac: the same while the boards' own sensors tell the power, which are 5 % off (arXiv 2312.02741).
        dcgm_margin_frac: the same where these come exported and scraped, some ten seconds old in a ramp.
        blind_margin_frac: the same while power is only modelled.
        bias_max_frac: bound of the correction from measured power, as a share of the limit.
        bias_tau_s: time constant with which that correction is learnt and forgotten.
        precedence: what yields when not everything can be kept.
        carbon_usd_per_kg: price set on emissions.
        default_price_usd_per_mwh, default_carbon_kg_per_mwh: used where a feed is missing.
        signal_stale_s: how long the last value of a price or carbon series holds after the series' end.
        reading_stale_s: age at which a power, engine or router reading is disregarded.
        warmup_s: time of observed demand before an instance is put to sleep.
        demand_fast_tau_s, demand_slow_tau_s: time constants of demand; the larger estimate is the present demand.
        forecast: how demand, price and carbon of the coming intervals are foreseen.
        drain_grace_s: an engine must be seen empty this long after the routers obey the drain.
        command_retry_s: a command without effect is given again after this time.
        drain_expected_s: time a drain takes; replacements may serve first while an event's ramp leaves more than that.
        prepare_s: from this long before an event, what it needs replaces, one instance at a time, what it does not.
        baseline_window_s: the baseline is the mean power of this time before the preparation for an event.
        may_stop: whether sleeping instances may be stopped for a few watts or for their GPUs; their return is a cold
            start.
        ramp_up_w_per_s, ramp_down_w_per_s: fastest planned rise, fall, of the site's power, None for no bound.
        serves_barred: whether a class that nothing else can serve is served by pools whose answers are not to be
            trusted; without, it is refused.
        refit: whether the curves follow what the meters and engines count.
    """

    mode: Mode = Mode.OBSERVE
    issuer: str = "wattroute"
    slow_interval_s: float = 60.0
    slow_min_gap_s: float = 6.0
    slow_time_limit_s: float = 2.0
    step_s: float = 60.0
    steps: int = 12
    table_ttl_s: float = 30.0
    utilisation_frac: float = 0.85
    peak_frac: float = 0.97
    margin_frac: float = 0.03
    meter_error_frac: float = 0.01
    nvml_margin_frac: float = 0.05
    dcgm_margin_frac: float = 0.07
    blind_margin_frac: float = 0.10
    bias_max_frac: float = 0.15
    bias_tau_s: float = 20.0
    precedence: Precedence = Precedence.CONTRACT
    carbon_usd_per_kg: float = 0.0
    default_price_usd_per_mwh: float = 50.0
    default_carbon_kg_per_mwh: float = 400.0
    signal_stale_s: float = 7200.0
    reading_stale_s: float = 15.0
    warmup_s: float = 30.0
    demand_fast_tau_s: float = 15.0
    demand_slow_tau_s: float = 90.0
    forecast: ForecastPolicy = field(default_factory=ForecastPolicy)
    drain_grace_s: float = 1.0
    command_retry_s: float = 30.0
    drain_expected_s: float = 20.0
    prepare_s: float = 60.0
    baseline_window_s: float = 3600.0
    may_stop: bool = False
    ramp_up_w_per_s: float | None = None
    ramp_down_w_per_s: float | None = None
    serves_barred: bool = False
    refit: bool = False

    def by_meter(self, error_frac: float | None) -> TickPolicy:
        """The same, where the meter may be off by `error_frac`: no less is kept free, however well limits are kept."""
        if error_frac is None:
            return self
        return replace(self, margin_frac=max(self.margin_frac, error_frac), meter_error_frac=error_frac)

    def margin_of(self, rung: Rung) -> float:
        """Share of a limit kept free where power is known from `rung`; no rung has less than a surer one."""
        margins = (self.margin_frac, self.nvml_margin_frac, self.dcgm_margin_frac, self.blind_margin_frac)
        return max(margins[: rung.place + 1])
