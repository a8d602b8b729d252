import math

from prometheus_client import CollectorRegistry

from controller.energy.attribution import Tokens
from controller.energy.joule_share import Share
from controller.lifecycle.joule_accounts import PoolClass, Settlement, Totals
from controller.metrics.energy import EnergyMetrics

CHAT = PoolClass("bf16", "chat")


class Shown:
    def __init__(self):
        self.registry = CollectorRegistry()
        self.metrics = EnergyMetrics(self.registry)

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"wattroute_controller_{name}", labels)


def test_energy_cost_and_carbon_are_counted_by_pool_and_class():
    shown = Shown()
    for times in (1, 3):
        share = Share(1.0, 2.0, 4.0, usd=8.0, carbon_kg=0.016, unpriced_j=2.0, uncounted_j=4.0).times(times)
        shown.metrics.show(Totals(shares=((CHAT, share),)), {"bf16": Share(5.0)})
    labels = {"pool": "bf16", "class": "chat"}
    energies = [shown.value("attributed_energy_joules_total", **labels, phase=p) for p in ("prefill", "decode", "idle")]
    assert energies == [3.0, 6.0, 12.0]
    assert shown.value("attributed_cost_usd", **labels) == 24.0
    assert shown.value("attributed_carbon_grams", **labels) == 48.0
    assert shown.value("unpriced_energy_joules_total", **labels, signal="price") == 6.0
    assert shown.value("unpriced_energy_joules_total", **labels, signal="carbon") == 12.0
    assert shown.value("in_flight_energy_joules", pool="bf16") == 5.0


def test_what_nobody_bears_and_what_tenants_bear():
    shown = Shown()
    totals = Totals(
        idle=(("bf16", Share(idle_j=7.0)),),
        unattributed=(("bf16", Share(9.0)),),
        tenants=(("acme", Share(1.0, usd=-2.0, carbon_kg=0.003)),),
    )
    shown.metrics.show(totals, {})
    assert shown.value("unborne_energy_joules_total", pool="bf16", account="idle") == 7.0
    assert shown.value("unborne_energy_joules_total", pool="bf16", account="unattributed") == 9.0
    assert shown.value("tenant_energy_joules_total", tenant="acme") == 1.0
    assert shown.value("tenant_cost_usd", tenant="acme") == -2.0  # a negative price is no fault
    assert shown.value("tenant_carbon_grams", tenant="acme") == 3.0


def test_what_was_never_priced_has_no_cost_rather_than_none_to_pay():
    shown = Shown()
    share = Share(1.0, 2.0, 4.0, usd=0.5, unpriced_j=2.0, uncounted_j=7.0)
    shown.metrics.show(Totals(shares=((CHAT, share),), tenants=(("acme", share),)), {})
    labels = {"pool": "bf16", "class": "chat"}
    assert (shown.value("attributed_cost_usd", **labels), shown.value("tenant_cost_usd", tenant="acme")) == (0.5, 0.5)
    assert math.isnan(shown.value("attributed_carbon_grams", **labels))
    assert math.isnan(shown.value("tenant_carbon_grams", tenant="acme"))
    unpriced = [
        shown.value("tenant_unpriced_energy_joules_total", tenant="acme", signal=s) for s in ("price", "carbon")
    ]
    assert unpriced == [2.0, 7.0]


def test_emissions_go_back_as_costs_do_where_the_marginal_rate_is_below_zero():
    shown = Shown()
    for carbon_kg in (0.5, 0.2, -0.1):
        totals = Totals(
            shares=((CHAT, Share(1.0, carbon_kg=carbon_kg)),), tenants=(("a", Share(1.0, carbon_kg=carbon_kg)),)
        )
        shown.metrics.show(totals, {})
        assert shown.value("attributed_carbon_grams", **{"pool": "bf16", "class": "chat"}) == carbon_kg * 1e3
        assert shown.value("tenant_carbon_grams", tenant="a") == carbon_kg * 1e3


def test_joules_per_output_token_of_the_last_settlement():
    shown = Shown()

    def settle(tokens):
        empty = {}
        shown.metrics.settle(
            Settlement(0.0, 60.0, empty, empty, frozenset(), {CHAT: Share(300.0)}, {CHAT: tokens}, *[empty] * 5)
        )
        return shown.value("joules_per_output_token", **{"pool": "bf16", "class": "chat"})

    assert settle(Tokens(0, 100)) == 3.0
    assert math.isnan(settle(Tokens(50, 0)))


def test_growth_that_a_former_process_may_have_shown_is_left_out():
    shown = Shown()
    one = Share(decode_j=100.0)
    shown.metrics.show(Totals(shares=((CHAT, one),)), {}, counts=False)
    labels = {"pool": "bf16", "class": "chat", "phase": "decode"}
    assert shown.value("attributed_energy_joules_total", **labels) == 0.0
    shown.metrics.show(Totals(shares=((CHAT, one.times(1.5)),)), {})
    assert shown.value("attributed_energy_joules_total", **labels) == 50.0
