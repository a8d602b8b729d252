"""What is told is called, and so is a little less."""

from controller.model.capability import QosCost
from tests.bench import sheds


def test_what_is_told_is_kept_and_five_percent_less_is_not_to_be_had_at_its_cost() -> None:
    found = sheds.rows(10)
    assert QosCost.NONE in [row.offer.cost for row in found]
    for row in found:
        assert row.called.is_kept
        assert not row.below.is_kept
        assert 0.9 < row.tightness_frac <= 1.0
        assert row.called.drawn_w[0] < 0.5 * row.before_w


def test_the_table_counts_what_is_kept() -> None:
    found = sheds.rows(10)[:1]
    lines = sheds.table(found).splitlines()
    assert lines[2].startswith("| 10 | `none` |")
    assert lines[2].endswith("| yes | yes |")
    assert lines[-1].startswith("1 offers: 1 kept, 1 of which 5 % less costs more")
