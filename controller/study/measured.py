"""The bundled steady-state measurements, one configuration at a time, and what lies between two of their rows. Pure.

Source: ML.ENERGY Leaderboard v3, lm-arena-chat, vLLM 0.11.1; GPU power alone. Nothing but the
package's own file is read.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from controller.energy.steady_sample import Sample, in_steady_state
from controller.errors import ConfigError
from controller.simulation.profile_rows import DATA_FILE, RowKey, data_rows, sample_of

SOURCE = "ML.ENERGY Leaderboard v3, lm-arena-chat, vLLM 0.11.1, GPU power alone (Apache-2.0)"


class Configuration(RowKey):
    """The same with a name that is short enough for a table."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self.model_id.partition('/')[2] or self.model_id} {self.weight_precision} {self.gpus}x{self.gpu}"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement of a whole instance in steady state.

    Attributes:
        max_num_seqs: largest batch the engine was started with.
        sample: mean batch, rate, power and median inter-token latency.
        active_params_billions: parameters that a token is multiplied with.
    """

    max_num_seqs: int
    sample: Sample
    active_params_billions: float

    @property
    def j_per_output_token(self) -> float:
        """Energy of an output token, its share of the prefill included."""
        return self.sample.power_w / self.sample.tokens_per_s


@dataclass(frozen=True, slots=True)
class Measured:
    """All usable rows of a configuration, by rising batch.

    Step time and step energy between two rows are taken on the straight line between them; outside of the rows there
    is no value.
    """

    configuration: Configuration
    rows: tuple[Row, ...]

    def step_s(self, batch: float) -> float | None:
        """Step time at a batch; None outside of what was measured."""
        return self._between(batch, [row.sample.step_s for row in self.rows])

    def step_j(self, batch: float) -> float | None:
        """Step energy at a batch; None outside of what was measured."""
        return self._between(batch, [row.sample.step_j for row in self.rows])

    def j_per_output_token(self, batch: float) -> float | None:
        """Energy of an output token at a batch; None outside of what was measured."""
        step_j = self.step_j(batch)
        return None if step_j is None else step_j / batch

    def batch_at_rate(self, tokens_per_s: float) -> float | None:
        """Smallest batch whose rate is `tokens_per_s`; None outside of what was measured."""
        for low, high in pairwise(self.rows):
            before, after = low.sample, high.sample
            if before.tokens_per_s <= tokens_per_s <= after.tokens_per_s:
                slope = (after.step_s - before.step_s) / (after.batch - before.batch)
                intercept = before.step_s - slope * before.batch
                return intercept * tokens_per_s / (1 - slope * tokens_per_s)
        return None

    def _between(self, batch: float, values: list[float]) -> float | None:
        for number, (low, high) in enumerate(pairwise(self.rows)):
            before, after = low.sample.batch, high.sample.batch
            if before <= batch <= after:
                share = (batch - before) / (after - before)
                return values[number] * (1 - share) + values[number + 1] * share
        return None


def measured(configuration: Configuration) -> Measured:
    """Rows of a configuration; of several with the same batch the one of least energy.

    Raises:
        ConfigError: there are none, or fewer than two; the nearest known configuration is named.
    """
    rows = [row for known, row in _all_rows() if known == configuration and in_steady_state(row.sample)]
    rows.sort(key=lambda row: (row.max_num_seqs, row.j_per_output_token))
    kept = [row for n, row in enumerate(rows) if n == 0 or row.sample.batch > max(r.sample.batch for r in rows[:n])]
    if len(kept) < 2:
        names = sorted({str(known) for known, _ in _all_rows()})
        near = difflib.get_close_matches(str(configuration), names, n=3, cutoff=0.0)
        raise ConfigError(f"{configuration}: no such configuration was measured; near it are {'; '.join(near)}")
    return Measured(configuration, tuple(kept))


@cache
def _all_rows() -> tuple[tuple[Configuration, Row], ...]:
    try:
        return tuple(
            (
                Configuration(row["model_id"], row["weight_precision"], row["gpu_model"], int(row["num_gpus"])),
                Row(
                    int(row["max_num_seqs"]),
                    sample_of(row),
                    float(row["activated_params_billions"]),
                ),
            )
            for row in data_rows()
        )
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"the bundled measurements {DATA_FILE} cannot be read ({error!r}); install wattroute again"
        ) from error
