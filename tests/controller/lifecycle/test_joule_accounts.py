import json

import pytest

from controller.energy.attribution import Tokens
from controller.energy.joule_share import NOTHING, Share
from controller.lifecycle.instance_meter import Metered
from controller.lifecycle.joule_accounts import NO_TOTALS, Accounts, PoolClass, Totals, split
from controller.model.observation import Quality, TenantTokens
from controller.store.plain import from_plain, to_plain

CHAT = PoolClass("bf16", "chat")


def told(tenant, output, class_id="chat"):
    return TenantTokens(tenant, class_id, "bf16", 0.0, float(output))


def begun(*tenants, totals=NO_TOTALS):
    accounts = Accounts(totals)
    accounts.begin(0.0, {}, tenants)
    return accounts


def test_a_settlement_holds_what_was_told_off_since_the_one_before():
    accounts = begun()
    accounts.meter("bf16", Metered(100.0, 1.0, Quality.DIRECT))
    accounts.add(CHAT, Share(10.0, 60.0, 20.0, usd=1.0), Tokens(5, 7))
    accounts.leave("bf16", idle=Share(idle_j=6.0), unattributed=NOTHING)
    settled = accounts.settle(60.0, {"bf16": Share(4.0)}, ())
    assert settled.attributed_j == pytest.approx(100.0) == settled.metered_j["bf16"]
    record = json.loads(json.dumps(settled.record(), allow_nan=False))
    assert record["classes"][0]["output_tokens"] == 7
    assert record["idle"] == {"bf16": {**record["idle"]["bf16"], "idle_j": 6.0}}
    assert record["quality"] == ["direct"]
    again = accounts.settle(120.0, {"bf16": Share(4.0)}, ())
    assert (again.began_s, again.shares, again.attributed_j) == (60.0, {}, 0.0)


def test_the_estimated_part_is_told():
    accounts = begun()
    accounts.meter("bf16", Metered(100.0, 1.0, Quality.DIRECT))
    accounts.meter("bf16", Metered(50.0, 1.0, Quality.ESTIMATED, is_modelled=True))
    settled = accounts.settle(60.0, {}, ())
    assert (settled.metered_j, settled.estimated_j) == ({"bf16": 150.0}, {"bf16": 50.0})


def test_tenants_share_by_tokens_told_within_the_interval():
    accounts = begun(told("old", 1000), told("acme", 10))
    accounts.add(CHAT, Share(decode_j=90.0, usd=9.0), Tokens())
    settled = accounts.settle(60.0, {}, (told("old", 1000), told("acme", 30), told("new", 10)))
    assert {name: share.energy_j for name, share in settled.tenants.items()} == pytest.approx({"acme": 60, "new": 30})
    assert settled.tenants["acme"].usd == pytest.approx(6.0)
    again = accounts.settle(120.0, {}, (told("old", 1000), told("acme", 90), told("new", 10)))
    assert again.tenants["acme"] == NOTHING  # nothing was due any more
    assert dict(accounts.totals.tenants)["new"].energy_j == pytest.approx(30.0)


def test_what_is_due_to_tenants_waits_for_those_who_tell():
    accounts = begun(told("acme", 0))
    accounts.add(CHAT, Share(decode_j=50.0), Tokens())
    assert accounts.settle(60.0, {}, (told("acme", 0),)).tenants == {}
    accounts.add(CHAT, Share(decode_j=70.0), Tokens())
    assert accounts.settle(120.0, {}, (told("acme", 5),)).tenants["acme"].energy_j == pytest.approx(120.0)


def test_totals_go_on_from_those_of_a_former_process():
    accounts = begun(totals=Totals(shares=((CHAT, Share(1.0)),), idle=(("bf16", Share(idle_j=2.0)),)))
    accounts.add(CHAT, Share(1.0), Tokens())
    accounts.leave("bf16", idle=Share(idle_j=1.0), unattributed=Share(5.0))
    kept = from_plain(Totals, json.loads(json.dumps(to_plain(accounts.totals))))
    assert kept == accounts.totals
    assert dict(kept.shares)[CHAT] == Share(2.0)
    assert dict(kept.idle)["bf16"] == Share(idle_j=3.0)
    assert dict(kept.unattributed)["bf16"] == Share(5.0)


def test_no_interval_ends_before_the_routers_were_heard():
    accounts = Accounts(Totals())
    assert not accounts.is_due(1e9, 60.0)
    accounts.begin(100.0, {}, ())
    accounts.begin(150.0, {}, ())
    assert not accounts.is_due(159.0, 60.0)
    assert accounts.is_due(160.0, 60.0)


def test_a_share_is_parted_by_phase_and_nothing_is_lost():
    whole = Share(30.0, 60.0, 10.0, usd=5.0, carbon_kg=1.0, unpriced_j=3.0, uncounted_j=2.0)
    parts = split(whole, {"a": Tokens(100, 0), "b": Tokens(0, 100)})
    assert (parts["a"].prefill_j, parts["a"].decode_j) == (30.0, 0.0)
    assert parts["b"].decode_j == 60.0
    assert sum(part.energy_j for part in parts.values()) == pytest.approx(100.0)
    assert sum(part.usd for part in parts.values()) == pytest.approx(5.0)
    alone = split(whole, {"a": Tokens(0, 1), "b": Tokens(0, 3)})
    assert alone["b"].prefill_j == pytest.approx(22.5)
