"""Under which name a controller stands for election, and where it is reached."""

from __future__ import annotations

from collections.abc import Mapping

from controller.service.leading import lease_candidate
from controller.service.options import ElectionSpec
from controller.settings.process import ControllerSettings

_ANY = ("0.0.0.0", "::", "")


def election_of(
    own: ControllerSettings, environment: Mapping[str, str], host_name: str, unique: str
) -> ElectionSpec | None:
    """The candidacy as configured; None where the controller is alone.

    Args:
        own: the section `controller`.
        environment: of the process; POD_NAME and POD_IP come from the downward API.
        host_name: of the machine.
        unique: added to the name, so that a process is not taken for its predecessor.
    """
    election = own.election
    if election is None:
        return None
    host = environment.get("POD_IP") or (host_name if own.host in _ANY else own.host)
    shown = f"[{host}]" if ":" in host else host
    name = election.identity or environment.get("POD_NAME") or host_name
    return ElectionSpec(
        name=election.name,
        namespace=election.namespace,
        identity=f"{name}_{unique}",
        address=election.address or f"http://{shown}:{own.port}",
        stand=lease_candidate,
        lease_s=election.lease_s,
        renew_deadline_s=election.renew_deadline_s,
        renew_every_s=election.renew_every_s,
    )
