from __future__ import annotations

from controller.simulation.class_counters import Amount, ClassCounters


def test_what_is_added_and_taken_again_leaves_nothing() -> None:
    amount = Amount()
    amount.add(100, 20)
    amount.add(50, 5)
    assert amount.as_tuple() == (2, 150, 25)
    amount.take(100, 20)
    assert amount.as_tuple() == (1, 50, 5)


def test_each_class_counts_for_itself() -> None:
    first, second = ClassCounters(), ClassCounters()
    first.asked.add(1, 1)
    first.tokens_by_pool["a"] = 1.0  # type: ignore[index]
    assert second.asked.as_tuple() == (0, 0, 0)
    assert second.tokens_by_pool == {}
