"""How pools' answers are tested, as an operator chose it, and the book that this begins with."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from controller.model.fleet import Site
from controller.ports import Recorder
from controller.quality.bars import Bars
from controller.quality.canary import Canaries
from controller.quality.evidence import Rule
from controller.signals.canary import CanaryOptions
from controller.signals.quality_book import QualityBook
from router.contract import Precision


@dataclass(frozen=True, slots=True)
class CanarySetup:
    """Rule and pace.

    Attributes:
        reference: precision that others are put beside, None for the best there is.
        seed: of the order of prompts and turns.
    """

    rule: Rule = field(default_factory=Rule)
    options: CanaryOptions = field(default_factory=CanaryOptions)
    reference: Precision | None = None
    seed: int = 0

    def book(self, site: Site, recorder: Recorder) -> QualityBook:
        """A book in which nothing is known yet."""
        bars = Bars(self.rule, site, self.options.per_s)
        return QualityBook(bars, Canaries(site, bars, self.rule, Random(self.seed), self.reference), recorder)
