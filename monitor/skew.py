"""By how much our clock is ahead of the publishers', by the Date of their answers. Pure.

One publisher's clock may be wrong, or its cache old; the median of many hosts is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import median

from monitor.text import http_date

#: The latest answer of so many hosts is looked at, and of fewer than the second figure nothing is said.
HOSTS, LEAST = 50, 5


def answered_at(headers: Mapping[str, str]) -> datetime | None:
    """When a server answered, by its own clock: its Date, and how long a cache has had the answer since."""
    date, age = http_date(headers.get("date", "")), headers.get("age", "0")
    return date + timedelta(seconds=int(age)) if date and age.isascii() and age.isdigit() and len(age) < 8 else None


class Skew:
    """What the last answers say of our clock."""

    def __init__(self) -> None:
        self._ahead: OrderedDict[str, float] = OrderedDict()

    def note(self, host: str, date: datetime | None, now: datetime) -> None:
        """Take in the Date of an answer that came just now; None if it had none."""
        if date is None:
            return
        self._ahead[host] = (now - date).total_seconds()
        self._ahead.move_to_end(host)
        if len(self._ahead) > HOSTS:
            self._ahead.popitem(last=False)

    @property
    def ahead(self) -> timedelta | None:
        """None: too few hosts said the time."""
        return timedelta(seconds=median(self._ahead.values())) if len(self._ahead) >= LEAST else None
