from prometheus_client import CollectorRegistry

from controller.clock import VirtualClock
from controller.lifecycle.policy import Mode
from controller.model.fleet import Site
from controller.service.proof import EVIDENCE_NAME, LEDGER_NAME, ProofOptions, opened_proof, software_of
from controller.signals.latency import Latency
from controller.store import witness
from controller.store.ledger_check import check_file
from controller.store.state import StateFile
from tests.fakes.fake_fleet import site
from tests.fakes.played_event import Served
from tests.fakes.pool_modes import with_modes

SITE = Site("test", 8, (), ())


def opened(folder, registry, **options):
    told = ProofOptions(**options)
    clock = VirtualClock(100.0)
    return opened_proof(folder, SITE, {}, told, mode=Mode.ACT, keep_records=None, clock=clock, registry=registry)


def test_both_files_are_written_and_their_heads_are_told(tmp_path):
    registry = CollectorRegistry()
    with opened(tmp_path, registry, witness_file=tmp_path / "heads.jsonl") as proof:
        proof.recorder.record("call_refused", 100.0, {"raw": "x"})
        proof.take(100.0, Latency(ttft_p99_s=0.5), Served())
        StateFile(tmp_path / "state.json").save(heads=proof.heads.heads(100.0))
    for name in (LEDGER_NAME, EVIDENCE_NAME):
        kept = [each for each in witness.of_state(tmp_path / "state.json") if each.ledger == name]
        told = [each for each in witness.of_file(tmp_path / "heads.jsonl").witnesses if each.ledger == name]
        assert len(check_file(tmp_path / name, [*kept, *told]).compared) == len(kept) + len(told) > 1
    assert registry.get_sample_value("wattroute_controller_records_lost", {"ledger": EVIDENCE_NAME}) == 0
    assert registry.get_sample_value("wattroute_controller_evidence_waiting") == 0


def test_the_software_and_the_fleet_are_told():
    told = software_of(SITE, "abc", Mode.RECOMMEND)
    assert (told["site"], told["configuration_sha256"], told["gpus"]) == ("test", "abc", 8)
    assert told["mode"] == "recommend"
    assert told["wattroute"]


def test_each_pool_is_told_with_how_far_the_controller_goes():
    of = with_modes(site(), fp8=Mode.OBSERVE)
    for mode, told in ((Mode.ACT, "act"), (Mode.RECOMMEND, "recommend")):
        pools = software_of(of, None, mode)["pools"]
        assert {name: pool["mode"] for name, pool in pools.items()} == {"bf16": told, "fp8": "observe", "int4": told}
