"""A program that takes the words of `vllm serve`, answers /health, and fails as its environment says. No vLLM.

FAKE_VLLM names what it does: crash (ends at once with 3), deaf (heeds no SIGTERM), ill (never healthy), child (leaves a
process of its session behind), chatty (writes much). Several are parted by commas. FAKE_VLLM_WHEN names a file: only
while it is there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SHOWN = ("CUDA_VISIBLE_DEVICES", "VLLM_SERVER_DEV_MODE", "VLLM_API_KEY", "REDIS_PASSWORD", "EXTRA")


def write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    options, _ = parser.parse_known_args()
    when = os.environ.get("FAKE_VLLM_WHEN")
    faults = os.environ.get("FAKE_VLLM", "").split(",") if when is None or Path(when).exists() else []
    write("fake engine begins")
    if "crash" in faults:
        write("CUDA error: out of memory")
        sys.exit(3)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in faults else lambda *_: os._exit(0))
    child = subprocess.Popen(["sleep", "600"]) if "child" in faults else None
    told = {
        "argv": sys.argv[1:],
        "env": {name: os.environ.get(name) for name in SHOWN},
        "child": None if child is None else child.pid,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "chatty" in faults:
                write("x" * 1000)
            self.send_response(503 if "ill" in faults and self.path == "/health" else 200)
            body = json.dumps(told).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer.allow_reuse_address = True
    ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
