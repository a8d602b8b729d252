"""Stands for the program `lm-eval` 0.4.13: the options that we give it and the results file that it writes.

Scores come from a JSON file named in the environment, by the address asked: {BASE_URL: {TASK: [VALUE, STDERR]}}.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    run = parser.add_subparsers(dest="command", required=True).add_parser("run")
    run.add_argument("--model", required=True, choices=["local-completions", "local-chat-completions"])
    for name in ("--model_args", "--tasks", "--output_path"):
        run.add_argument(name, required=True)
    run.add_argument("--batch_size", default="1")
    run.add_argument("--limit", type=float)
    run.add_argument("--include_path")
    run.add_argument("--apply_chat_template", action="store_true")
    args = parser.parse_args()
    if args.model == "local-chat-completions" and not args.apply_chat_template:
        sys.stderr.write("chat models need --apply_chat_template\n")
        return 1
    arguments = dict(part.split("=", 1) for part in args.model_args.split(","))
    scores = json.loads(Path(os.environ["FAKE_LM_EVAL"]).read_text()).get(arguments["base_url"])
    if scores is None:
        sys.stderr.write(f"cannot connect to {arguments['base_url']}\n")
        return 1
    metrics = {"gsm8k": "exact_match,strict-match", "ifeval": "prompt_level_strict_acc,none"}
    results, counts = {}, {}
    for task in args.tasks.split(","):
        metric, _, filter_ = metrics.get(task, "acc,none").partition(",")
        value, stderr = scores[task]
        results[task] = {
            "name": task,
            "alias": task,
            f"{metric},{filter_}": value,
            f"{metric}_stderr,{filter_}": stderr,
        }
        counts[task] = {"original": 1000, "effective": int(args.limit or 1000)}
    folder = Path(args.output_path) / arguments["model"].replace("/", "__")
    folder.mkdir(parents=True)
    document = {"results": results, "n-samples": counts, "lm_eval_version": "0.4.13", "config": {"model": args.model}}
    (folder / "results_2026-01-01T00-00-00.json").write_text(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
