"""Make the pictures of the documentation from a running demo: `make images`. Needs chromium on PATH."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).parent
SECONDS = 200
EVENT_PICTURE_S = 150
"""When the picture is taken: within the event, after its ramp."""


def main() -> int:
    """Run the demo, photograph its page, end the demo."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("chromium is not on PATH; install it, e.g. apt-get install chromium\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "controller.cli", "demo", "--headless", "--seconds", str(SECONDS)]
        with subprocess.Popen(
            [*command, "--data-dir", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as demo:
            page = _address_of_page(demo)
            time.sleep(EVENT_PICTURE_S)
            _photograph(chromium, page, folder)
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)
    return 0


def _address_of_page(demo: subprocess.Popen[str]) -> str:
    for line in demo.stdout or ():
        if found := re.search(r"page (http://\S+)", line):
            return found[1]
    raise SystemExit("the demo ended before it told the address of its page")


def _photograph(chromium: str, page: str, folder: str) -> None:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    size = ["--window-size=1400,1000", "--timeout=4000"]
    target = [f"--user-data-dir={folder}/browser", f"--screenshot={FOLDER / 'dashboard.png'}", page]
    subprocess.run([chromium, *flags, *size, *target], check=True, capture_output=True, timeout=90)


if __name__ == "__main__":
    sys.exit(main())
