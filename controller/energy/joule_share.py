"""An amount of energy with what it was for and what it cost; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace


@dataclass(frozen=True, slots=True)
class Share:
    """Energy at the GPUs by phase, and its cost and emissions at the meter.

    Attributes:
        prefill_j, decode_j: active energy.
        idle_j: drawn whether anything ran or not.
        usd, carbon_kg: of that part of the energy for which price and emission rate were known.
        unpriced_j, uncounted_j: the parts for which they were not; never counted as costing nothing.
    """

    prefill_j: float = 0.0
    decode_j: float = 0.0
    idle_j: float = 0.0
    usd: float = 0.0
    carbon_kg: float = 0.0
    unpriced_j: float = 0.0
    uncounted_j: float = 0.0

    @property
    def energy_j(self) -> float:
        """All of it."""
        return self.prefill_j + self.decode_j + self.idle_j

    def __add__(self, other: Share) -> Share:
        """Both together."""
        return Share(
            self.prefill_j + other.prefill_j,
            self.decode_j + other.decode_j,
            self.idle_j + other.idle_j,
            self.usd + other.usd,
            self.carbon_kg + other.carbon_kg,
            self.unpriced_j + other.unpriced_j,
            self.uncounted_j + other.uncounted_j,
        )

    def __sub__(self, other: Share) -> Share:
        """What is left without the other."""
        return self + other.times(-1.0)

    def times(self, factor: float) -> Share:
        """That many times as much."""
        return Share(
            self.prefill_j * factor,
            self.decode_j * factor,
            self.idle_j * factor,
            self.usd * factor,
            self.carbon_kg * factor,
            self.unpriced_j * factor,
            self.uncounted_j * factor,
        )

    def less(self, part: Share) -> Share:
        """What is left without a part of it; where rounding would leave less than nothing, nothing.

        A price may be negative, and so may the cost: of that, too, no more is taken than there is.
        """
        left = astuple(self - part)
        return Share(*(rest if rest * whole > 0.0 else 0.0 for rest, whole in zip(left, astuple(self), strict=True)))

    def costing(self, whole: Share, frac: float) -> Share:
        """The same energy at that fraction of the whole's costs."""
        return replace(
            self,
            usd=frac * whole.usd,
            carbon_kg=frac * whole.carbon_kg,
            unpriced_j=frac * whole.unpriced_j,
            uncounted_j=frac * whole.uncounted_j,
        )


NOTHING = Share()


def summed(shares: Iterable[Share]) -> Share:
    """All together."""
    total = NOTHING
    for share in shares:
        total += share
    return total
