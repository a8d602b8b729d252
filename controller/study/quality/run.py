"""`wattroute quality run`: what a pool's precision costs, measured by lm-eval's harness against two pools.

The harness runs as a program of its own, so that neither it nor what it needs is a dependency of ours. Both pools are
asked through their OpenAI addresses, one after the other, with the same tasks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from rich.console import Console

from controller.errors import ConfigError
from controller.quality.measured import KIND, TaskLoss, compare, kind_of, read_scores
from controller.study.command import on_screen, standard_screen
from controller.study.tables import Cell, Column, Table
from router.contract import Precision

PROGRAM = "lm-eval"
INSTALL = "pip install 'lm-eval[api]'"
MAX_RESULTS_BYTES = 64 << 20
_TASKS = re.compile(r"[A-Za-z0-9_.\-/]+(,[A-Za-z0-9_.\-/]+)*")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of `wattroute quality run`.

    Attributes:
        reference, candidate: addresses of OpenAI-compatible servers, such as http://HOST:PORT.
        model: name that both serve; it is also the table's.
        precision: of the candidate.
        tasks: of the harness, separated by commas.
        output: where the measured rows are written, YAML.
        limit: questions a task, None for all.
        concurrency: requests at once.
        is_chat: ask /v1/chat/completions, else /v1/completions.
        model_args: further arguments of the harness's model, such as a tokenizer's name.
        include_path: folder with tasks of one's own.
        program: the harness.
    """

    reference: str
    candidate: str
    model: str
    precision: Precision
    tasks: str
    output: Path
    limit: int | None = None
    concurrency: int = 8
    is_chat: bool = True
    model_args: tuple[str, ...] = ()
    include_path: Path | None = None
    program: str = PROGRAM


def run(options: RunOptions, console: Console | None = None) -> None:
    """Measure, write the file and print what was found.

    Raises:
        ConfigError: an option is wrong, the harness is not installed or fails, or it gave no scores.
    """
    program = _check(options)
    reference = _scores(options, program, options.reference)
    candidate = _scores(options, program, options.candidate)
    losses = compare(read_scores(reference), read_scores(candidate))
    document = document_of(options, losses, str(candidate.get("lm_eval_version") or "unknown"), datetime.now(UTC))
    try:
        options.output.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), "utf-8")
    except OSError as error:
        raise ConfigError(f"--output {options.output}: cannot be written: {error.strerror}") from error
    screen = console or standard_screen(200)
    table = table_of(options, losses)
    screen.print(on_screen(table))
    screen.print(table.note, style="dim", markup=False, highlight=False)


def command_of(options: RunOptions, program: str, url: str, folder: Path) -> list[str]:
    """The harness's command line for one pool (lm-eval 0.4.9 and later)."""
    path, kind = (
        ("chat/completions", "local-chat-completions") if options.is_chat else ("completions", "local-completions")
    )
    arguments = [
        f"model={options.model}",
        f"base_url={url.rstrip('/')}/v1/{path}",
        f"num_concurrent={options.concurrency}",
        *([] if any(arg.startswith("tokenizer") for arg in options.model_args) else ["tokenizer_backend=None"]),
        *(
            []
            if any(arg.startswith("tokenized_requests") for arg in options.model_args)
            else ["tokenized_requests=False"]
        ),
        *options.model_args,
    ]
    command = [program, "run", "--model", kind, "--model_args", ",".join(arguments), "--tasks", options.tasks]
    command += ["--batch_size", "1", "--output_path", str(folder)]
    command += ["--apply_chat_template"] if options.is_chat else []
    command += [] if options.limit is None else ["--limit", str(options.limit)]
    return command + ([] if options.include_path is None else ["--include_path", str(options.include_path)])


def document_of(options: RunOptions, losses: tuple[TaskLoss, ...], version: str, now: datetime) -> dict[str, Any]:
    """The measured file."""
    return {
        "kind": KIND,
        "model": options.model,
        "precision": options.precision.value,
        "reference": options.reference,
        "candidate": options.candidate,
        "date": now.strftime("%Y-%m-%d"),
        "harness": f"lm-eval {version}",
        "limit": options.limit,
        "tasks": [_entry(loss) for loss in losses],
    }


def _entry(loss: TaskLoss) -> dict[str, Any]:
    def figure(value: float | None) -> float | None:
        return None if value is None else round(value, 6)

    return {
        "task": loss.reference.task,
        "kind": kind_of(loss.reference.task).value,
        "metric": loss.reference.metric,
        "questions": loss.reference.samples,
        "reference_score": figure(loss.reference.value),
        "reference_stderr": figure(loss.reference.stderr),
        "candidate_score": figure(loss.candidate.value),
        "candidate_stderr": figure(loss.candidate.stderr),
        "loss_frac": figure(loss.loss_frac),
        "low_frac": figure(loss.low_frac),
        "high_frac": figure(loss.high_frac),
    }


def table_of(options: RunOptions, losses: tuple[TaskLoss, ...]) -> Table:
    """What was found, for the screen."""
    columns = (
        Column("task"), Column("kind"), Column("metric"), Column("questions"), Column("reference", 2, percent=True),
        Column("candidate", 2, percent=True), Column("loss", 2, percent=True, signed=True),
        Column("low", 2, percent=True, signed=True), Column("high", 2, percent=True, signed=True),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            loss.reference.task, kind_of(loss.reference.task).value, loss.reference.metric, loss.reference.samples,
            loss.reference.value, loss.candidate.value, loss.loss_frac, loss.low_frac, loss.high_frac,
        )
        for loss in losses
    ]  # fmt: skip
    note = (
        "low and high: 95 % of the loss, taking both scores as independent. Written to "
        f"{options.output}; name it in quality.measured to plan with it."
    )
    return Table(f"{options.model} at {options.precision.value} beside the reference", columns, tuple(rows), note)


def _check(options: RunOptions) -> str:
    """Where the harness is; options are looked at before hours of work."""
    for name, url in (("--reference", options.reference), ("--candidate", options.candidate)):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{name} {url!r}: not an address; write http://HOST:PORT")
    if not _TASKS.fullmatch(options.tasks):
        raise ConfigError(
            f"--tasks {options.tasks!r}: write names of lm-eval's tasks with commas, such as gsm8k,ifeval"
        )
    if not options.output.absolute().parent.is_dir():
        raise ConfigError(f"--output {options.output}: its folder does not exist")
    program = shutil.which(options.program)
    if program is None:
        raise ConfigError(
            f"{options.program} is not installed; run: {INSTALL}, in an environment of its own if you like, and give "
            "its place by --program"
        )
    return program


def _scores(options: RunOptions, program: str, url: str) -> dict[str, Any]:
    """The results that the harness writes for one pool."""
    with tempfile.TemporaryDirectory(prefix="wattroute-quality-") as name:
        folder = Path(name)
        command = command_of(options, program, url, folder)
        # Its model refuses to start without a key, even where the server asks for none.
        environment = {"OPENAI_API_KEY": "none", **os.environ}
        status = subprocess.run(command, env=environment, check=False).returncode
        if status != 0:
            raise ConfigError(f"{options.program} ended with status {status} for {url}; see what it says above")
        files = sorted(folder.rglob("results_*.json"))
        if not files or files[-1].stat().st_size > MAX_RESULTS_BYTES:
            raise ConfigError(f"{options.program} left no results for {url}; see what it says above")
        try:
            document = json.loads(files[-1].read_text("utf-8"))
        except ValueError as error:
            raise ConfigError(f"{options.program}: its results are not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{options.program}: its results are no JSON object")
    return document
