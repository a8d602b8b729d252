"""A profile as a curves file, as tables and as a page. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.model.perf import FITTED
from controller.profile import states
from controller.profile.cells import MeasuredCell
from controller.profile.options import ProfileOptions
from controller.profile.run import Profiled
from controller.profile.states import Given
from controller.settings.curves_file import (
    CellSection,
    CovarianceSection,
    CurvesFile,
    FitSection,
    ProvenanceSection,
)
from controller.settings.plan import CurveFigures
from controller.study.charts import Series, Style, XyChart
from controller.study.study import Report
from controller.study.tables import Column, Table

MOST_DRIFT_FRAC = 0.05
UNKNOWN_GPU = "GPU of unknown type"


def curves_file(found: Profiled, options: ProfileOptions, wattroute: str) -> CurvesFile:
    """The file to write; `wattroute` is our version."""
    rest = states.states(
        found.rest, Given(options.sleeping_w, options.off_w, options.wake_s, options.sleep_s, options.start_s)
    )
    largest = max(cell.cell.concurrency for cell in found.used)
    held = max(c.cell.concurrency * (c.cell.input_tokens + c.cell.output_tokens) for c in found.used)
    kv_tokens, max_num_seqs, context = states.context(found.subject.limits, largest, held)
    engine = found.subject.engine
    return CurvesFile(
        parameters=CurveFigures(
            **dict(zip(FITTED, found.fit.steps.parameters(), strict=True)),
            kv_capacity_tokens=kv_tokens,
            max_num_seqs=max_num_seqs,
            idle_w=rest.idle_w,
            sleeping_w=rest.sleeping_w,
            off_w=rest.off_w,
            wake_s=rest.wake_s,
            sleep_s=rest.sleep_s,
            start_s=rest.start_s,
        ),
        covariance=CovarianceSection(parameters=FITTED, matrix=found.fit.steps.covariance),
        fit=FitSection(
            power_held_out_mape_frac=found.fit.steps.power.held_out_mape_frac,
            throughput_held_out_mape_frac=found.fit.steps.throughput.held_out_mape_frac,
            cells=len(found.used),
            cells_left_out=len(found.cells) - len(found.used),
            drift_frac=found.drift_frac,
        ),
        provenance=ProvenanceSection(
            date=datetime.fromtimestamp(found.wall_s, UTC).date(),
            emulated=found.is_emulated,
            gpu=options.gpu or found.subject.gpu_name or UNKNOWN_GPU,
            gpus=len(found.subject.uuids),
            driver=found.subject.driver,
            engine="vLLM",
            engine_version=engine.version,
            model=engine.model,
            precision=options.precision or engine.precision or found.subject.kernel.name,
            kernel=found.subject.kernel.name,
            kernel_told_by=found.subject.kernel.told_by,
            power_source=options.power,
            wattroute=wattroute,
            context=context,
            states=rest.group,
        ),
        cells=tuple(_section(cell) for cell in found.cells),
    )


def _section(cell: MeasuredCell) -> CellSection:
    return CellSection(
        concurrency=cell.cell.concurrency,
        input_tokens=cell.cell.input_tokens,
        output_tokens=cell.cell.output_tokens,
        steps=cell.row.steps,
        decode_tokens=cell.row.decode_tokens,
        prompt_tokens=cell.row.prompt_tokens,
        busy_s=cell.row.busy_s,
        energy_j=cell.row.energy_j,
        left_out=cell.fault,
    )


def report(found: Profiled, file: CurvesFile) -> Report:
    """What a reader sees."""
    fit = found.fit.steps
    return Report(
        title=f"Curves of {file.provenance.model}, {file.provenance.precision}, {file.provenance.gpus}x "
        f"{file.provenance.gpu}",
        paragraphs=(
            f"On cells that it had not seen, the fit misses power by {fit.power.held_out_mape_frac:.1%} and "
            f"throughput by {fit.throughput.held_out_mape_frac:.1%} on average ({len(found.used)} cells).",
            *_warnings(found),
        ),
        tables=(_parameters(file), _cells(found)),
        charts=_charts(found),
        assumptions=_assumptions(found, file),
        sources=(file.provenance.decode_source,),
    )


def _warnings(found: Profiled) -> list[str]:
    warnings = []
    if found.drift_frac is not None and abs(found.drift_frac) > MOST_DRIFT_FRAC:
        warnings.append(
            f"The load measured first took {found.drift_frac:+.1%} as long a step when measured again at the end: the "
            "instance changed meanwhile, as a GPU does that is throttled. Measure again once it is warm."
        )
    left_out = len(found.cells) - len(found.used)
    if left_out:
        warnings.append(f"{left_out} cells are left out of the fit; the table of cells says why.")
    return warnings


def _assumptions(found: Profiled, file: CurvesFile) -> tuple[str, ...]:
    emulated = ("Engine and GPUs are emulated: the figures say nothing about hardware.",) if found.is_emulated else ()
    return (
        *emulated,
        f"Kernel {file.provenance.kernel}, as the {file.provenance.kernel_told_by} tells.",
        "Every prompt is made of random tokens, so that a prefix cache has nothing to spare: traffic with common "
        "beginnings costs less prefill than these curves say.",
        f"Without work: {file.provenance.states.source}.",
        f"{file.provenance.context.source.capitalize()}.",
        "GPU power alone; the rest of the server is left out.",
    )


_SHOWN = (
    ("step_base_s", "a, step time", 1e3, "ms"),
    ("step_per_seq_s", "b, step time per sequence", 1e3, "ms"),
    ("step_base_j", "A, step energy", 1.0, "J"),
    ("step_per_seq_j", "C, step energy per sequence", 1.0, "J"),
    ("prefill_s_per_token", "time of a prompt token", 1e3, "ms"),
    ("prefill_j_per_token", "energy of a prompt token above P0·time", 1.0, "J"),
)


def _parameters(file: CurvesFile) -> Table:
    curves = file.curves()
    known = curves.uncertainty
    rows: list[tuple[str, str, float | None]] = []
    for name, label, scale, unit in _SHOWN:
        value = getattr(curves, name)
        spread = None if known is None or value == 0 else known.sd(name) / value
        rows.append((label, f"{scale * value:.4g} {unit}", spread))
    rows.append(("P0", f"{curves.p0_w:,.0f} W", None))
    rows.append(("e, energy of a decoded token above P0·time", f"{curves.decode_j_per_token:.4g} J", None))
    rows.append(("idle", f"{curves.idle_w:,.0f} W", None))
    rows.append(("asleep", f"{curves.sleeping_w:,.0f} W", None))
    return Table(
        title="Parameters of one instance",
        columns=(Column("parameter"), Column("value"), Column("standard error", 1, percent=True)),
        rows=tuple(rows),
    )


def _cells(found: Profiled) -> Table:
    errors = iter(found.fit.power_errors_frac)
    return Table(
        title="Cells",
        columns=(
            Column("requests"),
            Column("prompt"),
            Column("answer"),
            Column("batch", 1),
            Column("tokens/s"),
            Column("ITL, ms", 1),
            Column("W"),
            Column("J/token", 3),
            Column("power varies by", 1, percent=True),
            Column("fit less measured", 1, percent=True, signed=True),
            Column("left out because"),
        ),
        rows=tuple(
            (
                cell.cell.concurrency,
                cell.cell.input_tokens,
                cell.cell.output_tokens,
                cell.row.batch if cell.row.steps else None,
                cell.output_tokens_per_s if cell.row.busy_s else None,
                None if cell.itl_s is None else 1000 * cell.itl_s,
                cell.row.power_w if cell.row.busy_s else None,
                cell.row.energy_j / cell.row.decode_tokens if cell.row.decode_tokens else None,
                min(cell.power_cv, 9.99),
                next(errors) if cell.is_usable else None,
                cell.fault,
            )
            for cell in found.cells
        ),
        note="Requests at once, tokens of prompt and answer as asked; batch: mean sequences that decode in a step. "
        "Power is that of the instance's GPUs, times without a request left out.",
    )


def _charts(found: Profiled) -> tuple[XyChart, ...]:
    fit, cells = found.fit, sorted(found.used, key=lambda cell: cell.row.batch)
    batches = [cell.row.batch for cell in cells]
    line = [max(batches) * n / 40 for n in range(41)]
    charts = []
    for title, label, scale, plane, each in (
        ("Step time", "ms", 1e3, fit.time_terms, [c.row.busy_s / c.row.steps for c in cells]),
        ("Step energy", "J", 1.0, fit.energy_terms, [c.row.energy_j / c.row.steps for c in cells]),
    ):
        prompts = [plane[2] * c.row.prompt_tokens / c.row.steps for c in cells]
        points = tuple(scale * float(y - p) for y, p in zip(each, prompts, strict=True))
        charts.append(
            XyChart(
                title=f"{title} against the batch",
                x_label="sequences that decode in a step",
                y_label=label,
                series=(
                    Series("fit", tuple(line), tuple(scale * float(plane[0] + plane[1] * b) for b in line)),
                    Series("measured, less its prompt tokens", tuple(batches), points, Style.POINTS),
                ),
                note="What the prompt tokens of a step took by the fit is taken off each measurement.",
            )
        )
    return (*charts, _power_chart(found))


def _power_chart(found: Profiled) -> XyChart:
    cells = found.used
    measured = [cell.row.power_w for cell in cells]
    predicted = [w * (1 + error) for w, error in zip(measured, found.fit.power_errors_frac, strict=True)]
    rates = tuple(cell.output_tokens_per_s for cell in cells)
    return XyChart(
        title="Power against the output rate",
        x_label="output tokens/s",
        y_label="W",
        series=(
            Series("measured", rates, tuple(measured), Style.POINTS),
            Series("fit", rates, tuple(predicted), Style.POINTS),
        ),
        note="Cells with long prompts draw more at the same output rate.",
    )
