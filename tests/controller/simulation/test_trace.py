from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.simulation.trace import Arrival, Slice, read_trace, replayed

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


@pytest.fixture
def short(tmp_path: Path) -> Path:
    rows = "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.6805900,396,109\n2023-11-16 18:15:56.6805900,8,5\n"
    return write(tmp_path, HEADER + rows)


def test_reads_the_bundled_hour() -> None:
    trace = read_trace()
    assert len(trace.arrivals) == 19_366
    assert trace.clock_start.isoformat() == "2023-11-16T18:15:46.680590+00:00"
    assert trace.arrivals[0] == Arrival(0.0, 374, 44)
    assert 3500 < trace.duration_s < 3600


def test_a_slice_is_sped_up_and_counted_from_its_own_start(short: Path) -> None:
    chosen = replayed(read_trace(short), Slice(start_s=2.0, duration_s=4.5, speed=2.0))
    assert chosen == (Arrival(1.0, 396, 109), Arrival(4.0, 8, 5))


def test_a_trace_that_ends_early_begins_anew(short: Path) -> None:
    chosen = replayed(read_trace(short), Slice(start_s=4.0, duration_s=16.0, speed=1.0))
    # The lap is one second longer than the ten seconds of the trace.
    assert [arrival.time_s for arrival in chosen] == [0.0, 6.0, 7.0, 11.0]
    assert [arrival.output_tokens for arrival in chosen] == [109, 5, 44, 109]


def test_a_slice_never_reaches_its_end(short: Path) -> None:
    assert all(arrival.time_s < 4.0 for arrival in replayed(read_trace(short), Slice(0.0, 4.0, 1.0)))
    assert len(replayed(read_trace(short), Slice(0.0, 4.0, 1.0))) == 1


@pytest.mark.parametrize("start_s", [-1.0, 10.5])
def test_a_slice_outside_the_trace_is_refused(short: Path, start_s: float) -> None:
    with pytest.raises(ConfigError, match=r"cannot start at .* lasts 10 s; choose a start within it"):
        replayed(read_trace(short), Slice(start_s, 10.0, 1.0))


def test_a_missing_file_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.csv: no such trace file; restore the file") as caught:
        read_trace(tmp_path / "nowhere.csv")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"trace\.csv:1: the columns are ''"),
        ("time,in,out\n", r"trace\.csv:1: the columns are 'time,in,out'"),
        (HEADER, r"trace\.csv: the trace holds no request"),
        (HEADER + "2023-11-16 18:15:46.68,374\n", r"trace\.csv:2: 2 values, 3 are expected"),
        (HEADER + "2023-11-16 18:15:46.68,374,44\nyesterday,1,1\n", r"trace\.csv:3: TIMESTAMP: 'yesterday'"),
        (HEADER + "2023-11-16 18:15:46.68,many,44\n", r"trace\.csv:2: ContextTokens: 'many'"),
        (HEADER + "2023-11-16 18:15:46.68,374,0\n", r"trace\.csv:2: GeneratedTokens: '0' is not a positive"),
        (HEADER + "2023-11-16 18:15:46.68,3,4\n2023-11-16 18:15:40.68,3,4\n", r"trace\.csv:3: arrives before"),
    ],
)
def test_a_malformed_file_is_told_by_line_and_value(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_trace(write(tmp_path, text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(path)
