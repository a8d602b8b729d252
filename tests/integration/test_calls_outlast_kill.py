"""A controller's book of calls in a process of its own that is killed (SIGKILL) while calls come in."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from controller.model.call import Asked
from controller.signals.calls import CallBook
from controller.store.ledger import Ledger

TAKES_CALLS = """
import sys, time
from pathlib import Path
from controller.model.call import Asked, Call, CallInterval, Commitment
from controller.model.programme import Programme
from controller.signals.calls import CallBook
from controller.signals.references import References
from controller.store.ledger import Ledger

references = References()
references.take(time.time(), 20_000.0)
terms = {"operator": Programme("operator", changes_per_min=100_000)}
book = CallBook(Ledger(Path(sys.argv[1])), terms, references)
for n in range(250):
    now_s = time.time()
    asked = CallInterval(now_s, now_s + 3600, Commitment(Asked.BELOW_BASELINE_FRAC, 0.25))
    book.submit(Call(f"c{n}", "operator", "operator", now_s, now_s, (asked,)), now_s)
    (event,) = [event for event in book.current(now_s) if event.event_id == f"c{n}"]
    if n % 5 == 4:
        book.cancel("operator", f"c{n}", now_s)
    print(n, event.limit_w, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_no_accepted_call_is_lost_to_a_kill(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "ledger.sqlite"
    arguments = [sys.executable, "-c", TAKES_CALLS, str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().split() for _ in range(acknowledged)]
        process.kill()
        told += [line.split() for line in process.stdout.read().splitlines() if len(line.split()) == 2]
    ledger = Ledger(path)
    try:
        ledger.verify()
        book = CallBook(ledger)
        now_s = time.time()
        book.restore((record.payload for record in ledger.records("call")), now_s)
        views = {view.call.call_id: view for view in book.calls(now_s)}
        in_force = {event.event_id: event.limit_w for event in book.current(now_s)}
    finally:
        ledger.close()
    for number, limit_w in told:
        view = views[f"c{number}"]
        assert view.call.intervals[0].commitment.asked is Asked.BELOW_BASELINE_FRAC
        if int(number) % 5 == 4:
            assert f"c{number}" not in in_force
        else:
            assert in_force[f"c{number}"] == float(limit_w)
    assert len(views) - len(told) in (0, 1)
