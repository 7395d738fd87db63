"""Say what is wrong with feeds, and when to tell ops: once when it begins, once when it is over. Pure.

Every condition must last before it is told, and stay away before it counts as gone, so that a feed which comes and goes
is told of once. What stands in `status` and in metrics are the same words, without the delay.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor.model import Ailment, Condition, FeedState, Notice

#: A feed fails when it has given nothing for so long; less is weather.
FAILING_AFTER = timedelta(days=2)
#: Failures after which a feed that never was one is called so.
NEVER_AFTER = 3.0
#: A feed is stale when it has been silent for so many of its longest silences, and for two days at least; one of which
#: nothing is known but its newest item, when that is so old.
STALE_GAPS, STALE_AT_LEAST, STALE_UNKNOWN = 3, timedelta(days=2), timedelta(days=30)
#: A gap is a thing of that poll; it is shown for so long.
GAP_SHOWN = timedelta(days=1)

#: How long a condition must last before ops are told. An outage and a storm are told at once.
_BEFORE_TOLD = {Condition.GAP: timedelta(0), Condition.STORM: timedelta(0), Condition.OUTAGE: timedelta(0)}
_USUALLY_BEFORE_TOLD = timedelta(minutes=30)
#: How long it must stay away before it is over.
_BEFORE_OVER = {Condition.OUTAGE: timedelta(0), Condition.STORM: timedelta(0)}
_USUALLY_BEFORE_OVER = timedelta(hours=6)

#: Notice ids are uuid5 in this namespace: the same review made twice, after a crash say, is the same row of the outbox.
_NAMESPACE = uuid.UUID("0f0c3f1e-9f0a-5b52-8a39-5f2d2f7f2c55")
#: Findings in one notice; more are counted.
_SHOWN = 20


def conditions(state: FeedState, now: datetime) -> dict[Condition, str]:
    """Give what is wrong with a feed now, each with the reason in words; empty if all is well."""
    return {condition: because for condition, look in _LOOKS.items() if (because := look(state, now))}


def _failing(state: FeedState, now: datetime) -> str:
    # a feed that never was one, or is gone, has its own word
    if not state.failing_since or state.first_success is None or now - state.failing_since < FAILING_AFTER:
        return ""
    return "" if _gone(state, now) else f"{state.last_error} for {_span(now - state.failing_since)}"


def _gone(state: FeedState, _: datetime) -> str:
    return "its server says 410 Gone" if state.last_error == "http 410" else ""


def _never_parsed(state: FeedState, now: datetime) -> str:
    if state.first_success is not None or state.failures < NEVER_AFTER or _gone(state, now):
        return ""
    return f"{state.last_error}, at every poll since it is on the list"


def _stale(state: FeedState, now: datetime) -> str:
    rhythm = state.rhythm
    if state.last_error or rhythm.newest is None:
        return ""
    silent = now - rhythm.newest
    usual = max(STALE_GAPS * rhythm.longest_gap, STALE_AT_LEAST) if rhythm.longest_gap else STALE_UNKNOWN
    if silent < usual:
        return ""
    known = f"; its longest silence was {_span(rhythm.longest_gap)}" if rhythm.longest_gap else ""
    return f"answers, but its newest item is {_span(silent)} old{known}"


def _gap(state: FeedState, now: datetime) -> str:
    if state.last_gap is None or now - state.last_gap > GAP_SHOWN:
        return ""
    return "a poll had nothing in common with the one before: items may have slid past"


def _storm(state: FeedState, _: datetime) -> str:
    if not state.held:
        return ""
    return (
        f"{state.held} items are held back: much that is old became new at once. "
        f"Tell them: monitor feeds release {state.feed.url} · forget them: monitor feeds drop {state.feed.url}"
    )


_LOOKS: Mapping[Condition, Callable[[FeedState, datetime], str]] = {
    Condition.FAILING: _failing,
    Condition.GONE: _gone,
    Condition.NEVER_PARSED: _never_parsed,
    Condition.STALE: _stale,
    Condition.GAP: _gap,
    Condition.STORM: _storm,
}


# -- from day to day ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Review:
    """What a look at all feeds came to."""

    #: to be remembered until the next one
    ailments: tuple[Ailment, ...]
    #: to be told now; first what began, then what is over
    began: tuple[Ailment, ...]
    over: tuple[Ailment, ...]


def review(
    before: Iterable[Ailment], states: Sequence[FeedState], outage_since: datetime | None, now: datetime
) -> Review:
    """Compare what is wrong now with what was wrong at the last look, and say what is due to be told.

    What ailed a feed that is no longer on the list is forgotten: it is neither wrong nor over.
    """
    found = {
        (state.feed.url, condition): because
        for state in states
        for condition, because in conditions(state, now).items()
    }
    if outage_since is not None:
        found["", Condition.OUTAGE] = "most hosts cannot be reached: no feed is charged for it"
    listed = {"", *(state.feed.url for state in states)}
    known = {(ailment.feed_url, ailment.condition): ailment for ailment in before if ailment.feed_url in listed}
    present = [
        replace(known[key], because=because, absent_since=None)
        if key in known
        else Ailment(key[0], key[1], because, outage_since if key[1] is Condition.OUTAGE and outage_since else now)
        for key, because in found.items()
    ]
    began = [a for a in present if a.told is None and now - a.since >= _before_told(a.condition)]
    absent = [replace(a, absent_since=a.absent_since or now) for key, a in known.items() if key not in found]
    over = [a for a in absent if a.absent_since and now - a.absent_since >= _before_over(a.condition)]
    told = {(a.feed_url, a.condition) for a in began}
    kept = [replace(a, told=now) if (a.feed_url, a.condition) in told else a for a in present]
    kept += [a for a in absent if a not in over]
    return Review(tuple(kept), tuple(began), tuple(a for a in over if a.told))


def _before_told(condition: Condition) -> timedelta:
    return _BEFORE_TOLD.get(condition, _USUALLY_BEFORE_TOLD)


def _before_over(condition: Condition) -> timedelta:
    return _BEFORE_OVER.get(condition, _USUALLY_BEFORE_OVER)


def notice(found: Review, names: Mapping[str, str], channel: str, now: datetime) -> Notice | None:
    """Put what is to be told in one message; None if there is nothing. `names` has the feeds' names by address."""
    lines = [f"{_name(a, names)}: {a.condition} — {a.because}" for a in found.began]
    lines += [f"{_name(a, names)}: no longer {a.condition}, since {a.absent_since:%H:%M} UTC" for a in found.over]
    if not lines:
        return None
    if len(lines) > _SHOWN:
        lines = [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more: monitor status"]
    text = "\n".join(lines)
    return Notice(str(uuid.uuid5(_NAMESPACE, f"{channel}|{now.isoformat()}|{text}")), channel, text, now)


def _name(ailment: Ailment, names: Mapping[str, str]) -> str:
    return names.get(ailment.feed_url, ailment.feed_url) if ailment.feed_url else "our own network"


def _span(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{max(hours, 1):.0f} h"
