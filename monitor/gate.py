"""Whether an alert may go out now: silences, quiet hours, digests, daily budgets → go, or a hold with its reason. Pure.

Asked when an alert's turn comes, not when it is decided: a silence added meanwhile holds what waits, and a restart changes
nothing. What is held is told by the channel's next digest at the latest; nothing is let fall here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from monitor.model import Alert, AlertKind, Hold, HoldReason, Mode, Notify, QuietHours, Severity, Silence, Told, Topic
from monitor.terms import Lexicon

#: So many alerts that waited for the end of quiet hours still go out one by one; more are told together, in a digest.
ONE_BY_ONE = 3


@dataclass(frozen=True, slots=True)
class Gate:
    """What the configuration and the topics ask of times and numbers. Without them all goes at once."""

    #: whose clock quiet hours and days follow
    zone: tzinfo = UTC
    quiet_hours: QuietHours | None = None
    #: roots a day in one channel; None: as many as come
    daily_budget: int | None = None
    #: by id
    topics: Mapping[str, Topic] = field(default_factory=dict)

    def hold(
        self, alert: Alert, root: Hold | None, silences: Iterable[Silence], told: Told, now: datetime
    ) -> Hold | None:
        """Say why an alert does not go now; None: it goes.

        Of several topics the least demanding decides: one that wants it now has it. Severity critical passes quiet hours and
        budgets, and nothing else.

        root: why its root does not stand in the channel by itself; None for a root, or where it does.
        """
        if root is not None:
            # in a thread that is not there nobody would find it
            return root
        matching = [silence for silence in silences if _covers(silence, alert)]
        holds = [self._by_topic(topic, alert, matching, now) for topic in _topics(alert)]
        found = [hold for hold in holds if hold is not None]
        if found and len(found) == len(holds):
            return min(found, key=lambda hold: hold.until or datetime.max.replace(tzinfo=UTC))
        return self._by_budget(alert, told)

    def quiet(self, now: datetime) -> bool:
        """Tell whether it is quiet in all channels: what has a time of its own waits for the end too."""
        return self.quiet_hours is not None and quiet_until(self.quiet_hours, self.zone, now) is not None

    def day(self, now: datetime) -> datetime:
        """Give the beginning of the local day."""
        return _moment(now.astimezone(self.zone).date(), time(), self.zone)

    def budgets(self, alert: Alert) -> dict[str, int]:
        """Give the topics of an alert that have a budget of their own."""
        given = {topic: self._notify(topic).daily_budget for topic in _topics(alert)}
        return {topic: budget for topic, budget in given.items() if budget is not None}

    def counts(self, alert: Alert) -> bool:
        """Tell whether a budget can hold an alert: only then must anybody count."""
        is_root = alert.kind is AlertKind.ROOT and alert.severity is not Severity.CRITICAL
        return is_root and (self.daily_budget is not None or bool(self.budgets(alert)))

    def _by_topic(self, topic: str, alert: Alert, silences: Sequence[Silence], now: datetime) -> Hold | None:
        for silence in silences:
            if silence.topic in ("", topic):
                return Hold(HoldReason.SILENCE, because=words(silence))
        notify = self._notify(topic)
        if notify.mode is Mode.DIGEST:
            return Hold(HoldReason.DIGEST, because="its topic is told in digests")
        quiet_hours = notify.quiet_hours or self.quiet_hours
        if quiet_hours is None or alert.severity is Severity.CRITICAL:
            return None
        end = quiet_until(quiet_hours, self.zone, now)
        return Hold(HoldReason.QUIET_HOURS, end, f"{quiet_hours}") if end else None

    def _by_budget(self, alert: Alert, told: Told) -> Hold | None:
        if not self.counts(alert):
            return None
        if self.daily_budget is not None and told.channel >= self.daily_budget:
            return Hold(HoldReason.BUDGET, because=f"{self.daily_budget} a day in {alert.channel}")
        budgets = self.budgets(alert)
        used_up = [topic for topic, budget in budgets.items() if told.topics.get(topic, 0) >= budget]
        if used_up and len(used_up) == len(_topics(alert)):
            return Hold(HoldReason.BUDGET, because=", ".join(f"{budgets[topic]} a day of {topic}" for topic in used_up))
        return None

    def _notify(self, topic: str) -> Notify:
        # what waits may have been judged by a topic that is gone
        return self.topics[topic].notify if topic in self.topics else Notify()


def quiet_until(quiet: QuietHours, zone: tzinfo, now: datetime) -> datetime | None:
    """Tell when the quiet hours end in which a moment lies; None if it lies in none.

    They are one piece also in the nights in which clocks change: they begin the first time that a clock shows their
    beginning, and end the last time that it shows their end.
    """
    zone = _zone(quiet.zone) if quiet.zone else zone
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        begin = _moment(day, quiet.begin, zone)
        end = _moment(day + timedelta(days=quiet.end <= quiet.begin), quiet.end.replace(fold=1), zone)
        if begin <= now < end:
            return end
    return None


def words(silence: Silence) -> str:
    """Say what a silence is, for whoever wonders why nothing was told."""
    return f"silence {silence.id} of {silence.author}, until {silence.until:%Y-%m-%d %H:%M} UTC" + (
        f": {silence.comment}" if silence.comment else ""
    )


def _covers(silence: Silence, alert: Alert) -> bool:
    """Tell whether all that a silence names is so of an alert; of the topic, of one of its."""
    given = (
        (silence.story, alert.story),
        (silence.source.casefold(), alert.item.source.casefold()),
        (silence.channel, alert.channel),
    )
    if any(wanted and wanted != has for wanted, has in given):
        return False
    if silence.topic and silence.topic not in _topics(alert):
        return False
    found = _lexicon(silence.words).find(alert.item.title) if silence.words else ()
    return all(word in found for word in silence.words)


@functools.lru_cache(maxsize=64)
def _lexicon(terms: tuple[str, ...]) -> Lexicon:
    return Lexicon(terms)


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    return ZoneInfo(name)


def _topics(alert: Alert) -> list[str]:
    return [match.topic for match in alert.matches]


def _moment(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)
