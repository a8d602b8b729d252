"""`wattroute demo`, `simulate`, `curves`, `fit`, `profile`, `quality`: what is tried and measured beside a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.commands.cli_parts import PASS_THROUGH, command_group, load
from controller.errors import ConfigError
from router.contract import Precision

study_app = typer.Typer(rich_markup_mode=None)
quality_app = command_group("quality", "What precisions cost in quality.")


@study_app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Plain log lines instead of the live view.")] = False,
    seconds: Annotated[float, typer.Option(help="Length of the run in seconds.", min=20, max=86_400)] = 300.0,
    speed: Annotated[float, typer.Option(help="Speed-up of the replayed hour.", min=0.1, max=50)] = 5.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")] = None,
    port: Annotated[int, typer.Option(help="The router's port; 0 takes a free one.", min=0, max=65535)] = 0,
    config: Annotated[
        Path | None, typer.Option("--config", help="Run this configuration instead of the demo's own fleet.")
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Folder for configuration and records.")] = Path("wattroute-data"),
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Run the main job on this machine: emulated GPUs, a real trace, a curtailment event."""
    demo_module = load("controller.demo.run")
    options = demo_module.DemoOptions(
        headless=headless,
        seconds=seconds,
        speed=speed,
        json_file=json_file,
        port=port,
        config=config,
        data_dir=data_dir,
        seed=seed,
    )
    raise typer.Exit(demo_module.run(options))


@study_app.command()
def simulate(
    scenario: Annotated[
        str | None, typer.Argument(help="Scenario file, or the name of a shipped one.", show_default=False)
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with charts to this file.")] = None,
    list_shipped: Annotated[bool, typer.Option("--list", help="List the shipped scenarios.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes at a time, for a scenario of many parts.")] = 1,
    parts: Annotated[str | None, typer.Option(help="Some of its parts: a number, or a range such as 0:20.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the figures of each part in this folder, and go on from there.")
    ] = None,
) -> None:
    """Compute what a way of routing or planning is worth, from a scenario file."""
    command = load("controller.study.command")
    if list_shipped:
        command.show_list()
        return
    if scenario is None:
        raise ConfigError(
            "which scenario? write: wattroute simulate SCENARIO; wattroute simulate --list names the shipped ones"
        )
    raise typer.Exit(command.run(command.SimulateOptions(scenario, json_file, html_file, jobs, parts, keep)))


@study_app.command()
def curves(
    profiles: Annotated[
        list[str] | None,
        typer.Argument(help="Built-in profiles, or beginnings such as llama-3.1-70b or qwen3-32b/fp8; all if none."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Show the pools and classes of this configuration instead.")
    ] = None,
    itl_slo_ms: Annotated[
        float | None, typer.Option(help="Longest time between two tokens of a request, ms.  [default: 60]")
    ] = None,
    input_tokens: Annotated[float | None, typer.Option(help="Mean tokens of a prompt.  [default: 1024]")] = None,
    output_tokens: Annotated[float | None, typer.Option(help="Mean tokens of an answer.  [default: 256]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the source of every figure.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print what each model, precision and GPU can serve within a latency, and the power it takes."""
    command = load("controller.study.curves.command")
    command.run(
        command.CurvesOptions(
            profiles=tuple(profiles or ()),
            config=config,
            itl_slo_ms=itl_slo_ms,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            as_json=as_json,
            as_markdown=as_markdown,
        )
    )


@study_app.command()
def fit(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="CSV file of steady-state measurements; the bundled ML.ENERGY rows if none.", show_default=False
        ),
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option(
            help="Compare workload models on this CSV file of requests instead; synthetic names a shipped one."
        ),
    ] = None,
    windows: Annotated[
        str | None,
        typer.Option(
            help="Tell prefill and decode apart in this CSV file of windows instead; emulated is a shipped one."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the covariance of every fit.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Fit power, throughput and time between tokens to measurements, and say how well the fits hold."""
    command = load("controller.study.fit.command")
    command.run(
        command.FitOptions(file=file, workload=workload, windows=windows, as_json=as_json, as_markdown=as_markdown)
    )


@study_app.command(context_settings=PASS_THROUGH)
def profile(context: typer.Context) -> None:
    """Measure the curves of one engine and its GPUs, or compare measured curves."""
    load("controller.profile.cli").run(context.args)


@quality_app.command("table")
def quality_table(
    model: Annotated[str | None, typer.Argument(help="Model to look up, e.g. Llama-3.1-70B; all rows if none.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Show what this configuration makes of it instead.")
    ] = None,
    measured: Annotated[
        list[Path] | None, typer.Option("--measured", help="File of `wattroute quality run` to take in.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print quality losses by model, precision and kind of task, with their sources."""
    command = load("controller.study.quality.table")
    command.run(command.TableOptions(config, model, tuple(measured or ()), as_json, as_markdown))


@quality_app.command("run")
def quality_run(  # noqa: PLR0913 - each is an option of the command
    reference: Annotated[str, typer.Option(help="Address of the pool at the best precision.", show_default=False)],
    candidate: Annotated[str, typer.Option(help="Address of the pool to compare.", show_default=False)],
    model: Annotated[str, typer.Option(help="Name of the model that both serve.", show_default=False)],
    precision: Annotated[Precision, typer.Option(help="The candidate's precision.", show_default=False)],
    tasks: Annotated[str, typer.Option(help="Tasks of lm-eval, separated by commas.")] = "gsm8k,ifeval",
    output: Annotated[Path, typer.Option(help="File for the measured losses.")] = Path("quality.yaml"),
    limit: Annotated[int | None, typer.Option(help="Questions a task; all if none.", min=1)] = None,
    concurrency: Annotated[int, typer.Option(help="Requests at once.", min=1, max=1024)] = 8,
    chat: Annotated[bool, typer.Option("--chat/--text", help="Ask chat or text completions.")] = True,
    model_arg: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for lm-eval's model, repeatable.")] = None,
    include_path: Annotated[Path | None, typer.Option(help="Folder with tasks of your own.")] = None,
    program: Annotated[str, typer.Option(help="The harness.")] = "lm-eval",
) -> None:
    """Measure what a pool loses against another, by lm-eval's harness."""
    command = load("controller.study.quality.run")
    command.run(
        command.RunOptions(
            reference=reference,
            candidate=candidate,
            model=model,
            precision=precision,
            tasks=tasks,
            output=output,
            limit=limit,
            concurrency=concurrency,
            is_chat=chat,
            model_args=tuple(model_arg or ()),
            include_path=include_path,
            program=program,
        )
    )
