import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.contract import InstanceId
from router.contract_rates import EnergyRate, EnergyRates
from router.energy import Cost, EnergyBook, value_of
from router.openai import Usage


def rates(at_s: float, prefill_j: float = 0.01, decode_j: float = 1.0, name: str = "a", quality: str = "direct"):
    return EnergyRates(at_s, at_s + 30, "shared", (EnergyRate(InstanceId(name), prefill_j, decode_j, quality),))


def test_tokens_cost_the_rates_of_their_phase() -> None:
    book = EnergyBook()
    book.apply(rates(0.0), 0.0)
    sent, first = book.mark("a", 0.0), book.mark("a", 0.0)
    found = book.cost("a", (sent, first), Usage(100, 10), is_counted=True, now_s=5.0)
    assert found == Cost(pytest.approx(100 * 0.01 + 10 * 1.0), "direct", "shared")


def test_rates_are_averaged_over_the_life_of_the_request() -> None:
    book = EnergyBook()
    book.apply(rates(0.0, decode_j=9.0), 0.0)
    sent = first = book.mark("a", 0.0)
    # A rate is of the time before it is told, in which it was measured, until the next one is.
    book.apply(rates(3.0, decode_j=1.0), 3.0)
    book.apply(rates(4.0, decode_j=5.0), 4.0)
    found = book.cost("a", (sent, first), Usage(0, 10), is_counted=True, now_s=6.0)
    assert found is not None
    assert found.energy_j == pytest.approx(10 * (3 * 1.0 + 1 * 5.0 + 2 * 5.0) / 6)


def test_prefill_is_at_the_rates_before_the_first_token() -> None:
    book = EnergyBook()
    book.apply(rates(0.0), 0.0)
    sent = book.mark("a", 0.0)
    book.apply(rates(1.0, prefill_j=0.02), 1.0)
    first = book.mark("a", 1.0)
    book.apply(rates(2.0, prefill_j=9.0, decode_j=1.0), 2.0)
    found = book.cost("a", (sent, first), Usage(100, 10), is_counted=True, now_s=9.0)
    assert found is not None
    assert found.energy_j == pytest.approx(2.0 + 10.0)


def test_a_request_that_began_before_any_rate_was_known_goes_by_the_known_part() -> None:
    book = EnergyBook()
    sent = first = book.mark("a", 0.0)
    book.apply(rates(2.0, decode_j=2.0), 2.0)
    found = book.cost("a", (sent, first), Usage(0, 10), is_counted=True, now_s=4.0)
    assert found is not None
    assert found.energy_j == pytest.approx(20.0)


def test_a_request_in_no_time_goes_by_the_present_rate() -> None:
    book = EnergyBook()
    book.apply(rates(0.0), 0.0)
    mark = book.mark("a", 0.0)
    assert book.cost("a", (mark, mark), Usage(0, 1), is_counted=True, now_s=5.0) is not None


def test_what_is_not_known_is_unknown_and_never_zero() -> None:
    book = EnergyBook()
    mark = book.mark("a", 0.0)
    assert book.cost("a", (mark, mark), Usage(1, 1), is_counted=True, now_s=1.0) is None
    book.apply(rates(1.0), 1.0)
    assert book.cost("a", (mark, mark), Usage(0, 0), is_counted=True, now_s=2.0) is None
    assert book.cost("b", (mark, mark), Usage(1, 1), is_counted=True, now_s=2.0) is None
    assert value_of(None) == b"unknown"


def test_rates_expire() -> None:
    book = EnergyBook()
    book.apply(rates(0.0, decode_j=2.0), 0.0)
    sent = book.mark("a", 0.0)
    within = book.cost("a", (sent, sent), Usage(0, 10), is_counted=True, now_s=30.0)
    beyond = book.cost("a", (sent, sent), Usage(0, 10), is_counted=True, now_s=29.0)
    assert within == beyond
    book.apply(rates(100.0, name="b"), 100.0)
    late = book.mark("a", 100.0)
    assert book.cost("a", (late, late), Usage(0, 10), is_counted=True, now_s=101.0) is None


def test_rates_that_are_not_renewed_make_estimates_and_then_nothing() -> None:
    book = EnergyBook()
    book.apply(rates(0.0, decode_j=2.0), 0.0)

    def told(sent_s: float, ended_s: float) -> Cost | None:
        sent = book.mark("a", sent_s)
        return book.cost("a", (sent, sent), Usage(0, 10), is_counted=True, now_s=ended_s)

    assert told(1.0, 9.0) == Cost(pytest.approx(20.0), "direct", "shared")
    assert told(1.0, 11.0) == Cost(pytest.approx(20.0), "estimated", "shared")
    assert told(29.0, 60.0) == Cost(pytest.approx(20.0), "estimated", "shared")
    assert told(31.0, 60.0) is None
    assert (book.age_s(60.0), EnergyBook().age_s(60.0)) == (60.0, None)


def test_what_a_request_cost_before_an_outage_is_not_changed_by_rates_after_it() -> None:
    book = EnergyBook()
    book.apply(rates(0.0, decode_j=2.0), 0.0)
    before, in_outage = book.mark("a", 0.0), book.mark("a", 40.0)
    book.apply(rates(50.0, decode_j=0.1), 50.0)
    book.apply(rates(51.0, decode_j=8.0), 51.0)
    for sent, energy_j in ((before, 10 * (30 * 2.0 + 1 * 8.0) / 31), (in_outage, 80.0)):
        found = book.cost("a", (sent, sent), Usage(0, 10), is_counted=True, now_s=51.0)
        assert found is not None
        assert found.energy_j == pytest.approx(energy_j)


def test_an_instance_that_the_rates_do_not_name_any_more_is_not_known() -> None:
    book = EnergyBook()
    book.apply(rates(0.0), 0.0)
    book.apply(rates(1.0, name="b"), 1.0)
    mark = book.mark("a", 1.0)
    assert book.cost("a", (mark, mark), Usage(0, 10), is_counted=True, now_s=3.0) is None
    book.forget()
    mark = book.mark("b", 1.0)
    assert book.cost("b", (mark, mark), Usage(0, 10), is_counted=True, now_s=3.0) is None


def test_estimated_tokens_make_an_estimated_energy() -> None:
    book = EnergyBook()
    book.apply(rates(0.0, quality="emulated"), 0.0)
    mark = book.mark("a", 0.0)
    guess = book.cost("a", (mark, mark), Usage(0, 10), is_counted=False, now_s=2.0)
    assert guess is not None
    assert guess.source == "estimated"


def test_a_clock_that_is_set_back_makes_no_negative_energy() -> None:
    book = EnergyBook()
    book.apply(rates(100.0), 100.0)
    book.apply(rates(50.0), 50.0)
    mark = book.mark("a", 50.0)
    found = book.cost("a", (mark, mark), Usage(0, 10), is_counted=True, now_s=30.0)
    assert found is None or found.energy_j >= 0


def test_the_value_is_a_number_with_its_unit_and_origin() -> None:
    assert value_of(Cost(12.34567, "emulated", "kept")) == b"12.346;unit=J;source=emulated;idle=kept"


@given(
    st.lists(st.tuples(st.floats(0.2, 3.0), st.integers(0, 60), st.floats(0.1, 200.0)), min_size=3, max_size=30),
    st.data(),
)
def test_a_request_costs_its_tokens_at_the_rates_of_when_they_were_made(intervals, data) -> None:
    begin = data.draw(st.integers(0, len(intervals) - 2))
    end = data.draw(st.integers(begin + 1, len(intervals) - 1))
    book, now_s, marks = EnergyBook(), 100.0, []
    book.apply(rates(now_s), now_s)
    for lasted_s, tokens, decode_j in intervals:
        marks.append(book.mark("a", now_s))
        now_s += lasted_s
        row = EnergyRate(InstanceId("a"), 0.01, decode_j, "direct", tokens / lasted_s)
        book.apply(EnergyRates(now_s, now_s + 30, "shared", (row,)), now_s)
        if len(marks) - 1 == end:
            break
    lived = intervals[begin : end + 1]
    made = sum(tokens for _, tokens, _ in lived)
    found = book.cost("a", (marks[begin], marks[begin]), Usage(0, made), is_counted=True, now_s=now_s)
    if made:
        assert found is not None
        assert found.energy_j == pytest.approx(sum(tokens * decode_j for _, tokens, decode_j in lived))
    else:
        assert found is None


def test_a_second_in_which_little_was_made_does_not_make_all_tokens_dear() -> None:
    book = EnergyBook()
    book.apply(rates(0.0), 0.0)
    sent = book.mark("a", 0.0)
    for at_s, decode_j, pace in ((1.0, 170.0, 4.0), (2.0, 15.0, 40.0)):
        row = EnergyRate(InstanceId("a"), 0.01, decode_j, "direct", pace)
        book.apply(EnergyRates(at_s, at_s + 30, "shared", (row,)), at_s)
    found = book.cost("a", (sent, sent), Usage(0, 44), is_counted=True, now_s=2.0)
    assert found is not None
    assert found.energy_j == pytest.approx(4 * 170.0 + 40 * 15.0)  # by time it would be 44 * 92.5


def test_of_instances_that_are_gone_nothing_is_kept() -> None:
    book = EnergyBook()
    book.apply(rates(0.0, name="a"), 0.0)
    mark = book.mark("a", 0.0)
    book.keep(["a", "b"])
    assert book.cost("a", (mark, mark), Usage(0, 10), is_counted=True, now_s=2.0) is not None
    book.keep(["b"])
    assert book.cost("a", (mark, mark), Usage(0, 10), is_counted=True, now_s=2.0) is None
