import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.agent_sample import (
    MAX_GPUS,
    MAX_SAMPLE_BYTES,
    ClockDifference,
    GpuSample,
    Sample,
    decode,
    encode,
    encode_event,
)

T = 1_763_750_000.0
READING = Reading(412.5, 8_812_345.1, T, "nvml energy counter", Quality.DIRECT)
LOST = Missing("nvml", "GPU is lost", T - 1000)


def sample(*readings, **fields):
    gpus = tuple(GpuSample(f"GPU-{n}", "NVIDIA H100", reading) for n, reading in enumerate(readings))
    return Sample("node-1", "b1", 42, T + 0.25, 0.2, gpus, **fields)


def test_a_sample_comes_back_as_it_was_sent():
    sent = sample(READING, LOST, driver="580.95.05", error="the driver is not loaded")
    assert decode(encode(sent)) == sent
    assert decode(encode(sent).decode()) == sent


def test_an_event_is_one_that_any_client_of_server_sent_events_reads():
    head, event, data, *rest = encode_event(sample(READING)).decode().split("\n")
    assert (head, event, rest) == ("id: 42", "event: power", ["", ""])
    assert decode(data.removeprefix("data: ")) == sample(READING)


def test_what_is_not_there_is_left_out_of_the_object():
    first, second = json.loads(encode(sample(READING, LOST)))["gpus"]
    assert set(first) == {"uuid", "name", "power_w", "energy_j", "observed_at_s", "source", "quality"}
    assert set(second) == {"uuid", "name", "missing", "since_s", "source"}


@pytest.mark.parametrize("skew_s", [0.0, -3600.0, 86_400.0])
def test_a_client_whose_clock_differs_sees_the_same_age(skew_s):
    arrived_at_s = T + 0.25 + skew_s
    (_, reading), (_, missing) = sample(READING, LOST).seen_at(arrived_at_s)
    assert arrived_at_s - reading.observed_at_s == pytest.approx(0.25)
    assert arrived_at_s - missing.since_s == pytest.approx(1000.25)
    assert (reading.value_w, reading.energy_j) == (READING.value_w, READING.energy_j)


def test_a_sample_that_was_held_up_on_the_way_is_older():
    difference, skew_s = ClockDifference(), -3600.0
    for delay_s in (0.2, 0.1, 0.3):
        difference.take(sample(READING), T + 0.25 + skew_s + delay_s)
    arrived_at_s = T + 0.25 + skew_s + 9.1
    late = sample(READING).seen_at(arrived_at_s, difference.take(sample(READING), arrived_at_s))
    assert arrived_at_s - dict(late)["GPU-0"].observed_at_s == pytest.approx(0.25 + 9.0)


def test_an_agent_whose_clock_was_set_is_followed_within_the_samples_remembered():
    difference = ClockDifference(samples=3)
    assert difference.take(sample(READING), T) == pytest.approx(-0.25)
    assert difference.take(sample(READING), T - 100) == pytest.approx(-100.25)  # set forward: at once
    assert [difference.take(sample(READING), T) for _ in range(3)] == pytest.approx([-100.25, -100.25, -0.25])


def test_fields_of_a_later_agent_are_left_out():
    document = json.loads(encode(sample(READING)))
    document["humidity_frac"] = 0.4
    document["gpus"][0]["temperature_c"] = 61
    assert decode(json.dumps(document)) == sample(READING)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": 2}, "version 2"),
        ({"sequence": "x"}, "sequence"),
        ({"node": None}, "node"),
        ({"gpus": [{"uuid": "GPU-0", "source": "s", "power_w": 3.0}]}, "neither missing nor"),
        ({"gpus": [{"uuid": "GPU-0", "source": "s", "missing": "lost"}]}, "since when"),
        ({"gpus": [{"uuid": "G", "source": "s"}] * (MAX_GPUS + 1)}, f"{MAX_GPUS} are allowed"),
    ],
)
def test_a_sample_that_cannot_be_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        decode(json.dumps(json.loads(encode(sample(READING))) | change))


@pytest.mark.parametrize(("field", "value"), [("power_w", -1), ("energy_j", -1), ("quality", "guess")])
def test_a_reading_that_cannot_be_is_refused(field, value):
    document = json.loads(encode(sample(READING)))
    document["gpus"][0][field] = value
    with pytest.raises(ValueError, match=field if field != "quality" else "guess"):
        decode(json.dumps(document))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"NaN", b"\xff", b'{"version": NaN}'])
def test_data_that_is_no_sample_is_refused(data):
    with pytest.raises(ValueError, match="no sample"):
        decode(data)


def test_data_that_is_too_long_is_not_read():
    with pytest.raises(ValueError, match="allowed"):
        decode(b" " * (MAX_SAMPLE_BYTES + 1))


def test_long_texts_and_many_gpus_are_cut_so_that_the_sample_stays_readable():
    sent = encode(sample(*[Missing("s" * 999, "r" * 999, T)] * (MAX_GPUS + 9), error="e" * 9999))
    received = decode(sent)
    assert len(received.gpus) == MAX_GPUS
    assert len(received.error) == 200


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_whatever_arrives_is_a_sample_or_a_value_error(data):
    try:
        assert isinstance(decode(data), Sample)
    except ValueError:
        return
