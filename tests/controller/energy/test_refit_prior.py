import dataclasses
import math

import pytest

from controller.energy.refit_prior import RELATIVE_SD, prior_of
from controller.model.perf import CurveUncertainty, Evidence, GroupProvenance, Provenance
from controller.simulation.profiles import load_profile

MEASURED = load_profile("llama-3.1-8b/bf16/1xh100")
ESTIMATED = load_profile("llama-3.1-8b/fp8/1xh100")
P0 = (1.0, 0.0, 0.0, 0.0)


def sd(belief, h):
    return math.sqrt(belief.variance_at(h))


def test_it_says_what_the_curves_say():
    prior = prior_of(MEASURED)
    assert prior.power.mean == (MEASURED.p0_w, MEASURED.decode_j_per_token, MEASURED.prefill_j_per_token, 120.0)
    assert prior.time.mean == (MEASURED.step_base_s, MEASURED.step_per_seq_s, MEASURED.prefill_s_per_token)
    assert (prior.sleeping.mean, prior.off.mean) == ((MEASURED.sleeping_w,), (MEASURED.off_w,))


@pytest.mark.parametrize("curves", [MEASURED, ESTIMATED])
def test_doubt_follows_the_evidence_of_each_group(curves):
    prior, groups = prior_of(curves), curves.group_provenance
    assert sd(prior.power, P0) == pytest.approx(RELATIVE_SD[groups.decode.evidence] * curves.p0_w)
    assert sd(prior.power, (0.0, 0.0, 0.0, 1.0)) == pytest.approx(0.4 * curves.idle_w)


def test_where_the_curves_tell_their_covariance_it_is_carried_over():
    told = CurveUncertainty(
        tuple(
            tuple((0.01 * value) ** 2 if i == j else 0.0 for j in range(6))
            for i, value in enumerate(
                (
                    MEASURED.step_base_s,
                    MEASURED.step_per_seq_s,
                    MEASURED.step_base_j,
                    MEASURED.step_per_seq_j,
                    MEASURED.prefill_s_per_token,
                    MEASURED.prefill_j_per_token,
                )
            )
        ),
        held_out_mape_frac=0.02,
    )
    prior = prior_of(dataclasses.replace(MEASURED, uncertainty=told))
    # P0 = A/a with 1 % each, and no fit is taken for better than 3 % elsewhere.
    assert sd(prior.power, P0) == pytest.approx(MEASURED.p0_w * math.sqrt(0.01**2 + 0.01**2 + 0.03**2), rel=1e-6)
    assert sd(prior.time, (1.0, 0.0, 0.0)) == pytest.approx(MEASURED.step_base_s * math.hypot(0.01, 0.03), rel=1e-6)
    assert prior.power.covariance[0][1] < 0.0  # a lower P0 leaves more to the tokens


def test_tokens_may_cost_something_even_where_the_curves_say_nothing():
    flat = dataclasses.replace(MEASURED, step_per_seq_j=MEASURED.step_per_seq_s * MEASURED.p0_w, prefill_j_per_token=0)
    prior = prior_of(flat)
    assert prior.power.mean[1] == pytest.approx(0.0, abs=1e-12)
    assert sd(prior.power, (0.0, 1.0, 0.0, 0.0)) > 0.0
    assert sd(prior.power, (0.0, 0.0, 1.0, 0.0)) > 0.0


def test_other_curves_have_another_key_and_other_words_do_not():
    other = dataclasses.replace(MEASURED, idle_w=121.0)
    reworded = dataclasses.replace(
        MEASURED, provenance=Provenance(Evidence.ESTIMATED, "x"), groups=GroupProvenance(*(MEASURED.provenance,) * 4)
    )
    assert prior_of(other).key != prior_of(MEASURED).key == prior_of(reworded).key
