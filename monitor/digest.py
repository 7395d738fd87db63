"""Digests: when one is due, what it tells of what was held and told, which topics spike, and the message. Pure.

One for each channel: what was held there, a story a line under its theme; then the period in counts. It folds nothing and
sends nothing: that is the outbox's.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from monitor import phrases, terminal
from monitor.model import (
    WEEKDAYS,
    Alert,
    AlertKind,
    Delivery,
    Digest,
    DigestKind,
    DigestLine,
    HoldReason,
    Matter,
    Message,
    Mode,
    Severity,
    Spike,
    Topic,
)
from monitor.render import MARKUP, REPLY_LINK_LIMIT, SIGNS, context, escape, link_to, markdown, section

#: Digest ids are uuid5 in this namespace.
_NAMESPACE = uuid.UUID("d4c8b8a4-6c5c-5d0e-8a57-7e1f6c1b9f30")

#: A spike is at least so many new stories, where so few would be chance once in a thousand periods, by Poisson's law with the
#: mean of so many days before; a topic that has not been at work for the last of these has no usual yet.
SPIKE_STORIES, SPIKE_CHANCE = 5, 1 / 1_000
BASELINE, LEAST_BASELINE = timedelta(days=28), timedelta(days=7)

OTHER = "Other"

#: With heading, spikes and counts, ten blocks. Stories are told while all lines stay under so many characters, and those of a
#: theme fit a section; what matters most goes first.
SHOWN_THEMES, LINES_LIMIT, THEME_LIMIT = 7, 7_000, 2_050
HEADLINE_LIMIT = 140
#: A terminal has more room, but nobody scrolls through five thousand.
TERMINAL_LINES = 100
SHOWN_TOPICS = 5

#: Why a story was held, for who reads a digest; that its topic is told in digests explains itself.
_HELD = {
    HoldReason.QUIET_HOURS: "quiet hours",
    HoldReason.BUDGET: "over the day's budget",
    HoldReason.SILENCE: "silenced",
    HoldReason.DIGEST: "",
}
_HEADINGS = {
    DigestKind.DAILY: "Daily digest",
    DigestKind.WEEKLY: "Weekly digest",
    DigestKind.QUIET_HOURS: "While it was quiet",
}

# -- when -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Period:
    """What a digest tells of, from its beginning to the moment at which it is due."""

    kind: DigestKind
    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """When digests are due, in local time."""

    #: None: no daily ones
    daily: time | None = None
    #: Monday is 0. None: no weekly ones
    weekly: tuple[int, time] | None = None
    zone: tzinfo = UTC

    @classmethod
    def of(cls, daily: str, weekly: str, zone: str) -> Schedule:
        """Read one as the configuration has it: "08:00", "mon 08:00", either empty for none, and an IANA zone."""
        day, _, clock = weekly.partition(" ")
        return cls(
            time.fromisoformat(daily) if daily else None,
            (WEEKDAYS.index(day), time.fromisoformat(clock)) if day else None,
            ZoneInfo(zone),
        )

    def latest(self, now: datetime) -> list[Period]:
        """Give the last daily and the last weekly one that were due by now; a weekly one stands for that morning's daily."""
        today = now.astimezone(self.zone).date()
        found = [self._latest(kind, today, now) for kind in (DigestKind.WEEKLY, DigestKind.DAILY)]
        periods = [period for period in found if period is not None]
        return periods[:1] if len({period.at for period in periods}) == 1 else periods

    def next(self, now: datetime) -> datetime | None:
        """Tell when the next one is due; None if there are none."""
        today = now.astimezone(self.zone).date()
        days = [today + timedelta(days=n) for n in range(9)]
        times = [at for kind in _DAYS for day in days if (at := self._due(kind, day)) is not None and at > now]
        return min(times, default=None)

    def _latest(self, kind: DigestKind, today: date, now: datetime) -> Period | None:
        for day in (today - timedelta(days=n) for n in range(9)):
            at = self._due(kind, day)
            since = self._due(kind, day - timedelta(days=_DAYS[kind]))
            if at is not None and since is not None and at <= now:
                return Period(kind, since, at)
        return None

    def _due(self, kind: DigestKind, day: date) -> datetime | None:
        clock = self.daily
        if kind is DigestKind.WEEKLY:
            clock = self.weekly[1] if self.weekly and self.weekly[0] == day.weekday() else None
        return None if clock is None else datetime.combine(day, clock, self.zone).astimezone(UTC)


_DAYS = {DigestKind.DAILY: 1, DigestKind.WEEKLY: 7}

# -- what -----------------------------------------------------------------------------------------


def compose(
    channel: str,
    period: Period,
    matter: Matter,
    topics: Mapping[str, Topic],
    spikes: Mapping[str, Spike] = {},
) -> Digest | None:
    """Sum up what a channel is told together; None if there is nothing.

    topics, spikes: by the topic's id; of the spikes those count whose topics have told this channel something.
    """
    held = _alerts(matter.held)
    told = _alerts(matter.told) if period.kind is not DigestKind.QUIET_HOURS else []
    roots = [alert for alert in told if alert.kind is AlertKind.ROOT]
    listed = [alert for alert in roots if period.kind is DigestKind.WEEKLY or _wants_both(alert, topics)]
    reasons = {delivery.alert.id: _HELD[HoldReason(delivery.reason)] for delivery in matter.held}
    lines = [*_lines(held, reasons, matter.sources)]
    known = {line.alert.story for line in lines}
    lines += _lines([alert for alert in listed if alert.story not in known], {}, matter.sources)
    heard = {match.topic for alert in (*held, *told) for match in alert.matches}
    rising = tuple(spike for topic, spike in spikes.items() if topic in heard)
    if not (lines or told or rising):
        return None
    themes: dict[str, list[DigestLine]] = {}
    for line in sorted(lines, key=_rank):
        themes.setdefault(_theme(line.alert, topics), []).append(line)
    return Digest(
        id=str(uuid.uuid5(_NAMESPACE, f"{channel}|{period.kind}|{period.at.isoformat()}")),
        channel=channel,
        occasion=period.kind,
        since=period.since,
        created=period.at,
        themes={theme: tuple(lines) for theme, lines in themes.items()},
        roots=len(roots),
        replies=len(told) - len(roots),
        by_topic=dict(Counter(alert.titles[alert.matches[0].topic] for alert in roots if alert.matches).most_common()),
        spikes=rising,
    )


def spikes(
    times: Mapping[str, Sequence[datetime]],
    first: Mapping[str, datetime],
    topics: Mapping[str, Topic],
    period: Period,
) -> dict[str, Spike]:
    """Find topics with far more new stories in a period than in as long a time before, most above their usual first.

    times: by topic, when each of its stories began, of the period and of `BASELINE` before. first: when it first took an item.
    """
    found = {
        topic: spike
        for topic, began in times.items()
        if topic in topics and (spike := _spike(topics[topic].title, began, first[topic], period))
    }
    return dict(sorted(found.items(), key=lambda one: one[1].usual - one[1].stories))


def _spike(title: str, times: Sequence[datetime], first: datetime, period: Period) -> Spike | None:
    begin = max(first, period.since - BASELINE)
    if period.since - begin < LEAST_BASELINE:
        return None
    stories = sum(period.since < at <= period.at for at in times)
    usual = sum(begin <= at <= period.since for at in times) * ((period.at - period.since) / (period.since - begin))
    is_spike = stories >= SPIKE_STORIES and chance_of(stories, usual) < SPIKE_CHANCE
    return Spike(title, stories, usual) if is_spike else None


def chance_of(count: int, mean: float) -> float:
    """Give the chance of so many or more where so many are usual, by Poisson's law."""
    fewer = (math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(count) if mean > 0)
    return max(0.0, 1 - math.fsum(fewer)) if mean > 0 else float(count == 0)


def _alerts(deliveries: Iterable[Delivery]) -> list[Alert]:
    return [delivery.alert for delivery in deliveries if isinstance(delivery.alert, Alert)]


def _wants_both(alert: Alert, topics: Mapping[str, Topic]) -> bool:
    return any(topics[m.topic].notify.mode is Mode.BOTH for m in alert.matches if m.topic in topics)


def _lines(alerts: Sequence[Alert], reasons: Mapping[str, str], sources: Mapping[str, int]) -> Iterator[DigestLine]:
    """A line for each story, under the headline of its root where that is here, else of what came first."""
    stories: dict[str, list[Alert]] = {}
    for alert in sorted(alerts, key=lambda alert: alert.kind is not AlertKind.ROOT):
        stories.setdefault(alert.story, []).append(alert)
    for story, (head, *others) in stories.items():
        yield DigestLine(head, sources.get(story, 1), len(others), reasons.get(head.id, ""))


def _rank(line: DigestLine) -> tuple[int, int, datetime]:
    return -list(Severity).index(line.alert.severity), -line.sources, line.alert.created


def _theme(alert: Alert, topics: Mapping[str, Topic]) -> str:
    named = (topics[match.topic].theme for match in alert.matches if match.topic in topics)
    return next(filter(None, named), OTHER)


# -- the message ----------------------------------------------------------------------------------


def render_digest(digest: Digest) -> Message:
    """Say it in at most 10 blocks, each at most 2,500 characters and all at most 10,000; what is left out is counted."""
    heading, counts, rising = _heading(digest), _counts(digest), [_rising(spike) for spike in digest.spikes]
    themes, left = _shown(digest)
    more = [f"and {left} more; all of them: monitor outbox show {digest.id[:8]}"] if left else []
    notes = [*more, *([counts] if counts else [])]
    blocks = [
        markdown(f"*{_plain(heading)}*"),
        *([section("\n".join(f"📈 {said}" for said in rising))] if rising else []),
        *(markdown("\n".join([f"*{_plain(phrases.name(theme))}*", *lines])) for theme, lines in themes.items()),
        *([context(*notes)] if notes else []),
    ]
    first = f": {phrases.title(digest.lines[0].alert.item)}" if digest.lines else ""
    return Message(
        text=escape(heading + first).translate(MARKUP),
        blocks=tuple(blocks),
        terminal=_terminal(digest, heading, rising),
    )


def _shown(digest: Digest) -> tuple[dict[str, list[str]], int]:
    """The lines of each theme, as mrkdwn, and how many stories there was no room for."""
    few = len(digest.themes) <= SHOWN_THEMES
    themes = {theme: theme if few or n < SHOWN_THEMES - 1 else OTHER for n, theme in enumerate(digest.themes)}
    ranked = sorted(
        ((theme, line) for theme, lines in digest.themes.items() for line in lines), key=lambda t: _rank(t[1])
    )
    shown: dict[str, list[str]] = {}
    room, left = LINES_LIMIT, 0
    for theme, line in ranked:
        told = _markdown_line(line) if room else ""
        if len(told) + 1 > room:
            # what matters less does not take the place of what was too long
            room, left = 0, left + 1
        elif sum(len(other) + 1 for other in shown.get(themes[theme], [])) + len(told) > THEME_LIMIT:
            left += 1
        else:
            shown.setdefault(themes[theme], []).append(told)
            room -= len(told) + 1
    return shown, left


def _markdown_line(line: DigestLine) -> str:
    alert = line.alert
    headline = link_to(alert.item, phrases.clip(phrases.title(alert.item), HEADLINE_LIMIT), REPLY_LINK_LIMIT)
    return f"{SIGNS[alert.severity]} {headline} — {_plain(_about(line))}"


def _line(line: DigestLine) -> str:
    return f"{phrases.title(line.alert.item)} — {_about(line)}"


def _about(line: DigestLine) -> str:
    parts = (
        phrases.topics(line.alert),
        f"{line.sources} sources" if line.sources > 1 else phrases.name(line.alert.item.source),
        f"{line.others} update{'s' * (line.others != 1)}" if line.others else "",
        line.reason,
    )
    return " · ".join(filter(None, parts))


def _heading(digest: Digest) -> str:
    count = len(digest.lines)
    stories = f"{count} stor{'y' if count == 1 else 'ies'}" if count else "nothing was held"
    at = digest.created
    return f"{_HEADINGS[digest.occasion]}, {at.day} {phrases.MONTHS[at.month - 1]} {at:%H:%M} UTC: {stories}"


def _counts(digest: Digest) -> str:
    """What was told in the period; empty if nothing was."""
    if not (digest.roots or digest.replies):
        return ""
    stories = f"{digest.roots} stor{'y' if digest.roots == 1 else 'ies'}"
    updates = f" and {digest.replies} update{'s' * (digest.replies != 1)}" if digest.replies else ""
    topics = [f"{phrases.name(title)} {count}" for title, count in list(digest.by_topic.items())[:SHOWN_TOPICS]]
    week = "week" if digest.occasion is DigestKind.WEEKLY else "day"
    return f"Told in the {week}: {stories}{updates}" + (f" ({', '.join(topics)})" if topics else "")


def _rising(spike: Spike) -> str:
    return f"{phrases.name(spike.topic)}: {spike.stories} new stories, {spike.usual:.1f} are usual"


def _plain(text: str) -> str:
    return escape(phrases.line(text)).translate(MARKUP)


def _terminal(digest: Digest, heading: str, rising: Sequence[str]) -> str:
    themes: dict[str, list[tuple[str, str]]] = {}
    ranked = ((theme, line) for theme, lines in digest.themes.items() for line in lines)
    for theme, line in list(ranked)[:TERMINAL_LINES]:
        themes.setdefault(phrases.line(theme), []).append((_line(line), phrases.link(line.alert.item.link)))
    left = len(digest.lines) - TERMINAL_LINES
    more = [f"and {left} more; all of them: monitor outbox show {digest.id[:8]}"] if left > 0 else []
    counts = _counts(digest)
    return terminal.listing(f"▤ {heading}", themes, [*rising, *more, *([counts] if counts else [])])
