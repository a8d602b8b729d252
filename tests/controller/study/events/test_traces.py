from __future__ import annotations

import numpy as np
import pytest

from controller.study.events.traces import Recorded, Wish, recorded


def test_the_recorded_hours_are_those_that_are_bundled() -> None:
    chat, code = recorded()
    assert chat.output_tokens == pytest.approx(211, abs=1)
    assert code.input_tokens == pytest.approx(2048, abs=1)
    assert len(chat.per_s) == 58
    assert chat.per_s[:, 0].sum() * 60 == pytest.approx(19_000, rel=0.05)


def test_a_wish_has_the_mean_asked_for_and_begins_anew_after_its_last_minute() -> None:
    hour = Recorded("two minutes", np.array([[1.0, 10.0, 2.0], [3.0, 30.0, 6.0]]))
    asked = Wish(hour, 8.0, offset_min=1).asked_per_s(24, 10.0)
    assert asked[:, 2].mean() == pytest.approx(8.0)
    assert asked[0].tolist() == pytest.approx([6.0, 60.0, 12.0])
    assert asked[6].tolist() == pytest.approx([2.0, 20.0, 4.0])
    assert asked[12].tolist() == pytest.approx(asked[0].tolist())


def test_the_wave_raises_and_lowers_by_its_height() -> None:
    hour = Recorded("steady", np.array([[1.0, 10.0, 2.0]]))
    day = Wish(hour, 2.0, wave_frac=0.2).asked_per_s(1440, 60.0)[:, 2]
    assert (day.max(), day.min()) == pytest.approx((2.4, 1.6), rel=1e-3)
