import pytest

from controller.model.observation import SpentTokens, TenantTokens
from controller.signals.router_tokens import MAX_KEPT, TokenTotals, read_tokens


def document(tokens, tenants=()):
    return {"instances": [{"instance_id": "bf16-0", "in_flight": 1, "tokens": tokens}], "tenants": list(tenants)}


def test_reads_tokens_streams_and_tenants():
    tenants = [{"tenant": "acme", "tokens": {"chat": {"bf16": [7, 8]}}}]
    tokens, streams = read_tokens(document({"chat": {"input": 10, "output": 5, "streams": 2}}, tenants))
    assert tokens == {("", "bf16-0", "chat"): (10.0, 5.0), ("acme", "bf16", "chat"): (7.0, 8.0)}
    assert streams == {"bf16-0": 2}


def test_a_router_that_tells_no_tokens_gives_none():
    assert read_tokens({"instances": [{"instance_id": "bf16-0"}]}) == ({}, {})


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"instances": 3}, "instances"),
        ({"instances": [{"tokens": {}}]}, r"instances\[0\].instance_id"),
        (document([]), r"instances\[0\].tokens"),
        (document({"chat": {"input": -1, "output": 0}}), r"tokens.chat.input"),
        (document({"chat": {"input": 1, "output": float("nan")}}), r"tokens.chat.output"),
        (document({"chat": {"input": 1}}), r"tokens.chat.output is None"),
        (document({}, [{"tenant": ""}]), r"tenants\[0\].tenant"),
        (document({}, [{"tenant": "a", "tokens": {"chat": {"bf16": [1]}}}]), r"tenants\[0\].tokens.chat.bf16"),
        (document({str(n): {} for n in range(1025)}), "at most 1024"),
    ],
)
def test_malformed_tokens_are_refused_by_place(data, place):
    with pytest.raises(ValueError, match=place):
        read_tokens(data)


def key(value):
    return {("", "bf16-0", "chat"): (float(value), float(value))}


def output(totals):
    (spent,) = totals.spent
    return spent.output_tokens


def test_a_router_seen_for_the_first_time_begins_at_what_it_has_counted():
    totals = TokenTotals()
    totals.take("a", key(1000), restarted=False)
    assert totals.spent == (SpentTokens("bf16-0", "chat", 0.0, 0.0),)
    totals.take("a", key(1010), restarted=False)
    totals.take("b", key(5000), restarted=False)
    assert output(totals) == 10.0


def test_a_count_that_an_engine_corrects_downwards_is_held_until_it_grows_again():
    totals = TokenTotals()
    seen = []
    for value in (100, 150, 140, 149, 160):
        totals.take("a", key(value), restarted=False)
        seen.append(output(totals))
    assert seen == [0.0, 50.0, 50.0, 50.0, 60.0]


def test_a_router_that_restarted_counts_on():
    totals = TokenTotals()
    totals.take("a", key(100), restarted=False)
    totals.take("a", key(7), restarted=True)
    assert output(totals) == 7.0


def test_tenants_are_told_apart_from_instances():
    totals = TokenTotals()
    totals.take("a", {("acme", "bf16", "chat"): (0.0, 0.0)}, restarted=False)
    totals.take("a", {("acme", "bf16", "chat"): (3.0, 4.0)}, restarted=False)
    assert totals.tenants == (TenantTokens("acme", "chat", "bf16", 3.0, 4.0),)
    assert totals.spent == ()


def test_the_next_process_counts_on_as_if_it_had_been_there():
    former = TokenTotals()
    former.take("a", key(1000), restarted=False)
    former.take("a", key(1010), restarted=False)
    later = TokenTotals(former.counted)
    later.take("a", key(1030), restarted=False)
    assert output(later) == 30.0
    restarted = TokenTotals(former.counted)
    restarted.take("a", key(7), restarted=False)  # nobody saw the router restart
    assert output(restarted) == 17.0


def test_tenants_too_many_to_be_kept_begin_anew_without_their_past():
    many = {(f"t{n}", "bf16", "chat"): (5.0, 5.0) for n in range(MAX_KEPT)}
    former = TokenTotals()
    former.take("a", key(1000) | many, restarted=False)
    kept = former.counted
    assert len(kept.totals) == 1
    later = TokenTotals(kept)
    later.take("a", key(1010) | many, restarted=False)
    assert output(later) == 10.0
    assert sum(each.output_tokens for each in later.tenants) == 0.0


def test_as_many_tenants_as_a_router_may_tell_are_read():
    tenants = [{"tenant": f"t{n}", "tokens": {"chat": {"bf16": [1, 1]}}} for n in range(10_001)]
    tokens, _ = read_tokens(document({}, tenants))
    assert len(tokens) == 10_001
    with pytest.raises(ValueError, match="at most 10001"):
        read_tokens(document({}, [*tenants, tenants[0]]))
