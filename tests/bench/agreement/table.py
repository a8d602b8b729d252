"""What three models of the same requests say, side by side, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.agreement.case import TOLERANCE_FRAC, Means

_KW = 1000.0


@dataclass(frozen=True, slots=True)
class Row:
    """One load.

    Attributes:
        per_s: requests/s sent in the window.
        emulator: None where only the models were compared.
    """

    per_s: float
    emulator: Means | None
    discrete: Means
    fluid: Means

    def deviations(self) -> dict[str, tuple[float, float]]:
        """Relative deviation of power and throughput, by what is compared with what."""
        found = {"fluid / discrete": _deviation(self.fluid, self.discrete)}
        if self.emulator is not None:
            found["discrete / emulator"] = _deviation(self.discrete, self.emulator)
            found["fluid / emulator"] = _deviation(self.fluid, self.emulator)
        return found

    @property
    def largest_frac(self) -> float:
        """The largest deviation."""
        return max(abs(part) for pair in self.deviations().values() for part in pair)

    @property
    def agrees(self) -> bool:
        """Whether none is beyond the tolerance."""
        return self.largest_frac <= TOLERANCE_FRAC


def with_emulator(rows: Sequence[Row]) -> list[str]:
    """Power and throughput of all three, and how far the models are from the emulator."""
    lines = [
        "| requests/s | power, kW: emulator | discrete-event | fluid | output tokens/s: emulator | discrete-event "
        "| fluid |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row.emulator is None:
            raise ValueError(f"the emulator was not measured at {row.per_s:g} requests/s")
        discrete_w, discrete_t = _deviation(row.discrete, row.emulator)
        fluid_w, fluid_t = _deviation(row.fluid, row.emulator)
        lines.append(
            f"| {row.per_s:.2f} | {row.emulator.power_w / _KW:.2f} "
            f"| {row.discrete.power_w / _KW:.2f} ({discrete_w:+.1%}) | {row.fluid.power_w / _KW:.2f} ({fluid_w:+.1%}) "
            f"| {row.emulator.tokens_per_s:.0f} "
            f"| {row.discrete.tokens_per_s:.0f} ({discrete_t:+.1%}) "
            f"| {row.fluid.tokens_per_s:.0f} ({fluid_t:+.1%}) |"
        )
    return lines


def models_alone(rows: Sequence[Row]) -> list[str]:
    """How far the flow is from single requests."""
    lines = [
        "| requests/s | power, kW: discrete-event | fluid | output tokens/s: discrete-event | fluid | within 5 % |",
        "|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        power, tokens = _deviation(row.fluid, row.discrete)
        lines.append(
            f"| {row.per_s:.2f} | {row.discrete.power_w / _KW:.2f} | {row.fluid.power_w / _KW:.2f} ({power:+.1%}) "
            f"| {row.discrete.tokens_per_s:.0f} | {row.fluid.tokens_per_s:.0f} ({tokens:+.1%}) "
            f"| {'yes' if row.agrees else 'no'} |"
        )
    return lines


def _deviation(one: Means, reference: Means) -> tuple[float, float]:
    return one.power_w / reference.power_w - 1.0, one.tokens_per_s / reference.tokens_per_s - 1.0
