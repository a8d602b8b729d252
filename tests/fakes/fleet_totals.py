"""The totals of a small fleet for tests of reports."""

from __future__ import annotations

from controller.study.fleet.ledger import totals
from controller.study.fleet.levers import reference
from controller.study.fleet.make_case import make_case
from controller.study.fleet.play import fixed_fleet, play_fixed
from tests.fakes.fleet_cases import fleet_settings

CASE = reference(make_case(fleet_settings()))
TOTALS = totals(CASE, play_fixed(CASE, fixed_fleet(CASE), lambda _: None).steps)
