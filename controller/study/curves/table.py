"""The map as tables and as JSON: built-in profiles at one promise, or the pools and classes of a service. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from controller.model.fleet import RequestClass, Site
from controller.model.perf import Evidence
from controller.optimizer.power_map import Dispatchable, Variant, power_map, rows
from controller.optimizer.workload import Lengths
from controller.simulation.profiles import PROFILES, load_profile
from controller.study.tables import Cell, Column, Table
from router.contract import ClassId

FIGURES = (
    Column("decode"),
    Column("batch"),
    Column("tokens/s"),
    Column("W"),
    Column("J/token", 3),
    Column("P0, W"),
    Column("e decode, mJ"),
    Column("e prompt, mJ"),
    Column("idle W"),
    Column("asleep W"),
    Column("off W"),
    Column("wake s", 1),
    Column("wake kJ", 1),
    Column("start s"),
    Column("start kJ", 1),
)
NOTE = (
    "Of one instance. Batch, output tokens/s, W and J an output token are those at the largest batch that keeps the "
    "latency; a dash: it cannot be kept. e is above P0·time, of a decoded and of a prompt token. Decode is measured or "
    "estimated as told; prefill, room for context, and power and times of the states are estimates in every built-in "
    "profile."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Promise:
    """What the built-in profiles are held to."""

    itl_slo_s: float
    lengths: Lengths


def profile_rows(names: Sequence[str], promise: Promise) -> tuple[Dispatchable, ...]:
    """Built-in profiles at a promise.

    Raises:
        ConfigError: a profile is unknown, or the promise is not made of positive figures.
    """
    variants = [Variant(name, PROFILES[name].gpus, load_profile(name)) for name in names]
    return rows(variants, RequestClass(ClassId("any"), itl_slo_s=promise.itl_slo_s), promise.lengths)


def profiles_table(found: Sequence[Dispatchable], promise: Promise) -> Table:
    """Built-in profiles, one a row."""
    lengths = promise.lengths
    return Table(
        title=f"Built-in curves at {1000 * promise.itl_slo_s:g} ms between tokens, "
        f"{lengths.input_tokens:g} prompt and {lengths.output_tokens:g} output tokens",
        columns=(Column("profile"), *FIGURES),
        rows=tuple((cell.name, *_figures(cell)) for cell in found),
        note=NOTE,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """The map of a configured fleet.

    Attributes:
        cells: [r][k] in the order of classes and pools.
    """

    site: Site
    cells: tuple[tuple[Dispatchable, ...], ...]

    @classmethod
    def of(cls, site: Site) -> Service:
        """The map at each class's own latency and expected lengths."""
        found = power_map([Variant.of(pool) for pool in site.pools], site.classes, [_lengths(c) for c in site.classes])
        return cls(site, found.rows)

    def table(self) -> Table:
        """Every pool for every class."""
        return Table(
            title="Pools for each class, at its latency and expected lengths",
            columns=(
                Column("class"),
                Column("pool"),
                Column("may serve"),
                Column("quality loss", 2, percent=True),
                Column("GPUs"),
                *FIGURES,
            ),
            rows=tuple(
                (
                    request_class.class_id,
                    cell.name,
                    self.serves(r, k),
                    cell.quality_loss_frac,
                    cell.gpus_per_instance,
                    *_figures(cell),
                )
                for r, request_class in enumerate(self.site.classes)
                for k, cell in enumerate(self.cells[r])
            ),
            note=NOTE,
        )

    def serves(self, r: int, k: int) -> str:
        """Whether a pool may serve a class, and what is against it."""
        if not self.site.classes[r].may_use(self.site.pools[k]):
            return "no: precision"
        return "yes" if self.cells[r][k].keeps_latency else "no: latency"

    def document(self) -> dict[str, object]:
        """The same as JSON's objects."""
        return {
            "classes": [
                {
                    "class": cls.class_id,
                    "itl_slo_s": cls.itl_slo_s,
                    "input_tokens": cls.expected_input_tokens,
                    "output_tokens": cls.expected_output_tokens,
                    "rows": [
                        {"may_serve": self.serves(r, k), **document(cell)} for k, cell in enumerate(self.cells[r])
                    ],
                }
                for r, cls in enumerate(self.site.classes)
            ]
        }


def profiles_document(found: Sequence[Dispatchable], promise: Promise) -> dict[str, object]:
    """Built-in profiles as JSON's objects."""
    return {
        "itl_slo_s": promise.itl_slo_s,
        "input_tokens": promise.lengths.input_tokens,
        "output_tokens": promise.lengths.output_tokens,
        "rows": [document(cell) for cell in found],
    }


def document(cell: Dispatchable) -> dict[str, object]:
    """Every figure of a cell under its name."""
    fields = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
    return {
        **fields,
        "w_at_capacity": cell.w_at_capacity,
        "j_per_token_at_capacity": cell.j_per_token_at_capacity,
    }


def _figures(cell: Dispatchable) -> tuple[Cell, ...]:
    evidence: Evidence = cell.provenance.decode.evidence
    keeps = cell.keeps_latency
    return (
        evidence.value,
        cell.batch if keeps else None,
        cell.capacity_tokens_per_s if keeps else None,
        cell.w_at_capacity,
        cell.j_per_token_at_capacity,
        cell.p0_w,
        1000 * cell.decode_j_per_token,
        1000 * cell.prefill_j_per_token,
        cell.idle_w,
        cell.sleeping_w,
        cell.off_w,
        cell.wake.seconds,
        cell.wake.joules / 1000,
        cell.start.seconds,
        cell.start.joules / 1000,
    )


def _lengths(cls: RequestClass) -> Lengths:
    return Lengths(cls.expected_input_tokens, cls.expected_output_tokens)
