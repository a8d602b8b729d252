from types import SimpleNamespace

from controller.service.canaries import opened_quality, sending_canaries
from controller.signals.canary_setup import CanarySetup
from controller.signals.present import Present
from tests.fakes.controller_parts import NOW_S, site
from tests.fakes.service_frame import framed, proof_of


async def test_bars_outlast_the_process_and_are_told(tmp_path, caplog):
    async with framed(tmp_path) as (frame, _):
        with proof_of(frame) as proof:
            opened_quality(CanarySetup(), frame.present, proof.recorder).bar("int4", "odd", NOW_S)
        assert "bars restored" not in caplog.messages
    async with framed(tmp_path) as (frame, _):
        with proof_of(frame) as proof:
            later = opened_quality(CanarySetup(), frame.present, proof.recorder)
    assert [bar.name for bar in later.barred(NOW_S)] == ["int4"]
    assert "bars restored" in caplog.messages


async def test_what_is_barred_is_shown_before_the_first_canary(tmp_path):
    async with framed(tmp_path) as (frame, session):
        with proof_of(frame) as proof:
            quality = opened_quality(CanarySetup(), Present(site()), proof.recorder)
            quality.bar("int4", "odd", NOW_S)
            runner = SimpleNamespace(status=None, hasten=lambda: None)
            async with sending_canaries(frame, session, quality, runner, lambda: True):
                registry = frame.telemetry.registry
                shown = [
                    registry.get_sample_value("wattroute_controller_barred", {"subject": subject})
                    for subject in ("int4", "bf16")
                ]
    assert shown == [1.0, 0.0]
