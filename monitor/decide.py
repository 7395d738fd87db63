"""Whether an item deserves an alert: what the topics said, where it stands in its story, what each channel was told before.

Every item gets a verdict with a reason, also when nothing is sent. Nothing is looked up and nothing is done here.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor.model import (
    Alert,
    AlertKind,
    Decision,
    Followups,
    Item,
    Match,
    Placement,
    Relation,
    Severity,
    Story,
    Topic,
    TopicStatus,
    Verdict,
    Version,
)

#: Alert ids are uuid5 in this namespace: the same decision made twice, after a crash say, is the same row of the outbox.
_NAMESPACE = uuid.UUID("6d3f7a52-7c1c-5e0b-9f42-0c1e6a5b8d11")

_SEVERITIES = list(Severity)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says of alerts."""

    #: where a topic sends that names no channel
    channel: str
    #: items published longer ago are not alerted on; a topic's scope may say otherwise
    max_age: timedelta
    #: on a feed's first poll, items published within this time alert all the same; zero means none do
    backfill: timedelta


def decide(
    item: Item,
    matches: Sequence[Match],
    placement: Placement,
    story: Story,
    topics: Mapping[str, Topic],
    *,
    first_poll: bool,
    told: Mapping[str, str],
    policy: Policy,
    now: datetime,
) -> Decision:
    """Decide what to tell, and whom.

    matches: every topic's judgement of the item, taken or not.
    first_poll: the feed had never been polled successfully before.
    told: channels that know the story, each with the id of its root alert.
    story: as it is with the item in it.
    """
    taken = [match for match in matches if match.matched]
    if not taken:
        return Decision(Verdict.NO_MATCH, _nearest_miss(matches))
    active = [match for match in taken if topics[match.topic].status is TopicStatus.ACTIVE]
    if not active:
        return Decision(Verdict.SHADOW, f"only topics in shadow took it: {_names(taken)}")
    age = now - item.at
    if first_poll and (not policy.backfill or age > policy.backfill):
        return Decision(Verdict.FIRST_POLL, "it stood in the feed before the monitor knew the feed")
    fresh = [match for match in active if age <= (topics[match.topic].scope.max_age or policy.max_age)]
    # a backfill was asked for by name, and its bound is its own
    if not fresh and not first_poll:
        return Decision(Verdict.TOO_OLD, f"published {_days(age)} before it was seen")
    return _tell(item, fresh or active, placement, story, topics, told, policy, now)


def decide_edit(
    item: Item,
    before: Version,
    matches: Sequence[Match],
    placement: Placement,
    story: Story,
    topics: Mapping[str, Topic],
    *,
    alerts: Sequence[Alert],
    told: Mapping[str, str],
    policy: Policy,
    now: datetime,
) -> Decision:
    """Decide what an edit of a known item deserves.

    Channels that were told of the item are told of the edit, in the story's thread, also if no topic would take it any
    more: it may take back what was said. A channel that was not is told only if the edit is what made a topic take it.

    alerts: those that told the item. told: channels that know its story, each with the id of its root alert.
    """
    edits = [
        _edited(last, item, before, [m for m in matches if m.topic in last.titles and m.matched], story, told, now)
        for last in {alert.channel: alert for alert in alerts}.values()
        if not _counts_only(last, topics)
    ]
    if edits:
        return Decision(Verdict.REPLY, f"its publisher changed it; it was “{before.title}”", tuple(edits))
    if alerts:
        return Decision(Verdict.COUNTED, "its publisher changed it; the topic wants follow-ups only counted")
    if before.verdict is not Verdict.NO_MATCH:
        # what was held back for being old, a copy, or there before us is still that
        return Decision(before.verdict, "its publisher changed it; nobody had been told of it")
    return decide(item, matches, placement, story, topics, first_poll=False, told=told, policy=policy, now=now)


def _counts_only(alert: Alert, topics: Mapping[str, Topic]) -> bool:
    known = [topics[match.topic] for match in alert.matches if match.topic in topics]
    return bool(known) and all(topic.notify.followups is Followups.COUNT_ONLY for topic in known)


def _edited(
    last: Alert,
    item: Item,
    before: Version,
    matches: Sequence[Match],
    story: Story,
    told: Mapping[str, str],
    now: datetime,
) -> Alert:
    return replace(
        last,
        id=_alert_id(last.channel, story, item),
        kind=AlertKind.REPLY,
        item=item,
        matches=tuple(matches) or last.matches,
        created=now,
        broadcast=False,
        sources=story.sources,
        parent=told.get(last.channel, last.parent or last.id),
        formerly=before.title,
    )


def _alert_id(channel: str, story: Story, item: Item) -> str:
    edition = f"|{item.revision}" if item.revision else ""
    return str(uuid.uuid5(_NAMESPACE, f"{channel}|{story.id}|{item.id}{edition}"))


def _tell(
    item: Item,
    matches: Sequence[Match],
    placement: Placement,
    story: Story,
    topics: Mapping[str, Topic],
    told: Mapping[str, str],
    policy: Policy,
    now: datetime,
) -> Decision:
    by_channel: dict[str, list[Match]] = {}
    for match in matches:
        by_channel.setdefault(topics[match.topic].notify.channel or policy.channel, []).append(match)
    alerts, held = [], []
    for channel, group in by_channel.items():
        if channel not in told:
            alerts.append(_alert(AlertKind.ROOT, item, group, story, topics, channel, now))
        elif placement.relation is Relation.COPY:
            held.append(Verdict.COPY)
        elif all(topics[match.topic].notify.followups is Followups.COUNT_ONLY for match in group):
            held.append(Verdict.COUNTED)
        else:
            alerts.append(_alert(AlertKind.REPLY, item, group, story, topics, channel, now, parent=told[channel]))
    if any(alert.kind is AlertKind.ROOT for alert in alerts):
        return Decision(Verdict.ALERT, f"news to its channel: {_names(matches)}", tuple(alerts))
    if alerts:
        return Decision(Verdict.REPLY, f"the story is known: {placement.because}", tuple(alerts))
    if Verdict.COPY in held:
        return Decision(Verdict.COPY, f"held back: {placement.because}")
    return Decision(Verdict.COUNTED, "held back: the topic wants follow-ups only counted")


def _alert(
    kind: AlertKind,
    item: Item,
    matches: Sequence[Match],
    story: Story,
    topics: Mapping[str, Topic],
    channel: str,
    now: datetime,
    *,
    parent: str = "",
) -> Alert:
    ranked = sorted(matches, key=lambda m: (-_SEVERITIES.index(topics[m.topic].severity), -m.score, m.topic))
    return Alert(
        id=_alert_id(channel, story, item),
        kind=kind,
        channel=channel,
        story=story.id,
        story_title=story.title,
        item=item,
        matches=tuple(ranked),
        titles={match.topic: topics[match.topic].title for match in ranked},
        severity=topics[ranked[0].topic].severity,
        created=now,
        broadcast=kind is AlertKind.REPLY
        and any(topics[match.topic].notify.followups is Followups.BROADCAST for match in ranked),
        sources=story.sources,
        parent=parent,
    )


def _nearest_miss(matches: Sequence[Match]) -> str:
    if not matches:
        return "there are no topics"
    best = max(matches, key=lambda match: match.score - match.bar)
    return f"nearest topic {best.topic}: {best.outcome}"


def _names(matches: Sequence[Match]) -> str:
    return ", ".join(match.topic for match in matches)


def _days(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"
