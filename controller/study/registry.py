"""The kinds of study there are; a new one is added to `STUDIES`."""

from __future__ import annotations

from typing import Any

from controller.study.batching.run import STUDY as BATCHING
from controller.study.events.run import STUDY as EVENTS
from controller.study.fleet.run import STUDY as FLEET
from controller.study.offline_routing.run import STUDY as OFFLINE_ROUTING
from controller.study.sensitivity.run import STUDY as SENSITIVITY
from controller.study.site.run import STUDY as SITE
from controller.study.study import Study

STUDIES: tuple[Study[Any], ...] = (BATCHING, EVENTS, FLEET, OFFLINE_ROUTING, SENSITIVITY, SITE)
