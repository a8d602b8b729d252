import dataclasses
import functools
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.energy.attribution import IdlePolicy
from controller.lifecycle.joule_accounts import PoolClass, Totals
from controller.lifecycle.joule_resume import KeptAccount
from controller.lifecycle.joules import JouleBook, JoulePolicy
from controller.model.grid import Series
from controller.model.observation import (
    InstanceObservation,
    InstanceState,
    Missing,
    Observation,
    Quality,
    Reading,
    RouterObservation,
    SpentTokens,
    TenantTokens,
)
from controller.store.plain import from_plain, to_plain
from tests.fakes.controller_parts import NOW_S, curves, pool, site

SITE = site(pool("bf16", ("http://127.0.0.1:1",)), pue=1.25)
NAME = "bf16-0"


@dataclasses.dataclass
class Site:
    """An instance that serves, and what is seen of it."""

    at_s: float = NOW_S
    joules: float = 0.0
    prompt: float = 0.0
    output: float = 0.0
    told: tuple[float, float] = (0.0, 0.0)
    running: int = 0
    steps: float | None = None
    in_flight: int = 0
    streams: int = 0
    state: InstanceState = InstanceState.SERVING
    price: float | None = 36.0
    class_id: str = "standard"
    hears_gpus: bool = True
    hears_router: bool = True

    def look(self):
        readings = tuple(
            (
                f"GPU-bf16-0-{n}",
                Reading(1000.0, self.joules / 2, self.at_s, "nvml", Quality.EMULATED)
                if self.hears_gpus
                else Missing("nvml", "gone", self.at_s),
            )
            for n in range(2)
        )
        price = Missing("price", "none", self.at_s)
        if self.price is not None:
            price = Series((0.0,), (self.price,), self.at_s + 1e6, "usd_per_mwh", "a test")
        router = RouterObservation(
            self.at_s,
            1,
            (),
            ((NAME, self.in_flight),),
            ((NAME, self.streams),),
            (SpentTokens(NAME, self.class_id, *self.told),),
            (TenantTokens("acme", self.class_id, "bf16", *self.told),),
        )
        return Observation(
            self.at_s,
            (
                InstanceObservation(
                    NAME,
                    "bf16",
                    self.state,
                    self.at_s,
                    NOW_S,
                    running=self.running,
                    prompt_tokens=self.prompt,
                    generation_tokens=self.output,
                    steps=self.steps,
                ),
            ),
            Missing("meter", "none", self.at_s),
            readings,
            router if self.hears_router else Missing("routers", "gone", self.at_s),
            price,
            Missing("carbon", "none", self.at_s),
        )

    def step(self, joules=2000.0, prompt=0.0, output=0.0, told=None, seconds=1.0):
        self.at_s += seconds
        self.joules += joules
        self.prompt += prompt
        self.output += output
        prefill, decode = (prompt, output) if told is None else told
        self.told = self.told[0] + prefill, self.told[1] + decode


def book(**policy):
    return JouleBook(SITE, JoulePolicy(**policy))


def shares(kept):
    return dict(kept.totals.shares)


def test_what_a_class_used_is_told_off_to_it():
    kept, seen = book(), Site(running=4, in_flight=4, streams=4)
    kept.take(seen.look())
    seen.step(prompt=100, output=50)
    kept.take(seen.look())
    share = shares(kept)[PoolClass("bf16", "standard")]
    assert share.energy_j == pytest.approx(2000.0)
    assert share.usd == pytest.approx(2000.0 * 1.25 * 36.0 / 3.6e9)  # at the meter: with the site's overhead
    assert share.uncounted_j == pytest.approx(2000.0)


def test_a_class_that_is_not_the_sites_is_other():
    kept, seen = book(), Site(class_id="guests", running=1)
    kept.take(seen.look())
    seen.step(output=50)
    kept.take(seen.look())
    assert set(shares(kept)) == {PoolClass("bf16", "other")}


def test_a_missing_price_counts_as_unpriced():
    kept, seen = book(), Site(price=None, running=1)
    kept.take(seen.look())
    seen.step(output=50)
    kept.take(seen.look())
    share = shares(kept)[PoolClass("bf16", "standard")]
    assert (share.usd, share.unpriced_j) == (0.0, pytest.approx(2000.0))


def test_energy_of_silent_requests_is_in_flight_until_they_tell():
    kept, seen = book(), Site(running=1, in_flight=1)
    kept.take(seen.look())
    seen.step(prompt=100, output=50, told=(0, 0))
    kept.take(seen.look())
    assert kept.in_flight["bf16"].energy_j == pytest.approx(2000.0)
    assert shares(kept) == {}
    seen.in_flight = seen.running = 0
    seen.step(output=50, told=(100, 100))
    kept.take(seen.look())
    assert shares(kept)[PoolClass("bf16", "standard")].energy_j == pytest.approx(4000.0)
    assert kept.in_flight["bf16"].energy_j == pytest.approx(0.0)


def test_energy_is_kept_while_no_router_is_heard():
    kept, seen = book(), Site(running=1, in_flight=1, streams=1)
    kept.take(seen.look())
    seen.hears_router = False
    seen.step(output=50)
    kept.take(seen.look())
    assert kept.in_flight["bf16"].energy_j == pytest.approx(2000.0)
    seen.hears_router, seen.in_flight, seen.streams, seen.running = True, 0, 0, 0
    seen.step(output=50)
    kept.take(seen.look())
    assert shares(kept)[PoolClass("bf16", "standard")].energy_j == pytest.approx(4000.0)


def test_an_instance_at_rest_is_idle_energy():
    kept, seen = book(), Site()
    kept.take(seen.look())
    seen.step(joules=900.0)
    kept.take(seen.look())
    assert dict(kept.totals.idle)["bf16"].energy_j == pytest.approx(900.0)


def test_rates_are_those_of_the_last_interval_and_a_lone_requests_where_nothing_ran():
    kept, seen = book(), Site(running=4)
    (rate,) = kept.take(seen.look()).rates
    c = curves()
    assert (rate.decode_j, rate.quality) == (c.step_base_j + c.step_per_seq_j, Quality.ESTIMATED)
    seen.step(prompt=100, output=50)
    (rate,) = kept.take(seen.look()).rates
    assert rate.quality is Quality.EMULATED
    assert 100 * rate.prefill_j + 50 * rate.decode_j == pytest.approx(2000.0)
    seen.state = InstanceState.SLEEPING
    seen.step()
    assert kept.take(seen.look()).rates == ()


def test_without_a_meter_the_model_stands_in_and_says_so():
    kept, seen = book(settle_s=30.0), Site(running=1)
    kept.take(seen.look())
    seen.hears_gpus = False
    settled = None
    for _ in range(31):
        seen.step(joules=0.0, output=30)
        settled = kept.take(seen.look()).settlement or settled
    assert settled.estimated_j["bf16"] == settled.metered_j["bf16"] > 900.0 * 15
    assert Quality.ESTIMATED in settled.qualities


def test_without_a_meter_counted_steps_are_what_was_computed():
    def booked_j(steps_a_look):
        kept, seen = (
            book(stale_s=5.0, settle_s=10.0),
            Site(hears_gpus=False, steps=None if steps_a_look is None else 0.0),
        )
        settled = kept.take(seen.look()).settlement
        for _ in range(12):
            seen.step(joules=0.0, output=10)
            if steps_a_look is not None:
                seen.steps += steps_a_look
            settled = kept.take(seen.look()).settlement or settled
        return settled.metered_j["bf16"]

    together_j, apart_j, unknown_j = booked_j(2.0), booked_j(10.0), booked_j(None)
    assert together_j < unknown_j < apart_j  # ten tokens in two steps need less than in ten


@pytest.mark.parametrize("policy", IdlePolicy)
def test_every_settlement_accounts_for_all_that_was_metered(policy):
    rng, kept, seen = random.Random(7), book(idle=policy), Site()
    kept.take(seen.look())
    settled, pending = [], [0.0, 0.0]
    for second in range(600):
        busy = rng.random() < 0.7
        made = (rng.randrange(3000), rng.randrange(400)) if busy else (0, 0)
        pending = [pending[0] + made[0], pending[1] + made[1]]
        seen.in_flight = int(sum(pending) > 0)
        seen.running = seen.in_flight
        tells = rng.random() < 0.2
        told = tuple(pending) if tells else (0.0, 0.0)
        if tells:
            pending, seen.in_flight, seen.running = [0.0, 0.0], 0, 0
        seen.hears_router = second % 97 > 5
        seen.hears_gpus = second % 151 > 25
        seen.price = None if second % 50 < 10 else rng.uniform(-20, 200)
        seen.step(joules=rng.uniform(0, 4000), prompt=made[0], output=made[1], told=told)
        settled.append(kept.take(seen.look()).settlement)
    found = [each for each in settled if each is not None]
    assert len(found) >= 8
    for each in found:
        assert each.attributed_j == pytest.approx(sum(each.metered_j.values()), rel=1e-9, abs=1e-6)
        assert each.ended_s - each.began_s >= 60.0
    assert sum(share.energy_j for each in found for share in each.tenants.values()) > 0


def test_an_engine_that_restarts_does_not_count_backwards():
    kept, seen = book(), Site(running=1, output=1e6)
    kept.take(seen.look())
    seen.output = 20.0
    seen.step(told=(0, 20))
    kept.take(seen.look())
    assert shares(kept)[PoolClass("bf16", "standard")].energy_j == pytest.approx(2000.0)


def tenants_of(seen):
    return (TenantTokens("acme", seen.class_id, "bf16", *seen.told),)


@given(st.integers(0, 2**32), st.sampled_from(IdlePolicy))
@settings(max_examples=12)
def test_a_process_that_is_killed_leaves_neither_a_hole_nor_anything_twice(seed, policy):
    rng, seen = random.Random(seed), Site(running=2, in_flight=2, streams=2)
    kept = book(idle=policy, settle_s=10.0)
    kept.take(seen.look())
    began_j, began_told = seen.joules, seen.told
    settled, saved = [], None
    for _ in range(120):
        seen.step(joules=rng.uniform(900, 4000), prompt=rng.randrange(300), output=rng.randrange(1, 100))
        if rng.random() < 0.05 and saved is not None:  # killed; away for a while, in which the others go on
            away_s = rng.uniform(1, 20)
            seen.step(joules=away_s * rng.uniform(0, 4000), output=rng.randrange(500), seconds=away_s)
            kept = saved[1](idle=policy, settle_s=10.0)
            assert kept.is_catching_up
        found = kept.take(seen.look()).settlement
        if found is not None:
            settled.append(found)
            frozen = to_plain(kept.kept(seen.at_s)), to_plain(kept.totals)
            saved = seen.at_s, functools.partial(thawed, *frozen, tenants_of(seen)), seen.joules, seen.told
    starts = [each.began_s for each in settled]
    assert starts[1:] == [each.ended_s for each in settled[:-1]]
    metered_j = sum(sum(each.metered_j.values()) for each in settled)
    assert metered_j == pytest.approx(saved[2] - began_j, rel=1e-9)
    assert sum(each.attributed_j for each in settled) == pytest.approx(metered_j, rel=1e-9)
    tokens = sum(each.tokens[PoolClass("bf16", "standard")].decode for each in settled)
    assert tokens == pytest.approx(saved[3][1] - began_told[1])
    borne_j = sum(share.energy_j for each in settled for share in each.shares.values())
    tenants_j = sum(share.energy_j for each in settled for share in each.tenants.values())
    assert tenants_j == pytest.approx(borne_j, rel=1e-9)
    assert all(value >= 0 for each in settled for value in each.metered_j.values())


def thawed(account, totals, tenants, **policy):
    later = JouleBook(SITE, JoulePolicy(**policy), from_plain(Totals, json.loads(json.dumps(totals))))
    later.resume(from_plain(KeptAccount, json.loads(json.dumps(account))), tenants)
    return later


def test_spliced_counters_of_a_former_process_are_not_believed():
    kept, seen = book(), Site(joules=1e9, running=1, in_flight=1, streams=1)
    kept.take(seen.look())
    seen.step(output=50)
    kept.take(seen.look())
    later = thawed(to_plain(kept.kept(seen.at_s)), to_plain(kept.totals), ())
    seen.joules += 5e9  # this process reads another counter under the same name
    seen.step(output=50, seconds=10.0)
    before_j = shares(later)[PoolClass("bf16", "standard")].energy_j
    later.take(seen.look())
    assert shares(later)[PoolClass("bf16", "standard")].energy_j - before_j == pytest.approx(20_000.0)  # by power


def test_instances_that_are_gone_and_gpus_that_changed_are_left():
    kept, seen = book(), Site(running=1)
    kept.take(seen.look())
    other = JouleBook(site(pool("fp8", ("http://127.0.0.1:1",))), JoulePolicy())
    other.resume(kept.kept(seen.at_s), ())
    assert not other.is_catching_up
    changed = dataclasses.replace(SITE.pools[0].instances[0], gpu_uuids=("GPU-new-0", "GPU-new-1"))
    moved = dataclasses.replace(SITE, pools=(dataclasses.replace(SITE.pools[0], instances=(changed,)),))
    later = JouleBook(moved, JoulePolicy())
    later.resume(kept.kept(seen.at_s), ())
    seen.step(output=10)
    assert later.take(seen.look()).settlement is None


def test_an_engine_not_heard_at_first_does_not_count_its_past_as_now():
    kept, seen = book(), Site(running=1, in_flight=1, streams=1, state=InstanceState.UNREACHABLE)
    kept.take(seen.look())
    seen.step()
    kept.take(seen.look())
    seen.state, seen.prompt, seen.output = InstanceState.SERVING, 1e9, 1e9
    seen.step(prompt=0, output=0, told=(0, 0))
    kept.take(seen.look())
    seen.step(output=50)
    (rate,) = kept.take(seen.look()).rates
    assert rate.decode_j == pytest.approx(2000.0 / 50, rel=0.05)


def test_prefill_and_decode_are_weighed_by_the_curves_in_force():
    def prefill_j(change):
        kept, seen = book(), Site(running=4, in_flight=4, streams=4)
        kept.go_by(dataclasses.replace(SITE, pools=(dataclasses.replace(SITE.pools[0], curves=change),)))
        kept.take(seen.look())
        seen.step(prompt=1000, output=50)
        kept.take(seen.look())
        return shares(kept)[PoolClass("bf16", "standard")].prefill_j

    had = SITE.pools[0].curves
    dearer = dataclasses.replace(had, prefill_j_per_token=had.prefill_j_per_token * 4 + 1.0)
    assert prefill_j(dearer) > prefill_j(had)
    idler = dataclasses.replace(had, idle_w=had.idle_w * 0.5)
    assert prefill_j(idler) > prefill_j(had)


def test_a_process_that_ends_settles_what_it_has():
    kept, seen = book(), Site(running=1, in_flight=1, streams=1)
    kept.take(seen.look())
    seen.step(output=20)
    kept.take(seen.look())
    settled = kept.close(seen.look())
    assert settled.metered_j["bf16"] == pytest.approx(2000.0)
    assert settled.ended_s == seen.at_s
    seen.hears_router = False
    assert kept.close(seen.look()) is None


def test_a_meter_that_comes_back_makes_no_token_free():
    kept, seen = book(stale_s=3.0), Site(running=1)
    kept.take(seen.look())
    seen.step(prompt=10, output=20)
    kept.take(seen.look())
    seen.hears_gpus = False
    for _ in range(9):
        # The model books more than the meter will turn out to have counted.
        seen.step(joules=200.0, prompt=100, output=200)
        kept.take(seen.look())
    seen.hears_gpus = True
    for _ in range(6):
        seen.step(joules=1000.0, prompt=10, output=20)
        (rate,) = kept.take(seen.look()).rates
        assert min(rate.prefill_j, rate.decode_j) > 0


def test_a_rate_weighs_as_much_as_a_sequence_had_tokens_and_nothing_while_none_came():
    kept, seen = book(), Site(running=4, in_flight=4, streams=4)
    (rate,) = kept.take(seen.look()).rates
    assert rate.seq_tokens_per_s == 0.0  # by the curves alone
    seen.step(output=200)
    (rate,) = kept.take(seen.look()).rates
    assert rate.seq_tokens_per_s == pytest.approx(50.0)
    seen.step(output=0)
    (rate,) = kept.take(seen.look()).rates
    assert rate.seq_tokens_per_s == 0.0


def test_an_instance_that_comes_later_goes_on_from_what_was_kept_and_one_that_goes_is_forgotten():
    kept, seen = book(), Site(running=1, in_flight=1, streams=1)
    kept.take(seen.look())
    seen.step(output=20)
    kept.take(seen.look())
    account = kept.kept(seen.look().now_s)
    bare = dataclasses.replace(SITE, pools=tuple(dataclasses.replace(pool, instances=()) for pool in SITE.pools))
    later = JouleBook(bare, JoulePolicy())
    later.resume(account, ())
    assert not later.is_catching_up
    later.go_by(SITE)
    assert later.is_catching_up
    seen.step(output=20)
    later.take(seen.look())
    assert shares(later)[PoolClass("bf16", "standard")].decode_j > 0.0
    later.go_by(bare)
    assert later.kept(seen.look().now_s).instances == ()
    assert later.take(seen.look()).rates == ()


def test_an_instance_whose_gpus_become_known_is_metered_by_them():
    def with_gpus(uuids):
        (first, *others) = SITE.pools
        instances = tuple(dataclasses.replace(each, gpu_uuids=uuids) for each in first.instances)
        return dataclasses.replace(SITE, pools=(dataclasses.replace(first, instances=instances), *others))

    kept, seen = JouleBook(with_gpus(()), JoulePolicy()), Site(running=1, in_flight=1, streams=1)
    kept.take(seen.look())
    seen.step(output=20)
    (before,) = kept.take(seen.look()).rates
    assert before.quality is Quality.ESTIMATED
    kept.go_by(SITE)
    for _ in range(3):
        seen.step(output=20)
        (after,) = kept.take(seen.look()).rates
    assert after.quality is not Quality.ESTIMATED
