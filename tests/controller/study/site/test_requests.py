from __future__ import annotations

import numpy as np
import pytest

from controller.model.fleet import RequestClass
from controller.study.site.requests import LONGEST, draw
from router.contract import ClassId

CLASSES = (RequestClass(ClassId("a")), RequestClass(ClassId("b")))
ASKED = np.zeros((600, 2, 3))
ASKED[:, 0] = [5.0, 5_000.0, 1_000.0]
ASKED[300:, 1] = [2.0, 400.0, 20.0]


def drawn(seed: int = 0) -> list[tuple[float, str, int, int]]:
    requests = draw(ASKED, 2.0, CLASSES, np.random.default_rng(seed))
    assert [each.index for each in requests] == list(range(len(requests)))
    return [(each.time_s, each.class_id, each.input_tokens, each.output_tokens) for each in requests]


def test_what_comes_asks_on_average_for_the_flows() -> None:
    requests = drawn()
    of_a = [each for each in requests if each[1] == "a"]
    assert len(of_a) == pytest.approx(6_000, rel=0.05)
    assert np.mean([given for _, _, given, _ in of_a]) == pytest.approx(1_000, rel=0.05)
    assert np.mean([made for _, _, _, made in of_a]) == pytest.approx(200, rel=0.05)


def test_requests_come_in_order_and_only_when_asked_for() -> None:
    requests = drawn()
    times = [each[0] for each in requests]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] < 1200.0
    assert min(at_s for at_s, name, _, _ in requests if name == "b") >= 600.0


def test_lengths_are_between_a_token_and_several_means() -> None:
    requests = drawn()
    assert min(made for _, _, _, made in requests) == 1
    assert max(made for _, name, _, made in requests if name == "b") <= LONGEST * 10
    assert max(given for _, name, given, _ in requests if name == "a") <= LONGEST * 1_000


def test_the_seed_decides() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
