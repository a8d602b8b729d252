"""`wattroute quality run` with a stand-in for lm-eval's program, and with the real one where it is installed."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import yaml
from rich.console import Console

from controller.errors import ConfigError
from controller.quality.table import Task, look_up
from controller.service.quality_losses import load_rows
from controller.study.quality.run import RunOptions, command_of, run
from router.contract import Precision
from tests.fakes.emulated import MODEL, emulated, instance
from tests.fakes.system import ROOT

REFERENCE, CANDIDATE = "http://10.0.0.1:8000", "http://10.0.0.2:8000/"
SCORES = {
    "http://10.0.0.1:8000/v1/chat/completions": {"gsm8k": [0.80, 0.012], "ifeval": [0.7, 0.02]},
    "http://10.0.0.2:8000/v1/chat/completions": {"gsm8k": [0.78, 0.013], "ifeval": [0.71, 0.02]},
}


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    program = tmp_path / "lm-eval"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/fakes/lm_eval_cli.py "$@"\n')
    program.chmod(0o755)
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps(SCORES))
    monkeypatch.setenv("FAKE_LM_EVAL", str(scores))
    return RunOptions(
        REFERENCE, CANDIDATE, "Qwen/Qwen3-32B", Precision.FP8, "gsm8k,ifeval", tmp_path / "q.yaml", program=str(program)
    )


def test_both_pools_are_measured_and_the_table_reads_the_file(options: RunOptions) -> None:
    console = Console(file=io.StringIO(), width=200)
    run(options, console)
    document = yaml.safe_load(options.output.read_text())
    assert document["harness"] == "lm-eval 0.4.13"
    first = document["tasks"][0]
    assert (first["task"], first["kind"], first["questions"]) == ("gsm8k", "mathematics", 1000)
    assert first["loss_frac"] == pytest.approx(0.02)
    assert first["low_frac"] < 0.02 < first["high_frac"]
    rows = load_rows((options.output,))
    found = look_up(rows, "Qwen3-32B", Precision.FP8, Task.MATHEMATICS)
    assert found is not None
    assert (found.loss_frac, found.how) == (pytest.approx(0.02), "measured")
    chat = look_up(rows, "Qwen3-32B", Precision.FP8, Task.CHAT)
    assert chat is not None
    assert chat.loss_frac == 0.0  # scored higher
    assert isinstance(console.file, io.StringIO)
    assert "gsm8k" in console.file.getvalue()


def test_text_completions_and_further_arguments_are_passed_on(options: RunOptions, tmp_path: Path) -> None:
    changed = replace(options, is_chat=False, limit=20, model_args=("tokenizer_backend=remote",), include_path=tmp_path)
    words = command_of(changed, "lm-eval", REFERENCE, tmp_path)
    arguments = words[words.index("--model_args") + 1].split(",")
    assert words[words.index("--model") + 1] == "local-completions"
    assert "base_url=http://10.0.0.1:8000/v1/completions" in arguments
    assert arguments.count("tokenizer_backend=remote") == 1
    assert "tokenizer_backend=None" not in arguments
    assert words[words.index("--limit") + 1] == "20"
    assert "--apply_chat_template" not in words


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reference": "10.0.0.1"}, "--reference"),
        ({"tasks": "gsm8k;rm"}, "--tasks"),
        ({"output": Path("/absent/q.yaml")}, "folder"),
        ({"program": "no-such-harness"}, "pip install"),
        ({"candidate": "http://10.0.0.9"}, "status 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(options: RunOptions, changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        run(replace(options, **changes))  # type: ignore[arg-type]
    assert not options.output.exists()


REAL = os.environ.get("LM_EVAL") or shutil.which("lm-eval")


@pytest.mark.skipif(REAL is None, reason="lm-eval is not installed; it is optional, and no dependency of ours")
async def test_the_real_harness_finds_the_emulated_disagreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    lower = replace(instance("fp8-0"), precision="fp8", disagreement_frac=0.3)
    async with emulated(instance("bf16-0"), lower) as emulator, aiohttp.ClientSession() as session:
        reference, candidate = (f"http://127.0.0.1:{emulator.ports[name]}" for name in ("bf16-0", "fp8-0"))
        questions = []
        for n in range(80):
            message = {"role": "user", "content": f"question {n}"}
            body = {"messages": [message], "temperature": 0, "max_tokens": 16}
            async with session.post(f"{reference}/v1/chat/completions", json=body) as response:
                answer = (await response.json())["choices"][0]["message"]["content"].strip()
            questions.append({"question": message["content"], "answer": answer})
        data = tmp_path / "q.jsonl"
        data.write_text("\n".join(json.dumps(question) for question in questions))
        task = {
            "task": "own", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test", "output_type": "generate_until", "doc_to_text": "{{question}}",
            "doc_to_target": "{{answer}}", "metric_list": [{"metric": "exact_match", "higher_is_better": True}],
            "generation_kwargs": {"until": ["###"], "temperature": 0.0, "max_gen_toks": 16},
            "filter_list": [{"name": "bare", "filter": [
                {"function": "regex", "regex_pattern": r"^\s*(.*\S)"}, {"function": "take_first"}]}],
        }  # fmt: skip
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(task))
        options = RunOptions(
            reference, candidate, MODEL, Precision.FP8, "own", tmp_path / "out.yaml", include_path=tmp_path,
            program=str(REAL),
        )  # fmt: skip
        await asyncio.to_thread(run, options, Console(file=io.StringIO()))
    (found,) = yaml.safe_load(options.output.read_text())["tasks"]
    assert found["questions"] == 80
    assert found["reference_score"] >= 0.9
    assert 0.1 <= found["loss_frac"] <= 0.5
