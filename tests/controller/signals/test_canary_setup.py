"""What an operator chose becomes a book that judges by it."""

from __future__ import annotations

import pytest

from controller.quality.evidence import Rule
from controller.signals.canary_setup import CanarySetup
from router.contract import Precision
from tests.fakes.controller_parts import ListRecorder, site


def test_the_best_precision_is_the_reference_unless_another_is_named() -> None:
    def references(setup: CanarySetup) -> list[str]:
        return [pool.pool_id for pool in setup.book(site(), ListRecorder()).report().pools if pool.is_reference]

    assert references(CanarySetup()) == ["bf16"]
    assert references(CanarySetup(reference=Precision.INT4)) == ["int4"]


def test_nothing_is_sent_unless_it_is_asked_for() -> None:
    setup = CanarySetup()
    assert setup.options.per_s == 0
    assert setup.rule == Rule()
    assert setup.book(site(), ListRecorder()).report().counts.paused == "off"


def test_a_reference_without_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="int8"):
        CanarySetup(reference=Precision.INT8).book(site(), ListRecorder())
