"""Tell an outage of our own network from feeds that fail: most hosts fail at the same time. Pure; `now` comes in.

While it lasts no feed is charged for a failure, and those charged as it began are given their charges back.
"""

from __future__ import annotations

import enum
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

#: The hosts that are looked at: those asked within this time.
WINDOW = timedelta(minutes=2)
#: An outage begins when so many hosts were asked, and so great a share of them could not be reached; it ends when the
#: share has fallen to the second figure, so that one lucky answer does not end it.
HOSTS, BEGINS, ENDS = 4, 0.8, 0.5
#: While it lasts, the last so many hosts are looked at for as long as this: on a short list one answer stands alone.
_SPARSE = timedelta(hours=1)


class Change(enum.Enum):
    BEGAN = "began"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class _Poll:
    at: datetime
    reached: bool


@dataclass(frozen=True, slots=True)
class _Charge:
    at: datetime
    feed_url: str
    weight: float


class Reachability:
    """What the last polls say of our own network."""

    def __init__(self) -> None:
        #: the last poll of each host, oldest first, and how many of them reached nobody
        self._polls: OrderedDict[str, _Poll] = OrderedDict()
        self._unreached = 0
        #: what feeds were charged while all was well, oldest first
        self._charges: deque[_Charge] = deque()
        #: since when it lasts; None while all is well
        self.outage_since: datetime | None = None

    def note(self, host: str, feed_url: str, *, reached: bool, weight: float, now: datetime) -> Change | None:
        """Take in what a poll came to, and say what that changes.

        reached: the host answered something, be it an error. weight: what the feed is charged if it is no outage.
        """
        if before := self._polls.pop(host, None):
            self._unreached -= not before.reached
        self._polls[host] = _Poll(now, reached)
        self._unreached += not reached
        self._forget(now)
        unreached = self._unreached / len(self._polls)
        if self.outage_since is not None:
            if not reached or unreached > ENDS:
                return None
            self.outage_since = None
            self._charges.clear()  # given back already
            return Change.ENDED
        if len(self._polls) >= HOSTS and unreached >= BEGINS:
            self.outage_since = now
            return Change.BEGAN
        if not reached and weight:
            self._charges.append(_Charge(now, feed_url, weight))
        return None

    def charged(self) -> dict[str, float]:
        """Give what feeds were charged in the window that the outage began in, by address: it was not theirs.

        The poll with which it began is not among them: it is charged nothing.
        """
        sums: defaultdict[str, float] = defaultdict(float)
        for charge in self._charges:
            sums[charge.feed_url] += charge.weight
        return dict(sums)

    def _forget(self, now: datetime) -> None:
        while now - next(iter(self._polls.values())).at > self._span():
            _, forgotten = self._polls.popitem(last=False)
            self._unreached -= not forgotten.reached
        while self.outage_since is None and self._charges and now - self._charges[0].at > WINDOW:
            self._charges.popleft()

    def _span(self) -> timedelta:
        return WINDOW if self.outage_since is None or len(self._polls) > HOSTS else _SPARSE
