"""The operator's command line: `wattroute` and `wattroute-controller`.

Each command imports what it runs only when called, so that `wattroute router` works in the bare install, which lacks
the controller's dependencies.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from controller import event_cli
from controller.agent.options import AgentOptions
from controller.clock import SystemClock
from controller.errors import ConfigError, ControllerError
from router import logs
from router.contract import Precision

Config = Annotated[Path, typer.Option("--config", help="Configuration file.", show_default=False)]
LogLevel = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]

app = typer.Typer(
    name="wattroute",
    help="Power-aware request routing for LLM pools that serve one model at several precisions.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
quality_app = typer.Typer(
    name="quality", help="What precisions cost in quality.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(quality_app)
_PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    if version:
        typer.echo(f"wattroute {importlib.metadata.version('wattroute')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
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
    demo_module = _import("controller.demo.run")
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


@app.command()
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
    command = _import("controller.study.command")
    if list_shipped:
        command.show_list()
        return
    if scenario is None:
        raise ConfigError(
            "which scenario? write: wattroute simulate SCENARIO; wattroute simulate --list names the shipped ones"
        )
    raise typer.Exit(command.run(command.SimulateOptions(scenario, json_file, html_file, jobs, parts, keep)))


@app.command()
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
    command = _import("controller.study.curves.command")
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


@app.command()
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
    command = _import("controller.study.fit.command")
    command.run(
        command.FitOptions(file=file, workload=workload, windows=windows, as_json=as_json, as_markdown=as_markdown)
    )


@app.command(context_settings=_PASS_THROUGH)
def profile(context: typer.Context) -> None:
    """Measure the curves of one engine and its GPUs, or compare measured curves."""
    _import("controller.profile.cli").run(context.args)


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
    command = _import("controller.study.quality.table")
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
    command = _import("controller.study.quality.run")
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


@app.command(context_settings=_PASS_THROUGH)
def router(context: typer.Context) -> None:
    """Run the router; the same as wattroute-router, with its options."""
    os.execv(sys.executable, [sys.executable, "-m", "router.cli", *context.args])


@app.command()
def controller(config: Config, log_level: LogLevel = "info") -> None:
    """Run the controller with its API and dashboard."""
    _log_to_stderr(log_level)
    _import("controller.service").controller(_import("controller.settings.file").load(config))


@app.command()
def emulate(config: Config, log_level: LogLevel = "info") -> None:
    """Run emulated engines and GPUs at the addresses of the configured instances."""
    _log_to_stderr(log_level)
    _import("controller.service").emulator(_import("controller.settings.file").load(config))


@app.command()
def agent(
    host: Annotated[str, typer.Option(help="Address to listen on; other than this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 9410,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that readers send; or WATTROUTE_AGENT_TOKEN.")
    ] = None,
    interval: Annotated[float, typer.Option(help="Seconds from one reading to the next.", min=0.2, max=1.0)] = 0.2,
    tls_dir: Annotated[Path | None, typer.Option(help="Folder with tls.crt and tls.key: serve HTTPS.")] = None,
    dcgm_names: Annotated[
        bool, typer.Option("--dcgm-names", help="Serve dcgm-exporter's metric names too, where none runs.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read for three seconds, show every GPU, and end; 1 if one is not read.")
    ] = False,
    log_level: LogLevel = "info",
) -> None:
    """Read this machine's GPU power by NVML and serve it to a controller elsewhere."""
    _log_to_stderr(log_level)
    if check:
        looking = _import("controller.agent.check")
        snapshot = asyncio.run(looking.look(SystemClock(), interval))
        typer.echo(looking.told(snapshot))
        raise typer.Exit(0 if looking.is_well(snapshot) else 1)
    options = AgentOptions(
        host=host,
        port=port,
        token_file=token_file,
        interval_s=interval,
        tls_dir=tls_dir,
        dcgm_names=dcgm_names,
    )
    _import("controller.agent.run").run(options, os.environ)


@app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(help="Configuration file.", show_default=False)] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The same, as an option.")] = None,
) -> None:
    """Check a configuration file and say what is wrong with it."""
    path = file or config
    if path is None:
        raise ConfigError("which file? write: wattroute validate FILE")
    settings = _import("controller.settings.file").load(path)
    if settings.plan.pools:
        _import("controller.compose").build_site(settings)
    typer.echo(f"{path}: ok: {len(settings.pools)} pools, {len(settings.classes)} classes")


@app.command()
def power(
    config: Config,
    seconds: Annotated[float, typer.Option(help="How long to read, in seconds.", min=0, max=3600)] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every GPU.")] = False,
) -> None:
    """Read every configured source of power and say what each shows, who disagrees, and which GPUs nobody shows."""
    _log_to_stderr("error")
    settings = _import("controller.settings.file").load(config)
    raise typer.Exit(_import("controller.power_command").run(settings, seconds=seconds, as_json=as_json))


@app.command(context_settings=_PASS_THROUGH)
def meter(context: typer.Context) -> None:
    """Import, export and show what the site drew, as it is kept; the commands are told by --help."""
    _import("controller.meter_cli").meter_app(args=context.args, prog_name="wattroute meter", standalone_mode=False)


@app.command()
def feeds(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every interval.")] = False,
) -> None:
    """Ask every configured feed of price and carbon once and say what each knows."""
    _log_to_stderr("error")
    settings = _import("controller.settings.file").load(config)
    raise typer.Exit(_import("controller.feed_command").run(settings, as_json=as_json))


@app.command(context_settings=_PASS_THROUGH)
def ledger(context: typer.Context) -> None:
    """Check the records, list the events in them, extract one; the commands are told by --help."""
    code = _import("controller.ledger_cli").ledger_app(
        args=context.args, prog_name="wattroute ledger", standalone_mode=False
    )
    raise typer.Exit(code or 0)


@app.command()
def report(
    event: Annotated[str, typer.Argument(help="Event, as `wattroute ledger list` names it.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file, whose records are meant.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file of evidence itself, such as a copy.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write; report-EVENT if none.")] = None,
) -> None:
    """Write what an event was asked, measured and delivered as HTML, CSV and JSON, from checked records."""
    command = _import("controller.report.command")
    raise typer.Exit(command.run(command.ReportOptions(event, config, file, out)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    settings = _import("controller.settings.file")
    typer.echo(json.dumps(settings.Settings.model_json_schema(), indent=2, sort_keys=True))


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the controller's HTTP API."""
    typer.echo(json.dumps(_import("controller.dashboard.openapi").document(), indent=2, sort_keys=True))


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("controller", "router"):
            raise
        raise ConfigError(
            f"this command needs the package {error.name!r}, which the bare install leaves out; "
            "run: pip install 'wattroute[controller]'"
        ) from error


event_cli.add_to(app, _import)


def main() -> None:
    """Entry point of `wattroute`."""
    _run(app, sys.argv[1:])


def controller_main() -> None:
    """Entry point of `wattroute-controller`: the command `wattroute controller`."""
    _run(app, ["controller", *sys.argv[1:]])


def _run(command: Callable[..., Any], arguments: list[str]) -> None:
    try:
        command(arguments)
    except ControllerError as error:
        typer.echo(f"wattroute: {error}", err=True)
        sys.exit(error.exit_code)


def _log_to_stderr(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigError(f"--log-level {level!r} is not one of debug, info, warning, error")
    logs.to_stderr(number)


if __name__ == "__main__":
    main()
