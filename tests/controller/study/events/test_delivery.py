from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.study.events.delivery import Delivery, delivery_of
from controller.study.events.part import Run
from tests.fakes.event_runs import BASE_W, LIMIT_W, run


def delivery(held: Run) -> Delivery:
    return delivery_of(held, 300.0, BASE_W)


def test_a_cut_that_goes_further_than_asked_is_delivered_and_never_over() -> None:
    found = delivery(run(during_w=7_900.0))
    assert found.means_w == pytest.approx(np.full(len(found.means_w), 7_900.0))
    assert not found.is_over.any()
    assert found.performance == pytest.approx(np.full(len(found.means_w), 1.05))
    assert not found.missing_w.any()
    assert found.instants_over == 0


def test_a_cut_that_is_missed_lacks_what_it_is_above_its_limit() -> None:
    found = delivery(run(during_w=8_500.0))
    assert found.is_over.all()
    assert found.over_frac == pytest.approx(np.full(len(found.means_w), 0.0625))
    assert found.missing_w == pytest.approx(np.full(len(found.means_w), 500.0))
    assert found.instants_over == found.instants > 0


def test_a_limit_above_the_baseline_commits_to_nothing() -> None:
    found = delivery_of(run(during_w=LIMIT_W - 100.0), 300.0, LIMIT_W - 500.0)
    assert not found.committed_w.any()
    assert len(found.performance) == 0
    assert not found.missing_w.any()


def test_only_intervals_in_which_work_waited_are_tracked() -> None:
    held = run()
    assert len(delivery(held).tracking) == 0
    held.played.queued[:] = 1e9
    assert delivery(held).tracking == pytest.approx(np.full(len(delivery(held).means_w), 0.0125))


def test_a_stretch_shorter_than_its_ramp_has_no_interval() -> None:
    held = run()
    (event,) = held.events
    short = dataclasses.replace(event, end_s=event.start_s + 1.0)
    with pytest.raises(ValueError, match="no settlement interval; lengthen it"):
        delivery(dataclasses.replace(held, events=(short,)))
