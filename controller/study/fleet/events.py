"""Events of a scenario as series of every step. Pure.

Events of one site may overlap. Of limits the most restrictive holds; a reduction is paid once, at the highest reward
of the programmes that call for it, up to the largest reduction that any of them pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from controller.study.fleet.site_settings import EventSettings, LimitEventSettings, ResponseEventSettings


@dataclass(frozen=True, slots=True)
class Terms:
    """What programmes ask of a site and pay; every series (T,), 0 outside of their events.

    Attributes:
        most_frac, commit_frac: largest paid and promised reduction, as shares of the baseline.
    """

    reward_usd_per_mwh: np.ndarray
    most_frac: np.ndarray
    commit_frac: np.ndarray

    def between(self, within: slice) -> Terms:
        """The terms of some of the steps."""
        return Terms(self.reward_usd_per_mwh[within], self.most_frac[within], self.commit_frac[within])


@dataclass(frozen=True, slots=True)
class Response:
    """A programme against a known baseline; every series (T,).

    Attributes:
        baseline_w: what the site draws without it.
        most_w: largest paid reduction, 0 outside of events.
        commit_w: promised reduction, 0 outside of events.
    """

    baseline_w: np.ndarray
    reward_usd_per_mwh: np.ndarray
    most_w: np.ndarray
    commit_w: np.ndarray

    @classmethod
    def of(cls, terms: Terms, baseline_w: np.ndarray) -> Response:
        """The terms against a baseline."""
        return cls(baseline_w, terms.reward_usd_per_mwh, terms.most_frac * baseline_w, terms.commit_frac * baseline_w)


def limits_w(events: tuple[EventSettings, ...], site: str, starts: tuple[datetime, ...], always_w: float) -> np.ndarray:
    """Most that a site may draw in each step, (T,); infinite without a limit."""
    out = np.full(len(starts), always_w)
    for event in events:
        if isinstance(event, LimitEventSettings) and site in event.sites:
            out = np.where(_within(event, starts), np.minimum(out, 1000.0 * event.limit_kw), out)
    return out


def terms(events: tuple[EventSettings, ...], site: str, starts: tuple[datetime, ...]) -> Terms | None:
    """What programmes ask of a site, None where it takes part in none."""
    calls = [event for event in events if isinstance(event, ResponseEventSettings) and site in event.sites]
    if not calls:
        return None

    def highest(name: str) -> np.ndarray:
        return np.asarray(np.max([np.where(_within(call, starts), getattr(call, name), 0.0) for call in calls], axis=0))

    return Terms(highest("reward_usd_per_mwh"), highest("most_frac"), highest("commit_frac"))


def _within(event: LimitEventSettings | ResponseEventSettings, starts: tuple[datetime, ...]) -> np.ndarray:
    """Whether each step begins within the event, (T,)."""
    lasts = timedelta(hours=event.hours)
    began = [event.start + timedelta(days=day) for day in range(event.days)]
    return np.array([any(each <= start < each + lasts for each in began) for start in starts])
