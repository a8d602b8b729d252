"""Fits of power and time, and what follows from them; pure.

From measurements to curves:

* `window.Window`: differences of an instance's counters; `Window.sample()` makes a `step_fit.Sample` of a steady one.
* `step_fit.fit_steps(samples) -> StepFit`: T(B, K) and E(B, K) with P0, e, q ≥ 0, their errors in and out of sample for
  power, throughput and time between tokens, and `StepFit.parameters()`, `.covariance`, `.uncertainty()` in the order of
  `controller.model.perf.FITTED`.
* `verdict.refusal(fit)`, `verdict.require_accepted(fit)`: whether the held-out errors allow planning with it;
  `verdict.narrowed(samples)`: a fit to the batches over which straight lines hold.
* `bent_fit.fit_bent(samples) -> BentFit`: a step time that bends, for mixtures of experts; power stays affine.
* `load_power.rest_power(windows)`: idle, asleep and off; `load_power.require_states_in_order(curves)`.
* `phases.fit_phases(windows, idle_w) -> PhaseFit`: prefill and decode told apart in windows of mixed load.

From curves to power:

* `load_power.power_w(curves, Load(...))`, `load_power.busy_frac(...)`: at any load, below continuous occupancy too.
* `uncertainty.power_interval(fit, load)`, `uncertainty.curves_power_sd_w(curves, load)`,
  `uncertainty.bootstrap_interval(samples, load, rng)`: how surely that power is known.

Shared by all: `term_fit.fit_terms(columns, y)` (a sum of non-negative terms, with covariance and held-out errors) and
`least_squares`. Measurements that carry no fit raise `controller.errors.FitRefused`, with the reason and the remedy.
"""
