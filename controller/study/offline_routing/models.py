"""The models of a scenario, from written coefficients or from measurements. Pure."""

from __future__ import annotations

from controller.errors import ConfigError
from controller.simulation.profile_facts import H100
from controller.simulation.profiles import PREFILL_POWER_FRAC
from controller.study.measured import SOURCE, Configuration, Row, measured
from controller.study.offline_routing.settings import MeasuredSettings, ModelSettings, TermSettings
from controller.study.offline_routing.workload_model import LanguageModel, Terms

PREFILL_FLOPS = {"bfloat16": 989.4e12 * 0.40, "fp8": 1978.9e12 * 0.30}
"""Arithmetic of one H100 in prefill: its dense peak at the precision and the share of it that is assumed to be reached,
as in docs/reference/curves.md."""


def make_model(written: ModelSettings) -> LanguageModel:
    """The model of one entry.

    Raises:
        ConfigError: the measured configuration is not among the bundled ones.
    """
    energy_j, runtime_s, source = _figures(written)
    return LanguageModel(
        name=written.name,
        accuracy_frac=written.accuracy_frac,
        energy_j=energy_j,
        runtime_s=runtime_s,
        servers=written.servers,
        input_tokens=written.input_tokens,
        output_tokens=written.output_tokens,
        min_share_frac=written.min_share_frac,
        max_share_frac=written.max_share_frac,
        source=source,
    )


def _figures(written: ModelSettings) -> tuple[Terms, Terms, str]:
    if written.measured is not None:
        return _measured(written.name, written.measured, written.source)
    if written.energy_j is None or written.runtime_s is None:
        raise ConfigError(f"models: {written.name!r} has neither energy_j and runtime_s nor measured; give one")
    return _terms(written.energy_j), _terms(written.runtime_s), written.source


def _terms(written: TermSettings) -> Terms:
    return Terms(written.fixed, written.input, written.output, written.interaction)


def _measured(name: str, wanted: MeasuredSettings, source: str) -> tuple[Terms, Terms, str]:
    """Output tokens at the measured joules and latency of a row; input tokens at an estimate of prefill.

    A prompt token takes 2 FLOP a parameter; the GPUs run near their power limit meanwhile.
    """
    known = measured(Configuration(wanted.model_id, wanted.weight_precision, wanted.gpu, wanted.gpus))
    row = _row(name, wanted.max_num_seqs, known.rows)
    prefill_s = 2e9 * row.active_params_billions / (wanted.gpus * PREFILL_FLOPS[wanted.weight_precision])
    prefill_j = prefill_s * wanted.gpus * H100.tdp_w * PREFILL_POWER_FRAC
    told = f"{known.configuration} at {row.sample.batch:.0f} concurrent: {SOURCE}; prefill estimated; {source}"
    return (
        Terms(0.0, prefill_j, row.j_per_output_token, 0.0),
        Terms(0.0, prefill_s, row.sample.median_itl_s, 0.0),
        told,
    )


def _row(name: str, max_num_seqs: int, rows: tuple[Row, ...]) -> Row:
    for row in rows:
        if row.max_num_seqs == max_num_seqs:
            return row
    raise ConfigError(
        f"models: {name!r}: no row with max_num_seqs {max_num_seqs} was measured; "
        f"there are {', '.join(str(row.max_num_seqs) for row in rows)}"
    )
