"""Options of `wattroute profile` on the command line; what they do is in `controller.profile.command`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from controller.errors import ConfigError
from controller.profile import command, compare_command
from controller.profile.compare_command import CompareOptions
from controller.profile.options import ProfileOptions
from controller.profile.steady import MAX_SPREAD_FRAC

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def profile(  # noqa: PLR0913 - a parameter an option
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Address of one engine; with --compare, curves files or built-in profiles."),
    ] = None,
    power: Annotated[
        str | None,
        typer.Option(help="Source of GPU power: nvml, agent=URL, dcgm=URL and others.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="The curves file to write.")] = Path("curves.yaml"),
    gpu_uuid: Annotated[
        list[str] | None,
        typer.Option(help="GPU of the instance or a pattern such as 'GPU-7c*', once for each; all shown if none."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model, where the engine serves several.")] = None,
    precision: Annotated[str | None, typer.Option(help="Precision to note; what the engine says if absent.")] = None,
    gpu: Annotated[str | None, typer.Option(help="GPU type to note; what the engine says if absent.")] = None,
    kernel: Annotated[str | None, typer.Option(help="Kernel, where nothing else tells it.")] = None,
    engine_log: Annotated[Path | None, typer.Option(help="Log of the engine's start, which names the kernel.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the engine's key; else the variable WATTROUTE_API_KEY.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(help="Authorities of the engine's certificate, PEM; those of the system if absent."),
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Page with the plots; beside --out if absent.")] = None,
    cells: Annotated[Path | None, typer.Option(help="File of cells to go on from; beside --out if absent.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over --out and --page.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Few short cells: about a minute.")] = False,
    sleep: Annotated[bool, typer.Option("--sleep", help="Put the engine to sleep once, and measure it.")] = False,
    max_concurrency: Annotated[
        int | None, typer.Option(help="Most requests at once.  [default: 256; 64 if quick]", min=4, max=4096)
    ] = None,
    long_input: Annotated[
        int | None,
        typer.Option(help="Tokens of a long prompt.  [default: 4096; 2048 if quick]", min=128, max=1_000_000),
    ] = None,
    output_tokens: Annotated[
        int | None, typer.Option(help="Tokens of a long answer.  [default: 256; 128 if quick]", max=100_000)
    ] = None,
    window_s: Annotated[
        float | None, typer.Option(help="Length of a cell's window, s.  [default: 20; 3 if quick]", max=3600)
    ] = None,
    max_spread_frac: Annotated[
        float,
        typer.Option(
            help="Spread of throughput within a window that is let pass; of power, half of it.", min=0.01, max=0.5
        ),
    ] = MAX_SPREAD_FRAC,
    sleeping_w: Annotated[float | None, typer.Option(help="Power asleep, where not measured.")] = None,
    off_w: Annotated[float | None, typer.Option(help="Power of the GPUs with the process stopped.")] = None,
    wake_s: Annotated[float | None, typer.Option(help="Time to wake, where not measured.")] = None,
    sleep_s: Annotated[float | None, typer.Option(help="Time to fall asleep, where not measured.")] = None,
    start_s: Annotated[float | None, typer.Option(help="Time of a cold start.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Hold two or more profiles against each other.")] = False,
    input_tokens: Annotated[float, typer.Option(help="With --compare: mean tokens of a prompt.")] = 1024.0,
    answer_tokens: Annotated[float, typer.Option(help="With --compare: mean tokens of an answer.")] = 256.0,
    html_file: Annotated[Path | None, typer.Option("--html", help="With --compare: page to write.")] = None,
) -> None:
    """Measure the curves of one engine and its GPUs, or compare measured curves."""
    if compare:
        raise typer.Exit(
            compare_command.run(CompareOptions(tuple(targets or ()), input_tokens, answer_tokens, html_file))
        )
    if targets is None or len(targets) != 1 or power is None:
        raise ConfigError(
            "what is to be profiled? write: wattroute profile http://HOST:PORT --power dcgm=http://HOST:9400/metrics"
        )
    options = ProfileOptions(
        url=targets[0],
        power=power,
        out=out,
        gpu_uuids=tuple(gpu_uuid or ()),
        model=model,
        precision=precision,
        gpu=gpu,
        kernel=kernel,
        engine_log=engine_log,
        api_key_file=api_key_file,
        ca_file=ca_file,
        page=page,
        cells=cells,
        overwrite=overwrite,
        quick=quick,
        sleep=sleep,
        max_concurrency=max_concurrency,
        long_input=long_input,
        output_tokens=output_tokens,
        window_s=window_s,
        max_spread_frac=max_spread_frac,
        sleeping_w=sleeping_w,
        off_w=off_w,
        wake_s=wake_s,
        sleep_s=sleep_s,
        start_s=start_s,
    )
    raise typer.Exit(command.run(options))


def run(arguments: Sequence[str]) -> None:
    """Read the command line and do as it says.

    Raises:
        ConfigError: an option is wrong.
        ProfileError: the instance cannot be profiled as it stands.
    """
    app(list(arguments), prog_name="wattroute profile")
