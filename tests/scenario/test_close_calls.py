"""A second call close behind the first: what drains for the first is not begun anew for the second."""

import pytest

from tests.bench.calls import kept


@pytest.mark.parametrize(("trace_start_s", "second"), [(600.0, (22.0, 0.12)), (900.0, (28.0, 0.12))])
def test_both_limits_are_kept_after_their_ramps_and_no_token_is_lost(trace_start_s, second):
    found = kept(trace_start_s, second)
    assert found.intervals >= 6
    assert (found.over, found.tokens_lost) == (0, 0)
