"""Fuzz the readers of what others send: ``python -m tests.fuzz.run [TARGET] [libFuzzer's options]``.

Without a target each of them runs in turn, for a minute each where no -max_total_time is given. What was learnt stays
in ``.fuzz/corpus``, inputs that break something are left in ``.fuzz`` and belong into tests/fuzz/found.py.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["router.http1", "controller.signals.feeds", "controller.openadr"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.seeds import seeds

FOLDER = Path(".fuzz")
MOST_BYTES = 4096
WORDS = (
    *("Content-Length", "Transfer-Encoding", "Connection", "Host", "Expect", "Upgrade", "X-Request-Id", "traceparent"),
    *("Authorization: ", "x-api-key: ", "Bearer "),
    *("chunked", "identity", "close", "keep-alive", "100-continue", "HTTP/1.1", "HTTP/1.0", "POST ", "GET ", "HEAD "),
    *("\\x0d\\x0a", "\\x0d\\x0a\\x0d\\x0a", ": ", "0\\x0d\\x0a\\x0d\\x0a", "\\x0d\\x0aContent-Length: 5"),
)
"""What messages are made of, in the notation of libFuzzer's dictionaries."""
DEFAULT_SECONDS = 60


def fuzz(target: str, options: list[str]) -> None:
    """Run one target until libFuzzer ends the process."""
    corpus = FOLDER / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = FOLDER / "words"
    words.write_text("".join(f'"{word}"\n' for word in WORDS))
    given = [
        f"-max_total_time={DEFAULT_SECONDS}",
        f"-max_len={MOST_BYTES}",
        f"-artifact_prefix={FOLDER}/{target}-",
        f"-dict={words}",
    ]
    atheris.Setup([sys.argv[0], str(corpus), *given, *options], TARGETS[target])
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Fuzz the target named, or all."""
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(f"{__doc__}Targets: {', '.join(TARGETS)}.\n")
        return 0
    if arguments and arguments[0] in TARGETS:
        fuzz(arguments[0], arguments[1:])
        return 0
    for target in TARGETS:
        code = subprocess.call([sys.executable, "-m", "tests.fuzz.run", target, *arguments])
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
