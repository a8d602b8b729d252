from hypothesis import given
from hypothesis import strategies as st

from controller.evidence.series import Sample, pack, sample_of, unpack

WATTS = st.none() | st.floats(0, 1e9).map(lambda watts: round(watts, 1))
SAMPLES = st.lists(
    st.builds(
        Sample,
        time_s=st.integers(0, 10_000_000).map(lambda second: float(second)),
        power_w=WATTS,
        quality=st.none() | st.sampled_from(["direct", "emulated"]),
        limit_w=st.none() | st.just(4000.0),
        age_s=st.none() | st.just(0.5),
    ),
    max_size=20,
)


@given(SAMPLES)
def test_what_is_packed_comes_back(samples):
    assert unpack(pack(samples)) == tuple(samples)


def test_what_does_not_change_is_told_once():
    packed = pack([Sample(1000.0 + n, 5.0, "direct", None, 0.0) for n in range(3)])
    assert (packed["quality"], packed["limit_w"], packed["at_s"]) == ("direct", None, [0.0, 1.0, 2.0])


def test_a_record_without_power_is_a_sample_without_power():
    sample = sample_of(7.0, {"power_w": None, "quality": None, "observed_at_s": None, "limit_w": 1.0})
    assert sample == Sample(7.0, None, None, 1.0, None)
