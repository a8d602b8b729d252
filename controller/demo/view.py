"""The demo's live view in the terminal, made for 80 columns and 24 lines and wider where there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from controller.demo.load import Account
from controller.demo.meter import Power, Record
from controller.simulation.latency import Latencies

BLOCKS = " ▁▂▃▄▅▆▇█"
COLOURS = {"bf16": "cyan", "fp8": "green", "int4": "magenta", "int8": "yellow"}
PLOT_HEIGHT = 5
_AXIS = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """What one picture shows.

    Attributes:
        phase: e.g. ``replay``, ``last answers``.
        elapsed_s, seconds: of the replay.
    """

    phase: str
    elapsed_s: float
    seconds: float
    speed: float
    dashboard_url: str
    router_url: str
    account: Account
    itl: Latencies
    record: Record


def draw(frame: Frame) -> Panel:
    """The whole picture."""
    state = frame.record.readings[-1].state if frame.record.readings else None
    title = f" wattroute demo · [bold yellow]EMULATED GPUs[/] · {frame.phase} "
    clock = f" {frame.elapsed_s:.0f} of {frame.seconds:.0f} s · trace × {frame.speed:g} · Ctrl-C stops "
    return Panel(
        Group(
            _power_line(frame.record.powers, state),
            PowerPlot(frame.record.powers),
            _pools(state),
            *_figures(frame, state),
            Text(f"page {frame.dashboard_url}   router {frame.router_url}/v1", style="dim", overflow="ellipsis"),
        ),
        title=title,
        subtitle=clock,
        border_style="blue",
        padding=(0, 1),
    )


@dataclass(frozen=True, slots=True)
class PowerPlot:
    """Power over time as bars, the limit as a line of dashes; one column a sample, the latest at the right."""

    powers: Sequence[Power]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw to the width there is."""
        width = max(1, options.max_width - _AXIS)
        shown = self.powers[-width:]
        if not shown:
            yield Text("\n" * (PLOT_HEIGHT - 1) + "waiting for the first power reading", style="dim")
            return
        top_kw = max(1.0, *(max(power.power_w, power.limit_w or 0.0) for power in shown)) / 1000 * 1.05
        for row in range(PLOT_HEIGHT):
            high_kw = top_kw * (PLOT_HEIGHT - row) / PLOT_HEIGHT
            line = Text(f"{high_kw:5.1f} kW" if row % 2 == 0 else " " * _AXIS, style="dim")
            for power in shown:
                line.append(*_cell(power, row, top_kw))
            yield line


def _cell(power: Power, row: int, top_kw: float) -> tuple[str, str]:
    """Character and style of one sample in one row; row 0 is the highest."""
    unit_kw = top_kw / PLOT_HEIGHT
    floor_kw = unit_kw * (PLOT_HEIGHT - 1 - row)
    limit_kw = None if power.limit_w is None else power.limit_w / 1000
    over = limit_kw is not None and power.power_w / 1000 > limit_kw
    filled = max(0.0, min(1.0, (power.power_w / 1000 - floor_kw) / unit_kw))
    if limit_kw is not None and floor_kw <= limit_kw < floor_kw + unit_kw and filled < 1:
        return "─", "bold red"
    return BLOCKS[round(filled * 8)], "yellow" if over else "blue"


def _power_line(powers: Sequence[Power], state: Mapping[str, Any] | None) -> Text:
    line = Text()
    if not powers:
        return line
    latest = powers[-1]
    line.append(f"power {latest.power_w / 1000:6.2f} kW", "bold")
    limit_w = latest.limit_w
    if limit_w is not None:
        line.append(f" of {limit_w / 1000:.2f} kW allowed", "bold red" if latest.power_w > limit_w else "bold green")
    event = (state or {}).get("event")
    line.append("   ")
    line.append(*_event_text(event, (state or {}).get("now_s", 0.0)))
    return line


def _event_text(event: Mapping[str, Any] | None, now_s: float) -> tuple[str, str]:
    if event is None:
        return "no grid event", "dim"
    limit = f"limit {event['limit_w'] / 1000:.1f} kW"
    if event["state"] == "pending":
        return f"event in {max(0.0, event['start_s'] - now_s):.0f} s: {limit}", "bold yellow"
    ramp_s = event["start_s"] + event["ramp_s"] - now_s
    ramp = f", ramp {ramp_s:.0f} s more" if ramp_s > 0 else ""
    return f"EVENT: {limit}, {max(0.0, event['end_s'] - now_s):.0f} s left{ramp}", "bold red"


def _pools(state: Mapping[str, Any] | None) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, show_edge=False)
    table.add_column("pool", no_wrap=True)
    table.add_column("share of tokens", ratio=1, no_wrap=True)
    for name in ("on", "drain", "sleep", "kW"):
        table.add_column(name, justify="right", no_wrap=True)
    for pool in (state or {}).get("pools", ()):
        share = pool.get("share_frac") or 0.0
        colour = COLOURS.get(pool["precision"], "white")
        mark = " (est.)" if pool.get("evidence") == "estimated" else ""
        power_w = pool.get("power_w")
        table.add_row(
            Text(f"{pool['pool_id']}{mark}", style=colour),
            Text(f"{'█' * round(share * 24):<24} {share:4.0%}", style=colour),
            *(str(pool.get(name, "-")) for name in ("on", "draining", "sleeping")),
            "-" if power_w is None else f"{power_w / 1000:.1f}",
        )
    return table


def _figures(frame: Frame, state: Mapping[str, Any] | None) -> tuple[Text, ...]:
    account, known = frame.account, state or {}
    solver = known.get("solver", {})
    lost = "green" if account.tokens_lost == 0 else "bold red"
    served = Text(f"served {account.tokens_served:,} tokens in {account.ok:,} answers, {account.in_flight} under way; ")
    served.append(f"lost {account.tokens_lost:,}", lost)
    served.append(f"; refused {account.refusals}")
    latency = Text(
        f"TTFT p50 {_ms(account.ttft.quantile_s(0.5))} p99 {_ms(account.ttft.quantile_s(0.99))}   "
        f"ITL p50 {_ms(frame.itl.quantile_s(0.5))} p99 {_ms(frame.itl.quantile_s(0.99))}"
    )
    grid = Text(
        f"{_number(known.get('j_per_output_token'), '.2f')} J/token   "
        f"price {_number(known.get('price_usd_per_mwh'), '.0f')} USD/MWh   "
        f"carbon {_number(known.get('carbon_kg_per_mwh'), '.0f')} kg/MWh"
    )
    plan = Text(
        f"plan by {solver.get('origin') or '-'}: MILP {_number(solver.get('slow_ms'), '.0f')} ms, "
        f"LP {_number(solver.get('fast_ms'), '.1f')} ms, fallbacks {solver.get('fallbacks', '-')}"
    )
    return served, latency, grid, plan


def _ms(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s * 1000:.0f} ms"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def summary_table(figures: Mapping[str, Any]) -> Table:
    """The closing table, from the figures of `summary.build`."""
    table = Table(title="wattroute demo: summary (EMULATED GPUs)", title_style="bold", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in _summary_rows(figures):
        table.add_row(name, value)
    return table


def _summary_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    event, simulated = figures["event"], figures["simulated"]
    rows = [
        ("requests", f"{figures['requests_ok']:,} whole of {figures['requests_sent']:,} sent"),
        ("output tokens", f"{figures['tokens_served']:,} served, {figures['tokens_lost']:,} lost"),
        ("share by precision", _share_text(figures["share_by_precision"])),
    ]
    for name in ("before", "during", "after"):
        if shares := figures.get(f"share_by_precision_{name}"):
            rows.append((f"  {name} the event", _share_text(shares)))
    if event is not None:
        rows += [
            (
                "event",
                f"limit {event['limit_kw']} kW, before {event['baseline_kw']} kW, delivered {event['delivered_kw']} kW",
            ),
            (
                "  kept",
                f"90 % after {event['time_to_90pct_s']} s; {event['intervals_over_limit_after_ramp']} of "
                f"{event['intervals_after_ramp']} intervals over the limit after the ramp",
            ),
        ]
    rows += [
        ("energy", f"{figures['energy_kwh']} kWh, {figures['energy_j_per_output_token']} J per output token"),
        ("cost, carbon", f"{figures['cost_usd']} USD, {figures['carbon_kg']} kg CO2"),
        ("TTFT", f"p50 {_ms(figures['ttft_p50_s'])}, p99 {_ms(figures['ttft_p99_s'])}"),
        ("ITL", f"p50 {_ms(figures['itl_p50_s'])}, p99 {_ms(figures['itl_p99_s'])}"),
    ]
    if simulated is not None:
        rows += [
            ("saving against BF16 alone", f"{figures['saving_vs_bf16_only_frac']:.1%} (BF16 alone is simulated)"),
            (
                "  within the event",
                f"{_kw(event and event['held_kw'])} against {_kw(simulated['bf16_only']['event_kw'])}",
            ),
            ("  measured / simulated", f"{simulated['measured_over_simulated_frac']:+.1%} for this same run"),
        ]
    return rows


def _kw(power_kw: float | None) -> str:
    return "-" if power_kw is None else f"{power_kw:.1f} kW"


def _share_text(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or "-"


def line(frame: Frame) -> str:
    """The picture in one line, for a log."""
    account, powers = frame.account, frame.record.powers
    state = (frame.record.readings[-1].state if frame.record.readings else None) or {}
    event = state.get("event")
    parts = [
        f"{frame.elapsed_s:.0f} of {frame.seconds:.0f} s ({frame.phase}, emulated GPUs)",
        f"power {powers[-1].power_w / 1000:.2f} kW" if powers else "power -",
        "no event" if event is None else _event_text(event, state.get("now_s", 0.0))[0],
        " ".join(f"{pool['pool_id']} {pool.get('share_frac') or 0:.0%}" for pool in state.get("pools", ())),
        f"served {account.tokens_served} lost {account.tokens_lost} refused {account.refusals}",
        f"TTFT p99 {_ms(account.ttft.quantile_s(0.99))} ITL p99 {_ms(frame.itl.quantile_s(0.99))}",
    ]
    return "; ".join(part for part in parts if part)
