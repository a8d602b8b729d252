"""What a site draws now, measured and by the model, and what is kept free of a limit for the doubt of it."""

from __future__ import annotations

from dataclasses import dataclass

from controller.lifecycle.control_error import ControlError, spared_frac
from controller.lifecycle.memory import Memory, TokenCount
from controller.lifecycle.modelled_power import charged_at_meter_w, draining_power_w, modelled_power_w
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.power_loop import Measured, measured_power, next_bias_w
from controller.lifecycle.refit import widened_frac
from controller.lifecycle.views import View
from controller.model.fleet import Site
from controller.model.observation import Observation, Rung


@dataclass(frozen=True, slots=True)
class Drawn:
    """Power at the meter.

    Attributes:
        measured: where it is.
        modelled_w: by the model, for the instances as they are.
        charged_w: the same by the plan's rule, in which an instance with work draws P0 all the time.
        bias_w: what the plan adds to its own figures, by what they were off.
        leaving_w: what of it goes once the draining instances are asleep.
    """

    measured: Measured
    modelled_w: float
    charged_w: float
    bias_w: float
    leaving_w: float

    @property
    def most_w(self) -> float:
        """The most that is drawn, measured or by the plan's rule."""
        return self.measured.at_least(self.charged_w)


def find_drawn(
    site: Site,
    policy: TickPolicy,
    memory: Memory,
    observation: Observation,
    views: tuple[View, ...],
    tokens: tuple[TokenCount, ...],
) -> Drawn:
    """What is drawn by the instances as they are seen, with the tokens that they are known to have made."""
    measured = measured_power(site, observation, policy.reading_stale_s)
    charged_w = charged_at_meter_w(site, views, tokens)
    leaving_w = draining_power_w(site, views, tokens)
    bias_w = next_bias_w(
        policy,
        site,
        observation,
        (memory.bias_w, memory.bias_at_s),
        measured_w=measured.value_w,
        charged_w=charged_w,
        leaving_w=leaving_w,
    )
    return Drawn(measured, modelled_power_w(site, views, tokens), charged_w, bias_w, leaving_w)


def margin_of(
    policy: TickPolicy, control: ControlError, drawn: Drawn, doubted_w: float, limit_w: float | None, now_s: float
) -> float:
    """Share of a limit that is kept free, by where the power is known from and how surely.

    Args:
        policy: the usual share, by the source of power.
        control: how well limits were kept of late, which spares a part of it.
        drawn: what is drawn now.
        doubted_w: what the pools' curves leave in doubt of it.
        limit_w: in force now, None without one.
        now_s: wall clock.
    """
    rung, metered = drawn.measured.margin_rung, policy.by_meter(drawn.measured.error_frac)
    usual_frac = metered.margin_of(rung)
    if rung is Rung.METER:
        usual_frac -= spared_frac(metered, control, now_s)
    return widened_frac(policy, usual_frac, doubted_w, limit_w or drawn.charged_w)
