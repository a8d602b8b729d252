"""Which cells to measure: a coarse design that tells all parameters apart, then more where the fit is unsure. Pure.

A cell is a constant load: `concurrency` requests of `input_tokens` and `output_tokens` each, a new one as soon as one
ends. Per engine step it has about

    B = concurrency · (output - 1) / output    sequences that decode, and
    K = concurrency · input / output           prompt tokens computed,

so that short prompts with long answers show the decode step, long prompts with short answers what a prompt token costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controller.errors import ConfigError
from controller.profile.estimate import Array, Estimate, Row, terms

LEAST_OUTPUT_TOKENS = 4
LEAST_LONG_INPUT = 128
SPREAD_FRAC = 0.25
"""By how much answers of a cell are longer or shorter than their mean, at most."""
KV_SHARE = 0.85
"""Most of the room for context that a cell may take, so that no sequence is preempted."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One load."""

    concurrency: int
    input_tokens: int
    output_tokens: int

    def __str__(self) -> str:
        return f"{self.concurrency} x {self.input_tokens}+{self.output_tokens} tokens"

    @property
    def terms(self) -> Array:
        """(3,): one, sequences that decode and prompt tokens computed in a step, as the load alone lets expect."""
        each = self.concurrency / self.output_tokens
        return np.array([1.0, each * (self.output_tokens - 1), each * self.input_tokens])


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine says it can hold; None where it does not say.

    Attributes:
        max_model_len: tokens of prompt and answer of one request.
        kv_capacity_tokens: tokens of context of all requests together.
        max_num_seqs: largest batch.
        max_num_batched_tokens: most tokens of a step; longer prompts are computed in several.
    """

    max_model_len: int | None = None
    kv_capacity_tokens: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Design:
    """The range of loads and how surely the fit must know it.

    Attributes:
        max_concurrency: largest load.
        short_input, long_input: tokens of the prompts that show decode and prefill.
        long_output, short_output: tokens of the answers that go with them.
        most_cells: bound on the cells measured.
        sure_frac: standard error of a predicted step time or energy, relative, below which nothing more is measured.
    """

    max_concurrency: int
    short_input: int
    long_input: int
    long_output: int
    short_output: int
    most_cells: int
    sure_frac: float

    def fitted_to(self, limits: Limits) -> Design:
        """The same within the engine's limits.

        Sequences are fewer where the engine cannot hold them all. Long prompts are as short as fit into one step: vLLM
        counts no step that computes parts of prompts only.

        Raises:
            ConfigError: a request of the design is longer than the engine takes.
        """
        long_input = self.long_input
        if limits.max_num_batched_tokens is not None:
            long_input = min(long_input, max(LEAST_LONG_INPUT, limits.max_num_batched_tokens))
        if limits.max_model_len is not None:
            self._require_room(long_input, limits.max_model_len)
        most = self.max_concurrency
        if limits.max_num_seqs is not None:
            most = min(most, limits.max_num_seqs)
        if limits.kv_capacity_tokens is not None:
            most = min(most, int(KV_SHARE * limits.kv_capacity_tokens / (self.short_input + self.long_output)))
        if most < 4:
            raise ConfigError(
                f"{most} requests at once are too few to tell what a sequence costs; at least 4 are needed: raise "
                "--max-concurrency, or give the engine more room for context or a larger --max-num-seqs"
            )
        return replace(self, max_concurrency=most, long_input=long_input)

    def _require_room(self, long_input: int, max_model_len: int) -> None:
        decode, prefill = self.short_input + longest(self.long_output), long_input + longest(self.short_output)
        if max(decode, prefill) <= max_model_len:
            return
        room = max_model_len - longest(self.short_output)
        lower_input = prefill > max_model_len and room >= LEAST_LONG_INPUT
        lower = f"--long-input to {room} or less" if lower_input else "--long-input and --output-tokens"
        raise ConfigError(
            f"the design has requests of up to {max(decode, prefill)} tokens, but the engine takes {max_model_len} "
            f"(max_model_len); lower {lower}, or start the engine with a larger --max-model-len"
        )

    def largest_prefill(self, limits: Limits) -> int:
        """Most long prompts at once: a quarter of the largest load, as far as context has room."""
        most = max(2, self.max_concurrency // 4)
        if limits.kv_capacity_tokens is not None:
            most = min(most, int(KV_SHARE * limits.kv_capacity_tokens / (self.long_input + self.short_output)))
        return max(1, most)


def longest(output_tokens: int) -> int:
    """Tokens of the longest answer of a cell whose answers have so many on average."""
    return output_tokens + int(SPREAD_FRAC * output_tokens)


def coarse(design: Design, limits: Limits) -> tuple[Cell, ...]:
    """Seven cells that tell the three terms of a step apart, and leave enough to see how far off a straight line is."""
    most, prefill = design.max_concurrency, design.largest_prefill(limits)
    batches = dict.fromkeys((1, max(2, most // 8), max(3, most // 3), most))
    decode = [Cell(n, design.short_input, design.long_output) for n in batches]
    heavy = [Cell(n, design.long_input, design.short_output) for n in dict.fromkeys((1, max(1, prefill // 3), prefill))]
    return tuple(decode + heavy)


def candidates(design: Design, limits: Limits) -> tuple[Cell, ...]:
    """Cells that may be added, evenly over the range by ratio."""
    prefill = design.largest_prefill(limits)
    between_input = round(math.sqrt(design.short_input * design.long_input))
    between_output = max(LEAST_OUTPUT_TOKENS, round(math.sqrt(design.short_output * design.long_output)))
    found = [Cell(n, design.short_input, design.long_output) for n in _spread(design.max_concurrency)]
    found += [Cell(n, design.long_input, design.short_output) for n in _spread(prefill)]
    found += [Cell(n, between_input, between_output) for n in _spread(prefill)]
    return tuple(dict.fromkeys(found))


def unsureness(design: Design, limits: Limits, rows: Sequence[Row], fit: Estimate) -> float:
    """Largest relative standard error of a step's predicted time or energy over the range."""
    return max(
        noise * math.sqrt(float(np.max(_variances(_targets(design, limits), _information(rows, y), y))))
        for noise, y in ((fit.noise_time_frac, fit.time_terms), (fit.noise_energy_frac, fit.energy_terms))
    )


def next_cell(design: Design, limits: Limits, rows: Sequence[Row], fit: Estimate) -> Cell | None:
    """The cell that tells most about what is least sure; None where all is sure enough."""
    if unsureness(design, limits, rows, fit) <= design.sure_frac:
        return None
    targets = _targets(design, limits)

    def left(cell: Cell) -> float:
        worst = 0.0
        for noise, y in ((fit.noise_time_frac, fit.time_terms), (fit.noise_energy_frac, fit.energy_terms)):
            row = cell.terms / float(cell.terms @ y)
            information = _information(rows, y) + np.outer(row, row)
            worst = max(worst, noise * math.sqrt(float(np.max(_variances(targets, information, y)))))
        return worst

    return min(candidates(design, limits), key=left)


def _spread(most: int) -> list[int]:
    return sorted({round(most ** (n / 6)) for n in range(7)})


def _targets(design: Design, limits: Limits) -> Array:
    """(3, 3): a step of one sequence, of the largest batch, and of the heaviest prefill."""
    heavy = Cell(design.largest_prefill(limits), design.long_input, design.short_output)
    return np.array([[1.0, 1.0, 0.0], [1.0, float(design.max_concurrency), 0.0], heavy.terms])


def _information(rows: Sequence[Row], coefficients: Array) -> Array:
    """(3, 3): of relative errors, XᵀX."""
    design = terms(rows)
    design = design / (design @ coefficients)[:, None]
    return np.asarray(design.T @ design)


def _variances(targets: Array, information: Array, coefficients: Array) -> Array:
    """(3,): of each target, for relative errors of one."""
    scaled = targets / (targets @ coefficients)[:, None]
    return np.asarray(np.einsum("ij,jk,ik->i", scaled, np.linalg.pinv(information), scaled))
