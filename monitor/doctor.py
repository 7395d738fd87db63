"""What is wrong with a monitor, and what to do about it, the most urgent first. Pure: what there is to see comes in.

Checks that /readyz has too have its names here, and its words.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.errors import Problem
from monitor.health import conditions
from monitor.model import DeliveryState, Numbers
from monitor.readiness import readiness


class Urgency(enum.StrEnum):
    """How soon somebody must act."""

    CRITICAL = "critical"  # alerts are lost, late or not made
    WARNING = "warning"  # they will be, or something else is
    WELL = "well"
    UNKNOWN = "unknown"  # nobody looked, or nothing says


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    urgency: Urgency
    says: str
    #: a remedy; empty where there is nothing to do
    do: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was looked at. None: could not be, or nobody wanted it."""

    at: datetime
    #: of monitor.toml; with these nothing else is known
    configuration: Sequence[Problem] = ()
    #: of the topic files, and how many of them are well
    rules: Sequence[Problem] = ()
    topics: int = 0
    #: why the database cannot be opened, or is not whole
    database: str = ""
    numbers: Numbers | None = None
    #: what keeps a monitor at work from its work, by its own word
    trouble: str = ""
    #: whether any feed was polled of late
    polled: bool = True
    #: since when the oldest delivery waits that could be sent
    waiting_since: datetime | None = None
    #: bytes of the database, and of those the free ones
    size: int = 0
    free: int = 0
    shrinks: bool = True
    backup: datetime | None = None
    #: bytes that the disk has room for
    room: int | None = None
    #: by how much our clock is ahead of the publishers'; else whether it is kept by somebody, if that is known
    ahead: timedelta | None = None
    synchronised: bool | None = None
    #: what is wrong with the models; empty: nothing
    model: str | None = None
    #: what keeps us from Slack, each with what to do; empty: nothing
    slack: Sequence[str] | None = None


#: A clock that is off by more makes news too old, or from the future; and Slack refuses what is signed so late.
CLOCK_OFF, CLOCK_WRONG = timedelta(seconds=30), timedelta(minutes=5)
#: Bytes: below these there is no room for a day, or for a copy of the database besides.
NO_ROOM, LITTLE_ROOM = 200_000_000, 1_000_000_000
BACKUP_OLD = timedelta(days=3)
#: Of a list so many are named.
_NAMED = 3

_ORDER = list(Urgency)


def examine(seen: Seen) -> list[Finding]:
    """Give one finding or more for each check, the most urgent first; what is alike in that, in the order of the checks."""
    if seen.configuration:
        said = "; ".join(str(problem) for problem in seen.configuration[:_NAMED])
        return [Finding("configuration", Urgency.CRITICAL, said, "edit the file: nothing else could be looked at")]
    found = [finding for check in _CHECKS for finding in check(seen)]
    return sorted(found, key=lambda finding: _ORDER.index(finding.urgency))


def worst(findings: Sequence[Finding]) -> Urgency:
    return min((one.urgency for one in findings), key=_ORDER.index, default=Urgency.WELL)


def told(findings: Sequence[Finding]) -> str:
    """The findings for people; what is well in a line."""
    lines = []
    for one in findings:
        if one.urgency is not Urgency.WELL:
            lines.append(f"{one.urgency:<9} {one.check}: {one.says}")
            lines += [f"{'':<9} → {one.do}"] if one.do else []
    well = list(dict.fromkeys(one.check for one in findings if one.urgency is Urgency.WELL))
    return "\n".join([*lines, f"{Urgency.WELL:<9} {', '.join(well)}"] if well else lines)


def as_data(findings: Sequence[Finding]) -> dict[str, object]:
    """The same for programs."""
    rows = [{"check": one.check, "urgency": one.urgency.value, "says": one.says, "do": one.do} for one in findings]
    return {"worst": worst(findings).value, "findings": rows}


# -- the checks -----------------------------------------------------------------------------------


def _database(seen: Seen) -> Iterator[Finding]:
    if seen.database:
        yield Finding(
            "database",
            Urgency.CRITICAL,
            seen.database,
            "stop the monitor, put a backup back (`monitor restore FILE`), start it",
        )
    elif seen.trouble:
        yield Finding(
            "database", Urgency.CRITICAL, seen.trouble, "once it can be written, the monitor goes on by itself"
        )
    elif seen.numbers is None:
        yield Finding("database", Urgency.UNKNOWN, "there is none yet", "`monitor run` or `monitor once` begins")
    else:
        yield Finding("database", Urgency.WELL, f"{_bytes(seen.size)}, {_bytes(seen.free)} of it free")
    if seen.numbers and not seen.shrinks and seen.free > seen.size / 2:
        yield Finding(
            "database", Urgency.WARNING, f"{_bytes(seen.free)} of its {_bytes(seen.size)} are free, and stay in the file",
            "copy it once: `monitor backup`, stop the monitor, `monitor restore`",
        )  # fmt: skip


def _disk(seen: Seen) -> Iterator[Finding]:
    if seen.room is None:
        return
    says = f"{_bytes(seen.room)} free where the state is"
    if seen.room < NO_ROOM:
        yield Finding("disk", Urgency.CRITICAL, says, "make room: without it nothing is polled or sent")
    elif seen.room < max(LITTLE_ROOM, seen.size):
        yield Finding("disk", Urgency.WARNING, says, "make room: a backup of the database wants as much as it has")
    else:
        yield Finding("disk", Urgency.WELL, says)


def _ready(seen: Seen) -> Iterator[Finding]:
    """What keeps the monitor from its work, as /readyz has it."""
    if seen.numbers is None:
        return
    checks = readiness(seen.numbers, trouble="", stalled="", waiting_since=seen.waiting_since)
    for check, remedy in _REMEDIES.items():
        if says := checks[check]:
            yield Finding(check, Urgency.CRITICAL, says, remedy)
        elif check != "feeds":  # there is more to be said of these
            yield Finding(check, Urgency.WELL, "")


_REMEDIES: Mapping[str, str] = {
    "network": "look after the network of this machine: no feed is charged while it is out",
    "feeds": "`monitor feeds list` names them",
    "delivery": "`monitor outbox list --state queued`, and the log of the monitor",
    "slack": "once it is mended: `systemctl reload news-monitor`, or wait 15 minutes",
}


def _feeds(seen: Seen) -> Iterator[Finding]:
    if seen.numbers is None:
        return
    feeds = seen.numbers.feeds
    if not feeds:
        yield Finding(
            "feeds", Urgency.CRITICAL, "there are none", "`monitor feeds import {shipped}`, or a list of your own"
        )
    elif not seen.polled:
        last = max((state.last_poll for state in feeds if state.last_poll), default=None)
        says = f"none was polled since {last:%Y-%m-%d %H:%M} UTC" if last else "none was ever polled"
        yield Finding("feeds", Urgency.CRITICAL, says, "is the monitor at work? `systemctl status news-monitor`")
    ailing = [(state.feed.name, list(found)) for state in feeds if (found := conditions(state, seen.at))]
    if ailing:
        counts = Counter(condition for _, found in ailing for condition in found)
        says = ", ".join(f"{n} {condition}" for condition, n in counts.most_common())
        names = "; ".join(f"{name} ({', '.join(found)})" for name, found in ailing[:_NAMED])
        yield Finding("feeds", Urgency.WARNING, f"{says}: {names}", "`monitor status` says why")
    elif feeds and seen.polled:
        yield Finding("feeds", Urgency.WELL, f"{len(feeds)} on the list")


def _rules(seen: Seen) -> Iterator[Finding]:
    refused = [problem for problem in seen.rules if not problem.warning]
    if not seen.topics:
        yield Finding("rules", Urgency.CRITICAL, "no topic is well: nothing would ever alert", "`monitor rules check`")
    if refused:
        says = f"{len(refused)} problem{'s' * (len(refused) != 1)}: {refused[0]}"
        yield Finding("rules", Urgency.WARNING, says, "`monitor rules check` tells all; a refused file does not watch")
    if seen.topics and not refused:
        yield Finding("rules", Urgency.WELL, f"{seen.topics} topics")


def _outbox(seen: Seen) -> Iterator[Finding]:
    if seen.numbers is None:
        return
    outbox, said = seen.numbers.outbox, False
    for one in seen.numbers.blockages:
        if one.channel:
            says = f"{one.channel} is blocked since {one.since:%Y-%m-%d %H:%M} UTC: {one.because} ({one.waiting} wait)"
            yield Finding("outbox", Urgency.CRITICAL, says, "once it is mended: `monitor outbox retry --blocked`")
            said = True
    for state, urgency, says, do in _STATES:
        if n := outbox.get(state, 0):
            yield Finding("outbox", urgency, f"{n} {says}", do)
            said = True
    if not said:
        yield Finding("outbox", Urgency.WELL, f"{outbox.get(DeliveryState.SENT, 0)} sent")


_STATES = (
    (DeliveryState.DEAD, Urgency.WARNING, "refused for good", "`monitor outbox list --state dead`, then retry or drop"),
    (DeliveryState.UNKNOWN, Urgency.WARNING, "in doubt: nobody knows whether they were accepted",
     "they are read back by themselves; if they stay, `monitor test-alert CHANNEL` says why"),
)  # fmt: skip


def _slack(seen: Seen) -> Iterator[Finding]:
    if seen.slack is None:
        yield Finding("slack", Urgency.UNKNOWN, "there is no token here, and so it was not asked")
    for problem in seen.slack or ():
        yield Finding("slack", Urgency.CRITICAL, problem, "docs/slack.md, “When it does not work”")


def _model(seen: Seen) -> Iterator[Finding]:
    if seen.model is None:
        return
    if seen.model:
        yield Finding("model", Urgency.CRITICAL, seen.model, "install the package again, or look at embedding.engines")
    else:
        yield Finding("model", Urgency.WELL, "")


def _clock(seen: Seen) -> Iterator[Finding]:
    if seen.ahead is not None:
        off = abs(seen.ahead)
        seconds = f"{off.total_seconds():.0f} s {'ahead of' if seen.ahead > timedelta(0) else 'behind'} the publishers'"
        if off < CLOCK_OFF:
            yield Finding("clock", Urgency.WELL, seconds)
        else:
            urgency = Urgency.CRITICAL if off >= CLOCK_WRONG else Urgency.WARNING
            yield Finding("clock", urgency, f"it is {seconds}", "have it kept: `timedatectl set-ntp true`")
    elif seen.synchronised:
        yield Finding("clock", Urgency.WELL, "kept by systemd-timesyncd")
    else:
        yield Finding(
            "clock", Urgency.UNKNOWN, "no publisher's answer to compare it with, and nothing says that it is kept"
        )


def _backup(seen: Seen) -> Iterator[Finding]:
    if seen.numbers is None:
        return
    if seen.backup is None:
        yield Finding(
            "backup",
            Urgency.WARNING,
            "there was never one",
            "`systemctl enable --now news-monitor-backup.timer`, or `monitor backup FOLDER/` each night",
        )
    elif seen.at - seen.backup > BACKUP_OLD:
        days = (seen.at - seen.backup).days
        yield Finding(
            "backup", Urgency.WARNING, f"the last one is {days} days old", "look at news-monitor-backup.timer"
        )
    else:
        yield Finding("backup", Urgency.WELL, f"{seen.backup:%Y-%m-%d %H:%M} UTC")


#: in the order in which one thing keeps another from working
_CHECKS = (_database, _disk, _clock, _model, _rules, _ready, _feeds, _slack, _outbox, _backup)


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
