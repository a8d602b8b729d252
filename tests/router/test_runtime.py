import gc
import logging
import resource
import subprocess
import sys

import pytest

from router.runtime import calm_collector, raise_file_limit

SCRIPT = """
import resource, sys
from router.runtime import raise_file_limit
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
given = raise_file_limit(1000)
soft, now = resource.getrlimit(resource.RLIMIT_NOFILE)
sys.exit(0 if soft == given > 256 and now == hard else 1)
"""


def test_the_soft_limit_is_raised_and_the_hard_one_kept() -> None:
    assert subprocess.run([sys.executable, "-c", SCRIPT], check=False).returncode == 0


def test_too_few_files_for_the_connections_allowed_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with caplog.at_level(logging.WARNING):
        assert raise_file_limit(1000) == 4096
        assert not caplog.records
        assert raise_file_limit(20_000) == 4096
    assert "open files are limited" in caplog.text


INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "then"),
    [
        (1024, INFINITE, 10_000, 20_128),
        (1_048_576, INFINITE, 10_000, 1_048_576),
        (INFINITE, INFINITE, 10_000, INFINITE),
        (4096, 4096, 1_000, 4096),
    ],
)
def test_the_soft_limit_is_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, connections: int, then: int
) -> None:
    held = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: held[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: held.append(limits))
    assert raise_file_limit(connections) == then
    assert held[-1] == (then, hard)


def test_the_collector_leaves_what_there_is_alone() -> None:
    before = gc.get_threshold()
    try:
        calm_collector()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > before[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
