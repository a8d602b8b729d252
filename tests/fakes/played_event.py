"""An event played into the recorder of evidence, as the loop does it: emulated readings, hand-made decisions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from controller.evidence.desk import EvidenceDesk, EvidenceParts
from controller.evidence.flow import Flow
from controller.evidence.read import Kept, read_event
from controller.evidence.series import Sample
from controller.evidence.service import ServiceMinute
from controller.evidence.spans import Span
from controller.grid.kept import KeptCall
from controller.model.call import Asked, Call, CallInterval, Commitment
from controller.model.grid import GridEvent
from controller.model.programme import Programme, Rates
from controller.model.service import ClassService, Latencies
from controller.store.ledger import Ledger, Record
from controller.store.patient import PatientLedger
from controller.store.plain import to_plain

Flows = TypeVar("Flows", Sample, Kept, ServiceMinute)
START_S = 1_790_000_000.0
LENGTH_S = 600.0
LIMIT_W, BASELINE_W = 4000.0, 5000.0
PROGRAMME = Programme(
    "utility",
    ramp_s=30.0,
    settlement_interval_s=60.0,
    rates=Rates(delivered_usd_per_mwh=500.0, missing_usd_per_mwh=1150.0),
)


class Served:
    """Counts as routers would: two requests a second of class premium, slower while the event is on; none of batch.

    Attributes:
        is_whole: whether every router answers.
    """

    def __init__(self) -> None:
        self.is_whole = True
        self.fast = self.slow = 0

    def take(self, now_s: float) -> None:
        """A second goes by."""
        if START_S <= now_s < START_S + LENGTH_S:
            self.slow += 2
        else:
            self.fast += 2

    @property
    def totals(self) -> dict[str, ClassService]:
        """Since the beginning: 0.2 s to the first token, 2 s during the event; 0.02 s between tokens."""
        both = self.fast + self.slow
        ttft = tuple(each for each in ((0.1, 0.25, self.fast), (1.5, 3.0, self.slow)) if each[2])
        premium = ClassService(
            requests=both, finished=both, input_tokens=100.0 * both, output_tokens=50.0 * both, outcomes={"ok": both},
            ttft=Latencies(0.2 * self.fast + 2.0 * self.slow, ttft),
            itl=Latencies(0.02 * both, ((0.015, 0.02, both),) if both else ()),
        )  # fmt: skip
        return {"premium": premium, "batch": ClassService()}


class NoLedger:
    """Takes the place of the rolling ledger."""

    def record(self, kind: str, time_s: float, payload: dict[str, object]) -> None:
        """Let go of it."""

    def records(self, kind: str | None = None, *, last: int | None = None) -> list[Record]:
        """There are none."""
        return []


def event(**changes: Any) -> GridEvent:
    plain: dict[str, Any] = {
        "event_id": "evening", "limit_w": LIMIT_W, "start_s": START_S, "end_s": START_S + LENGTH_S, "notice_s": START_S,
        "ramp_s": 30.0, "source": "openadr:vtn", "programme": "utility", "baseline_w": BASELINE_W,
    }  # fmt: skip
    return GridEvent(**{**plain, **changes})


def call_record(action: str = "added", **changes: Any) -> dict[str, Any]:
    commitment = Commitment(Asked.AT_MOST_W, LIMIT_W)
    call = Call("evening", "openadr:vtn", "utility", START_S - 100, START_S - 100,
                (CallInterval(START_S, START_S + LENGTH_S, commitment),))  # fmt: skip
    return {"action": action, "kept": to_plain(KeptCall(call, **changes)), "raw": '{"eventName": "evening"}'}


def decision(now_s: float, events: tuple[GridEvent, ...], count: int = 0) -> dict[str, Any]:
    """A record of a decision with what evidence takes from it."""
    plan = {
        "horizon": {"start_s": START_S, "dt_s": 60.0, "steps": 1}, "origin": "milp", "slack": [],
        "pools": [{"pool_id": "fp8", "on": [2], "sleeping": [0]}],
        "sites": [{"import_w": [3900.0], "limit_w": [LIMIT_W]}],
    }  # fmt: skip
    table = {"weights": [["premium", 1.0]], "caps": [], "draining": [], "sequence": count, "issued_at_s": now_s}
    demand = {"class_id": "premium", "requests": 10.0 * count, "finished": 9.0 * count, "refused": 1.0 * (count // 2),
              "queued": 0, "in_flight": 3, "output_tokens": 900.0 * count}  # fmt: skip
    classes = [{"class_id": "premium", "demand_tokens_per_s": 90.0, "quality_burnt_frac": 0.001 * count}]
    return {
        "observation": {
            "events": to_plain(events),
            "instances": [{"pool_id": "fp8", "state": "serving"}, {"pool_id": "fp8", "state": "sleeping"}],
            "router": {"demand": [demand]},
        },
        "ages_s": {"site_power": 0.4, "router": None},
        "plan": plan,
        "commands": {"table": table, "instances": [{"verb": "sleep", "instance_id": "fp8-1", "reason": "limit"}]},
        "recommended": [],
        "publish": True,
        "diagnostics": {"plan_origin": "milp", "slow_reasons": ["event"], "limit_w": LIMIT_W, "slack": [],
                        "fallbacks": [], "classes": classes, "modelled_w": 3950.123456},
        "actions": ["published"],
    }  # fmt: skip


def power_w(now_s: float) -> float | None:
    """What is drawn: the limit is reached 20 s after the start; after the end it peaks once."""
    if now_s < START_S:
        return 5000.0
    if now_s < START_S + LENGTH_S:
        return max(3900.0, 5000.0 - 55.0 * (now_s - START_S))
    return 5400.0 if now_s < START_S + LENGTH_S + 120 else 5000.0


class Player:
    """Plays an event second by second into a folder's file of evidence.

    Attributes:
        now_s: the next second.
    """

    def __init__(
        self,
        folder: Path,
        from_s: float = START_S - 60.0,
        close: Any = lambda span: None,
        programme: Programme = PROGRAMME,
        mode: str = "act",
    ) -> None:
        self.path = folder / "evidence.sqlite"
        self.ledger = Ledger(self.path)
        self.file = PatientLedger(self.ledger, max_waiting=100)
        promised = {"quality_budget_frac": 0.02, "itl_slo_s": 0.06, "ttft_slo_s": 1.0}
        classes = {"premium": promised, "batch": {**promised, "ttft_slo_s": 60.0}}
        software = {"wattroute": "1.2.3", "mode": mode, "site": "test", "pools": {}, "classes": classes}
        self.desk = EvidenceDesk(EvidenceParts(NoLedger(), self.file, {"utility": programme}, software, close))
        self.desk.resume(from_s)
        self.served = Served()
        self.now_s = from_s
        self.count = 0

    def play(
        self,
        until_s: float,
        *events: GridEvent,
        power: Callable[[float], float | None] = power_w,
        quality: str = "emulated",
    ) -> None:
        """Samples each second and a decision every five, up to a time."""
        while self.now_s < until_s:
            watts = power(self.now_s)
            sample = {"power_w": watts, "quality": None if watts is None else quality, "limit_w": None,
                      "observed_at_s": None if watts is None else self.now_s - 0.3}  # fmt: skip
            self.desk.record("sample", self.now_s, sample)
            if self.count % 5 == 0:
                self.desk.see(self.now_s, {"ttft_p99_s": 0.5, "itl_p99_s": 0.03}, self.served)
                present = tuple(event for event in events if event.end_s > self.now_s)
                self.desk.record("decision", self.now_s, decision(self.now_s, present, self.count // 5))
            self.served.take(self.now_s)
            self.count += 1
            self.now_s += 1.0

    def call(self, action: str = "added", **changes: Any) -> None:
        self.desk.record("call", self.now_s, call_record(action, **changes))

    def close(self) -> None:
        self.desk.close()
        self.ledger.close()


def played(folder: Path, **changes: Any) -> Path:
    """A whole event, with an hour after it in which nothing happens any more."""
    player = Player(folder)
    player.call()
    player.play(START_S + LENGTH_S + 300.0, event(**changes))
    player.close()
    return player.path


def flowing(path: Path, event: str, kind: type[Flows]) -> list[Flows]:
    """What flows by in an event's evidence, of one kind."""
    return [each for each in Flow(path, read_event(path, event)) if isinstance(each, kind)]


def span(**changes: Any) -> Span:
    plain: dict[str, Any] = {"subject": "openadr:vtn evening", "programme": "utility", "start_s": START_S,
                             "end_s": START_S + LENGTH_S}  # fmt: skip
    return Span(**{**plain, **changes})
