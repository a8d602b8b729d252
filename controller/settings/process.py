"""The section `controller`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from controller.lifecycle.handback import OnExit
from controller.lifecycle.policy import Mode
from controller.settings.election import ElectionSettings
from controller.settings.gpu_limits import ZeusdControlSettings
from controller.settings.power.source import Url
from router.settings import Group, Port, Seconds

STANDBY_S = 20.0
"""How long a standby that has shown itself, which it does at each tick, is seen."""


class ControllerSettings(Group):
    """The controller process."""

    mode: Mode = Mode.OBSERVE
    """observe: measure, plan and record. recommend: also show what would be done. act: move weights and instances."""
    host: str = "127.0.0.1"
    """Address of the API and the dashboard."""
    port: Port = 8090
    """Port of the API and the dashboard."""
    token_file: Path | None = None
    """File with the bearer token that operators' requests must carry. Absent: only this machine may send them."""
    tick_s: Seconds = 5.0
    """Time between two decisions."""
    table_ttl_s: Seconds = 60.0
    """How long routers may obey a table when the controller is gone. A table is renewed at half of it, at a tick."""
    data_dir: Path = Path("wattroute-data")
    """Folder of the ledger, the decision records and the state that outlasts a restart."""
    keep_records: Annotated[int, Field(ge=10_000, le=1_000_000_000)] = 500_000
    """Newest records kept in the ledger: one a second, and one of some 10 kB a decision."""
    keep_meter_seconds_days: Annotated[int, Field(ge=1, le=90)] = 7
    """Days for which the site's power is kept second by second: some 2 MB a day."""
    keep_meter_minutes_days: Annotated[int, Field(ge=60, le=4000)] = 430
    """Days for which it is kept minute by minute, more than a year: some 18 MB a year."""
    keep_evidence_days: Annotated[int, Field(ge=30, le=10_000)] = 1100
    """Days for which the evidence of events is kept."""
    keep_evidence_mb: Annotated[int, Field(ge=64, le=1_000_000)] = 2048
    """Largest size of the file of evidence; beyond it the oldest goes, which its own records tell."""
    ledger_key_file: Path | None = None
    """File with a key of at least 16 bytes that seals the heads of the records. Absent: they are not sealed."""
    witness_file: Path | None = None
    """File to which the heads of the records are added once an hour, best on another machine's disk. Absent: none."""
    on_exit: OnExit = OnExit.WAKE
    """What becomes of the instances that sleep by the controller's command when it ends, or comes back in a mode other
    than act, for all or for their pool. wake: they are woken, under a limit in force only as far as it leaves room.
    leave: they stay asleep."""
    exit_wait_s: Seconds = 20.0
    """Longest wait for instances that wake at the controller's end; less than its supervisor's patience."""
    supervisor_url: Url | None = None
    """Control address of a supervisor that can start and stop instances. Absent: instances are only put to sleep."""
    supervisor_token_file: Path | None = None
    """File with the token that it asks for. Absent: none is sent."""
    zeusd: Annotated[tuple[ZeusdControlSettings, ...], Field(max_length=256)] = ()
    """Daemons that set the limits of plan.pools.*.clocks, one a machine. Needed for these alone."""
    sleep_level: Annotated[int, Field(ge=1, le=2)] = 1
    """vLLM's sleep level: 1 keeps the weights in host memory, 2 drops them, and a wake reads them anew."""
    election: ElectionSettings | None = None
    """How several controllers of this site choose the one that acts. Absent: this one is alone."""

    @model_validator(mode="after")
    def _standbys_come_in_time(self) -> ControllerSettings:
        if self.election is None:
            return self
        if self.tick_s >= STANDBY_S:
            raise ValueError(
                f"tick_s is {self.tick_s:g}: with an election it must be less than {STANDBY_S:g}, for which a standby "
                "is seen after each of its ticks; lower it"
            )
        least_s = 2.0 * (self.election.lease_s + self.election.renew_every_s + self.tick_s)
        if self.table_ttl_s < least_s:
            raise ValueError(
                f"table_ttl_s is {self.table_ttl_s:g}, less than twice the sum of election.lease_s, "
                f"election.renew_every_s and tick_s, {least_s:g}: a table that is half spent would end before a "
                "standby has taken over; raise it or lower election.lease_s"
            )
        return self
